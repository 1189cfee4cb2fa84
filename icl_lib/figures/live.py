"""The curve of a running training, for a person who has the notebook open."""

import warnings
from collections.abc import Callable

from icl_lib.figures.style import panels, png, styled
from icl_lib.results import watched


def live_curve(epochs: int) -> Callable[[list[dict]], None] | None:
    """A function that draws the log's rows after every epoch, for `train_backbone(on_epoch=…)`.

    Its picture disappears after the last of `epochs`. None where nobody watches, on a terminal or
    in notebooks that papermill or nbval execute, so that a cell has the same outputs whether or not
    it had to train.
    """
    return _LiveCurve(epochs) if watched() else None


@styled
def curve(rows: list[dict], epochs: int):
    """Loss and, where it was evaluated, Rank-1 (percent) of the epochs so far, out of `epochs`."""
    names = {"loss": "training loss", "rank1": "Rank-1 (%)"}
    shown = [name for name in names if name in rows[0]]
    figure, (axes,) = panels(1, len(shown), height=2.6)
    for ax, name in zip(axes, shown, strict=True):
        ax.plot([row["epoch"] for row in rows], [row[name] for row in rows], marker="o")
        ax.set(xlabel="epoch", ylabel=names[name], xlim=(-0.5, epochs - 0.5))
    return figure


class _LiveCurve:
    def __init__(self, epochs: int):
        self.epochs, self.picture, self.broken = epochs, None, False

    def __call__(self, rows: list[dict]) -> None:
        if not self.broken:
            try:
                self._draw(rows)
            except Exception as error:  # a picture must not end a training
                self.broken = True
                warnings.warn(f"the live curve could not be drawn: {error}", stacklevel=2)

    def _draw(self, rows: list[dict]) -> None:
        import ipywidgets
        from IPython.display import display

        content = png(curve(rows, self.epochs))
        if self.picture is None:
            self.picture = ipywidgets.Image(value=content, format="png")
            display(self.picture)
        self.picture.value = content
        if len(rows) >= self.epochs:
            self.picture.close()
