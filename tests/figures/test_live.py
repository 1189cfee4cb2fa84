import importlib
import sys

import ipywidgets
import pytest

from icl_lib.figures import live

ROWS = [{"epoch": 0, "loss": 3.0, "rank1": 20.0}, {"epoch": 1, "loss": 2.0, "rank1": 30.0}]


@pytest.fixture
def opened(monkeypatch):
    """As in a notebook that a person has opened; what was displayed."""
    import IPython.display

    shown = []
    monkeypatch.setenv("JPY_SESSION_NAME", "notebook.ipynb")
    monkeypatch.setitem(sys.modules, "ipykernel", importlib.import_module("ipykernel"))
    monkeypatch.setattr(IPython.display, "display", shown.append)
    return shown


def test_nobody_watches_an_executed_notebook_or_a_terminal(monkeypatch):
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    assert live.live_curve(4) is None


def test_one_picture_is_updated_and_goes_after_the_last_epoch(opened, monkeypatch):
    closed = []
    monkeypatch.setattr(ipywidgets.Image, "close", lambda self: closed.append(self))
    draw = live.live_curve(2)
    draw(ROWS[:1])
    first = bytes(opened[0].value)
    assert first.startswith(b"\x89PNG") and not closed
    draw(ROWS)
    assert len(opened) == 1 and bytes(opened[0].value) != first and closed == opened


def test_a_curve_that_cannot_be_drawn_does_not_end_a_training(opened):
    draw = live.live_curve(2)
    with pytest.warns(UserWarning, match="could not be drawn"):
        draw([{"epoch": 0}])
    draw(ROWS)
    assert not opened


def test_epochs_that_were_not_evaluated_have_a_loss_all_the_same():
    axes = live.curve([{"epoch": 0, "loss": 3.0}], 4).axes
    assert len(axes) == 1 and axes[0].get_ylabel() == "training loss"
    assert len(live.curve(ROWS, 4).axes) == 2
