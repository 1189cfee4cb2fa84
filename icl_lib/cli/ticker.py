"""A line on the terminal that shows how far a notebook has got."""

import sys
import threading
import time

QUIET_SECONDS = 30  # between two progress lines where there is no terminal


def clock(seconds: float) -> str:
    """72.4 → "1:12"."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


class Ticker:
    """Shows what a notebook prints, above one line with the cell and the time.

    The line looks like `04_thi  cell 3/20  1:12` and is redrawn every second. If the output is not
    a terminal, it is printed every 30 seconds instead. Papermill writes to a ticker as to a file.
    """

    def __init__(self, name: str, out=None):
        self.name, self.out = name, out or sys.stdout
        self.live = self.out.isatty()
        self.place, self.unfinished = "starting", ""
        self.start = self.shown = time.monotonic()
        self._stop, self._lock = threading.Event(), threading.RLock()
        self._thread = threading.Thread(target=self._tick, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()
        if self.unfinished:
            self.write("\n")
        self._redraw()

    def at(self, cell: int, cells: int) -> None:
        """Shows that code cell `cell` of `cells` begins."""
        with self._lock:
            self.place = f"cell {cell}/{cells}"
            self._redraw(self._line())

    def write(self, text: str) -> None:
        """Shows complete lines, indented, as they come; an unfinished line waits for its end."""
        with self._lock:
            *lines, self.unfinished = (self.unfinished + text).split("\n")
            self._redraw()
            for line in lines:
                # A carriage return redraws a line; only its last state is shown.
                print("  " + line.rstrip("\r").split("\r")[-1], file=self.out)
            self._redraw(self._line())

    def flush(self) -> None:
        """Flushes the output, as a file does."""
        self.out.flush()

    def _line(self) -> str:
        return f"{self.name}  {self.place}  {clock(time.monotonic() - self.start)}"

    def _redraw(self, line: str = "") -> None:
        if self.live:
            print(f"\r\x1b[2K{line}", end="", file=self.out, flush=True)

    def _tick(self) -> None:
        while not self._stop.wait(1):
            with self._lock:
                if not self.live and time.monotonic() - self.shown >= QUIET_SECONDS:
                    print(self._line(), file=self.out, flush=True)
                    self.shown = time.monotonic()
                self._redraw(self._line())
