"""Sphinx settings of the report site: static, built and viewed without a network (`make site`)."""

from docutils.nodes import SkipNode
from latex2mathml.converter import convert

project = "ICL, reproduced in notebooks"
author = copyright = "the ICL reproduction kit's contributors"
root_doc = "index"
extensions = ["myst_nb"]
exclude_patterns = ["**/requirements.lock"]

nb_execution_mode = "off"  # the outputs are those that were committed, or that a run has left
nb_ipywidgets_js = {}  # widgets would load scripts from another host
nb_merge_streams = True
myst_enable_extensions = ["dollarmath", "amsmath"]
myst_heading_anchors = 3
suppress_warnings = ["mystnb.unknown_mime_type", "myst.header"]

html_theme = "sphinx_book_theme"
html_title = project
html_show_copyright = False
html_show_sphinx = False
html_theme_options = {"show_toc_level": 2, "use_download_button": False}


def setup(app):
    """Formulas become MathML, which browsers show by themselves; MathJax would be fetched."""
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    app.config.html_math_renderer = "mathml"


def _inline(writer, node):
    writer.body.append(convert(node.astext()))
    raise SkipNode


def _block(writer, node):
    formula = convert(node.astext(), display="block")
    writer.body.append(f'<div style="margin: 1em 0; overflow-x: auto">{formula}</div>')
    raise SkipNode
