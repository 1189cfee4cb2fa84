"""Progress bars."""

import sys

from icl_lib import results


def test_a_bar_passes_everything_on_and_prints_nothing_outside_a_terminal(capsys, monkeypatch):
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False, raising=False)
    assert list(results.progress(iter(range(5)), "counting", total=5)) == list(range(5))
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err == ""
