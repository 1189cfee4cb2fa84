"""A training's curve while it trains, for the person who has the notebook open."""

import warnings
from collections.abc import Callable

from icl_lib.results import watched


def live_curve(epochs: int) -> Callable[[list[dict]], None] | None:
    """Draws log.csv's rows after every epoch, for `train_backbone(on_epoch=…)`; gone after the last.

    None where nobody watches: on a terminal and in notebooks that papermill or nbval execute, so that the
    outputs of a cell are the same whether or not it had to train.
    """
    return _LiveCurve(epochs) if watched() else None


def curve(rows: list[dict], epochs: int):
    """Loss and, where an epoch was evaluated, Rank-1 in percent, of the epochs so far out of `epochs`."""
    from icl_lib.figures.style import panels, styled

    def draw():
        names = {"loss": "training loss", "rank1": "Rank-1 (%)"}
        shown = [name for name in names if name in rows[0]]
        figure, (axes,) = panels(1, len(shown), height=2.6)
        for ax, name in zip(axes, shown):
            ax.plot([row["epoch"] for row in rows], [row[name] for row in rows], marker="o")
            ax.set(xlabel="epoch", ylabel=names[name], xlim=(-0.5, epochs - 0.5))
        return figure

    return styled(draw)()


class _LiveCurve:
    def __init__(self, epochs: int):
        self.epochs, self.picture, self.broken = epochs, None, False

    def __call__(self, rows: list[dict]) -> None:
        if self.broken:
            return
        try:
            self._draw(rows)
        except Exception as error:  # a picture is not worth a training
            self.broken = True
            warnings.warn(f"the live curve could not be drawn: {error}", stacklevel=2)

    def _draw(self, rows: list[dict]) -> None:
        import ipywidgets
        from IPython.display import display

        from icl_lib.figures.style import png

        content = png(curve(rows, self.epochs))
        if self.picture is None:
            self.picture = ipywidgets.Image(value=content, format="png")
            display(self.picture)
        self.picture.value = content
        if len(rows) >= self.epochs:
            self.picture.close()
