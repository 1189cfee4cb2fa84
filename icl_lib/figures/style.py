"""One look for all figures: legible in a notebook, in colours that the colour-blind tell apart."""

import functools
import sys
from io import BytesIO

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from PIL import Image, ImageOps

from icl_lib.params import Params
from icl_lib.results import atomic_write

WIDTH = 9.0  # inches: a notebook's column
# Okabe and Ito's colours. Green and vermillion differ for the common kinds of colour blindness.
BLUE, ORANGE, GREEN, RED = "#0072B2", "#E69F00", "#009E73", "#D55E00"
PURPLE, SKY, BLACK, GREY = "#CC79A7", "#56B4E9", "#000000", "#767676"
CYCLE = [BLUE, ORANGE, GREEN, RED, PURPLE, SKY, BLACK]
STANDIN_SCALE = 0.65  # of a figure's pixels: drawn people are 64 pixels wide and need no more
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
    "font.family": "DejaVu Sans",  # ships with matplotlib, so figures look alike on every machine
    "font.size": 10,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "lines.linewidth": 2,
    "lines.markersize": 5,
    "savefig.dpi": 110,
}


def styled(draw):
    """Decorates a figure's function to run in the kit's style; the caller's settings stay."""

    @functools.wraps(draw)
    def wrapper(*args, **kwargs) -> Figure:
        with matplotlib.rc_context(STYLE):
            return draw(*args, **kwargs)

    return wrapper


def panels(rows: int = 1, columns: int = 1, height: float = 3.4, **kwargs):
    """A figure of a notebook's width and its axes [rows, columns].

    It is made without pyplot, so that a notebook does not show it a second time. `height` is that
    of one row in inches; `kwargs` are those of `Figure.subplots`.
    """
    figure = Figure(figsize=(WIDTH, height * rows), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, **kwargs)


def panel_list(count: int, height: float = 2.8, **kwargs):
    """A figure with `count` panels, at most three in a row, and the list of its axes."""
    columns = min(3, count)
    figure, axes = panels(-(-count // columns), columns, height, **kwargs)
    for ax in axes.flat[count:]:
        ax.set_axis_off()
    return figure, list(axes.flat[:count])


def fixed_range(*starts: float, below: float = 10, above: float = 20) -> tuple[float, float]:
    """The range of an axis in percent, which depends only on where the curves start.

    It reaches from `below` under the lowest start to `above` over the highest, both rounded down to
    multiples of 5, within 0 and 100.
    """
    low, high = (5 * np.floor(start / 5) for start in (min(starts), max(starts)))
    return float(max(0, low - below)), float(min(100, high + above))


def widened(limits: tuple[float, float], *values, step: float = 5) -> tuple[float, float]:
    """A fixed range that cuts nothing off: `limits`, or more where a value lies outside them.

    Each end moves outwards by as many whole steps as are needed, so that the ranges of two runs are
    equal or differ by steps.

    Args:
        limits: The fixed range (low, high).
        values: What is drawn: numbers, arrays or tables; NaN is left out.
        step: By how much an end moves at a time.
    """
    low, high = limits
    drawn = np.concatenate([np.ravel(np.asarray(value, dtype=float)) for value in values])
    least, most = np.nanmin([low, *drawn]), np.nanmax([high, *drawn])
    # Nearly equal values do not need one more step.
    below, above = (np.ceil((gap - 1e-9) / step) for gap in (low - least, most - high))
    return float(low - step * max(0, below)), float(high + step * max(0, above))


def show(figure: Figure, params: Params, name: str, alt: str = "") -> None:
    """Saves a figure as results/<profile>/<dataset>/figures/<name>.png and shows it in a notebook.

    A stamp says where it comes from. A notebook keeps a figure with pictures as JPEG, which takes a
    quarter of the bytes.

    Args:
        figure: The figure.
        params: The run that it belongs to.
        name: The file's name without its suffix.
        alt: A sentence for readers who cannot see the figure.
    """
    picture = rendered(figure, stamp(params))
    content = as_png(picture)
    atomic_write(params.results_dir / "figures" / f"{name}.png", content)
    if _in_notebook():
        from IPython import display

        shown = {"data": content, "format": "png"}
        if _holds_pictures(figure):
            jpeg = as_jpeg(picture, STANDIN_SCALE if params.data.standin else 1)
            shown = {"data": jpeg, "format": "jpeg", "width": picture.width}
        display.display(display.Image(**shown, alt=alt or name.replace("_", " ")))


def stamp(params: Params) -> str:
    """Where a figure comes from, e.g. "profile demo · RSTPReid, stand-in · seed 0"."""
    data = f"{params.data.title}, stand-in" if params.data.standin else params.data.title
    if params.data.limit_ids is not None:
        data += f", trial run on {params.data.limit_ids} people per split"
    picked = " · epoch picked on test" if params.backbone.select_on == "test" else ""
    return f"profile {params.profile} · {data} · seed {params.seed}{picked}"


def png(figure: Figure, corner: str = "") -> bytes:
    """The figure as PNG, with `corner` in small print; equal bytes for equal figures."""
    return as_png(rendered(figure, corner))


def rendered(figure: Figure, corner: str = "") -> Image.Image:
    """The figure as a picture, with `corner` in small print at the lower right."""
    with matplotlib.rc_context(STYLE):
        if corner:
            below = 0.14 / figure.get_figheight()  # room for the small print
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
        content = BytesIO()
        figure.savefig(content, format="png", metadata={"Software": None})
    return Image.open(content).convert("RGB")


def as_png(picture: Image.Image) -> bytes:
    """PNG of 256 colours: a third of the bytes, and no difference that the eye sees."""
    content = BytesIO()
    reduced = picture.quantize(256, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    reduced.save(content, "PNG", optimize=True)
    return content.getvalue()


def as_jpeg(picture: Image.Image, scale: float = 1, quality: int = 60) -> bytes:
    """JPEG of `scale` times the picture's width and height."""
    content = BytesIO()
    scaled = ImageOps.scale(picture.convert("RGB"), scale, Image.Resampling.LANCZOS)
    scaled.save(content, "JPEG", quality=quality, optimize=True, progressive=True)
    return content.getvalue()


def _holds_pictures(figure: Figure) -> bool:
    """Whether the figure shows pictures in colour; a heat map's values have no colour channels."""
    return any(image.get_array().ndim == 3 for ax in figure.axes for image in ax.images)


def _in_notebook() -> bool:
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return hasattr(shell, "kernel")
