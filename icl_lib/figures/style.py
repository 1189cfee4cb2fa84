"""One look for every figure, legible at a notebook's width, in colours that the colour-blind tell apart."""

import functools
import sys
from io import BytesIO
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from icl_lib.params import Params
from icl_lib.results import atomic_write


def fixed_range(
    *starts: float, below: float = 10, above: float = 20, step: float = 5
) -> tuple[float, float]:
    """A range for an axis in percent that depends on where its curves start and on nothing else of them.

    From `below` under the lowest start to `above` over the highest, starts rounded down to multiples of
    `step`; at most 0 to 100.
    """
    low, high = (step * np.floor(end / step) for end in (min(starts), max(starts)))
    return float(max(0, low - below)), float(min(100, high + above))


WIDTH = 9.0  # inches: a notebook's column
# Okabe and Ito's colours; green and vermillion stay apart for the three common kinds of colour blindness.
BLUE, ORANGE, GREEN, RED = "#0072B2", "#E69F00", "#009E73", "#D55E00"
PURPLE, SKY, BLACK, GREY = "#CC79A7", "#56B4E9", "#000000", "#767676"
CYCLE = [BLUE, ORANGE, GREEN, RED, PURPLE, SKY, BLACK]
STANDIN_SCALE = 0.65  # of a sheet's pixels: a drawn person, 64 of them wide, keeps nearly as many
STYLE = {
    "axes.prop_cycle": matplotlib.cycler(color=CYCLE),
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.titlesize": 11,
    "axes.labelsize": 10,
    "grid.color": "#E2E2E2",
    "grid.linewidth": 0.7,
    "hatch.linewidth": 0.5,
    "font.family": "DejaVu Sans",  # ships with matplotlib, so that figures are equal on every machine
    "font.size": 10,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "lines.linewidth": 2,
    "lines.markersize": 5,
    "savefig.dpi": 110,
}


def styled(draw):
    """Runs a figure's function in the kit's style, leaving the caller's own matplotlib settings alone."""

    @functools.wraps(draw)
    def wrapper(*args, **kwargs) -> Figure:
        with matplotlib.rc_context(STYLE):
            return draw(*args, **kwargs)

    return wrapper


def panels(rows: int = 1, columns: int = 1, height: float = 3.4, **kwargs):
    """A figure of a notebook's width and its axes [rows, columns]; no pyplot, so never shown twice."""
    figure = Figure(figsize=(WIDTH, height * rows), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, **kwargs)


def show(figure: Figure, params: Params, name: str, alt: str = "") -> None:
    """Saves `figure` as results/<profile>/<dataset>/figures/<name>.png and shows it.

    It is stamped with where it comes from. alt: a sentence for readers who can't see it. A notebook holds
    figures with pictures as JPEG, a quarter of the bytes; drawn people keep nearly all their pixels.
    """
    drawn = rendered(figure, stamp(params))
    atomic_write(figure_path(params, name), as_png(drawn))
    if _in_notebook():
        from IPython.display import Image as Shown
        from IPython.display import display

        told = {"alt": alt or name.replace("_", " ")}
        if _holds_pictures(figure):
            shown = as_jpeg(drawn, STANDIN_SCALE if params.data.standin else 1)
            display(Shown(data=shown, format="jpeg", width=drawn.width, **told))
        else:
            display(Shown(data=figure_path(params, name).read_bytes(), format="png", **told))


def png(figure: Figure, corner: str = "") -> bytes:
    """The figure as PNG, with `corner` small in the lower right; equal bytes for equal figures."""
    return as_png(rendered(figure, corner))


def rendered(figure: Figure, corner: str = "") -> Image.Image:
    """The figure as a picture, with `corner` small in the lower right."""
    with matplotlib.rc_context(STYLE):
        if corner:
            below = 0.14 / figure.get_figheight()  # inches kept free for the stamp
            figure.get_layout_engine().set(rect=(0, below, 1, 1 - below))
            figure.text(
                0.997,
                0.004,
                corner,
                ha="right",
                va="bottom",
                fontsize=7,
                color=GREY,
                parse_math=False,
            )
        drawn = BytesIO()
        figure.savefig(drawn, format="png", metadata={"Software": None})
    return Image.open(drawn).convert("RGB")


def as_png(picture: Image.Image) -> bytes:
    """PNG of 256 colours: a third of the bytes, and no difference that the eye sees."""
    content = BytesIO()
    reduced = picture.quantize(256, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    reduced.save(content, "PNG", optimize=True)
    return content.getvalue()


def as_jpeg(picture: Image.Image, scale: float = 1, quality: int = 60) -> bytes:
    """JPEG of `scale` times the picture's width and height."""
    content = BytesIO()
    size = (round(scale * picture.width), round(scale * picture.height))
    smaller = picture.convert("RGB").resize(size, Image.Resampling.LANCZOS)
    smaller.save(content, "JPEG", quality=quality, optimize=True, progressive=True)
    return content.getvalue()


def figure_path(params: Params, name: str) -> Path:
    return params.results_dir / "figures" / f"{name}.png"


def stamp(params: Params) -> str:
    """Where a figure comes from, e.g. "profile demo · RSTPReid, stand-in · seed 0"."""
    data = params.data.title + (", stand-in" if params.data.standin else "")
    if params.data.limit_ids is not None:
        data += f", trial run on {params.data.limit_ids} people a split"
    picked = " · epoch picked on test" if params.backbone.select_on == "test" else ""
    return f"profile {params.profile} · {data} · seed {params.seed}{picked}"


def _holds_pictures(figure: Figure) -> bool:
    """Whether pictures in colour are shown in it; a heat map's values have two dimensions only."""
    return any(image.get_array().ndim == 3 for ax in figure.axes for image in ax.images)


def _in_notebook() -> bool:
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return shell is not None and hasattr(shell, "kernel")
