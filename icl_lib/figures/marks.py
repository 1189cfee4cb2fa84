"""Marks that figures share: bars with intervals, the paper's values, numbers in a heat map."""

import numpy as np

from icl_lib.figures.style import BLACK


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
    ax.plot(x, y, "D", color=BLACK, mfc="white", ms=7, zorder=3)


def write_values(ax, image, xs, ys, form: str, size: float = 8) -> np.ndarray:
    """Writes a heat map's values into its cells, in white where the colour is dark.

    Masked cells stay empty.

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
    dark = image.to_rgba(values)[..., :3] @ (0.299, 0.587, 0.114) < 0.5
    for (row, column), value in np.ma.ndenumerate(values):
        ax.text(
            xs[column],
            ys[row],
            f"{value:{form}}",
            ha="center",
            va="center",
            fontsize=size,
            color="white" if dark[row, column] else BLACK,
        )
    return dark


def whole_numbers(ax) -> None:
    """Ticks of the x axis at whole numbers only."""
    ax.xaxis.get_major_locator().set_params(integer=True)
