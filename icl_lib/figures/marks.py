"""Marks that figures share: bars with intervals, the paper's values, numbers in a heat map."""

import numpy as np
from matplotlib.patheffects import withStroke

from icl_lib.figures.style import BLACK, GREY


def interval_bars(ax, values, low, high, names, color, alpha: float = 0.85):
    """Bars at 0, 1, … with their intervals from `low` to `high` [N]; returns the bars."""
    values = np.asarray(values)
    error = np.nan_to_num(np.abs([np.asarray(low) - values, np.asarray(high) - values]))
    bars = ax.bar(range(len(values)), values, 0.6, yerr=error, capsize=4, color=color, alpha=alpha)
    ax.set_xticks(range(len(values)), names)
    ax.grid(axis="x", visible=False)
    return bars


def diamonds(ax, x, y) -> None:
    """White diamonds: the paper's values. NaN leaves one out."""
    ax.plot(x, y, "D", color=BLACK, mfc="white", ms=7, zorder=3, clip_on=False)


def at_the_edge(ax, values: dict[str, float], form: str = ".2f") -> None:
    """Dashed lines at the paper's values, which are written to the right of the frame.

    So no text lies on a curve. Where a value lies outside the range of the y axis, an arrow at the
    nearer end says in which direction. Set the range first.

    Args:
        ax: The axes.
        values: {label: value}, as many as can be written below each other; NaN is left out.
        form: How a value is formatted.
    """
    low, high = ax.get_ylim()
    names = sorted((name for name in values if not np.isnan(values[name])), key=values.get)
    places = np.clip([values[name] for name in names], low, high)
    gap = 0.09 * (high - low)  # a line of text in a panel of a figure with two rows
    if (np.diff(places) < gap).any():
        places = places.mean() + gap * (np.arange(len(places)) - (len(places) - 1) / 2)
        places += max(0, low - places[0]) - max(0, places[-1] - high)
    for name, place in zip(names, places, strict=True):
        value = values[name]
        if low <= value <= high:
            ax.axhline(value, color=GREY, ls="--", lw=1.1, zorder=1)
        arrow = " ↓" if value < low else " ↑" if value > high else ""
        spot, where = (1.02, place), ax.get_yaxis_transform()
        ax.text(*spot, f"{name} {value:{form}}{arrow}", transform=where, va="center", fontsize=8)


def write_values(ax, image, xs, ys, form: str, size: float = 8) -> np.ndarray:
    """Writes a heat map's values into its cells, in white where the colour is dark.

    Masked cells stay empty. A rim in the cell's colour interrupts lines that pass below a value.

    Args:
        ax: The axes.
        image: What `ax.imshow` returned for the values [Y, X].
        xs: Where the columns stand [X].
        ys: Where the rows stand [Y].
        form: How a value is formatted, such as ".1f".
        size: Size of the font.

    Returns:
        Which cells are dark, bool [Y, X].
    """
    values = image.get_array()
    colors = image.to_rgba(values)
    dark = colors[..., :3] @ (0.299, 0.587, 0.114) < 0.5
    for (row, column), value in np.ma.ndenumerate(values):
        ax.text(
            xs[column],
            ys[row],
            f"{value:{form}}",
            ha="center",
            va="center",
            fontsize=size,
            color="white" if dark[row, column] else BLACK,
            path_effects=[withStroke(linewidth=4, foreground=colors[row, column])],
        )
    return dark


def whole_numbers(ax) -> None:
    """Ticks of the x axis at whole numbers only."""
    ax.xaxis.get_major_locator().set_params(integer=True)
