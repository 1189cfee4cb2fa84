"""The line that shows how far a notebook has got."""

import io
import time

from icl_lib.cli.ticker import Ticker, clock


def test_on_a_terminal_one_live_line_stays_below_the_output():
    screen = io.StringIO()
    screen.isatty = lambda: True
    with Ticker("04_thi", screen) as ticker:
        ticker.at(3, 20)
        ticker.write("made trace in")
        ticker.write(" 3 s\nfound")
        time.sleep(1.2)
    text = screen.getvalue()
    assert "04_thi  cell 3/20  0:00" in text and "04_thi  cell 3/20  0:01" in text
    assert "\x1b[2K  made trace in 3 s\n" in text and "  found\n" in text
    assert text.endswith("\r\x1b[2K")


def test_a_clock_shows_minutes_and_seconds():
    assert [clock(s) for s in (0, 59.9, 72.4, 3600)] == ["0:00", "0:59", "1:12", "60:00"]


def test_without_a_terminal_a_line_is_printed_now_and_then(monkeypatch):
    monkeypatch.setattr("icl_lib.cli.ticker.QUIET_SECONDS", 0.5)
    log = io.StringIO()
    with Ticker("04_thi", log) as ticker:
        ticker.at(3, 20)
        ticker.write("made trace\n")
        time.sleep(1.2)
    assert log.getvalue() == "  made trace\n04_thi  cell 3/20  0:01\n"
