"""Sphinx settings of the report site: static, built and viewed without a network (`make site`)."""

from latex2mathml.converter import convert

project = "ICL, reproduced in notebooks"
copyright = "the ICL reproduction kit's contributors"
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
    raise _skip()


def _block(writer, node):
    writer.body.append(f'<div class="math">{convert(node.astext(), display="block")}</div>')
    raise _skip()


def _skip():
    from docutils.nodes import SkipNode

    return SkipNode()
