"""A line on the terminal that shows how far a notebook has got."""

import sys
import threading
import time


def clock(seconds: float) -> str:
    """72.4 → "1:12"."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


class Ticker:
    """What the notebook prints, above one line that tells the cell and the time: `04_thi  cell 3/20  1:12`.

    Off a terminal there is no live line; each 30 seconds at most it is printed as a line of its own.
    """

    def __init__(self, name: str, out=None):
        self.name, self.out = name, out or sys.stdout
        self.live = self.out.isatty()
        self.place, self.unfinished = "starting", ""
        self.start = self.said = time.monotonic()
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
        self._erase()

    def at(self, cell: int, cells: int) -> None:
        """Says that code cell `cell` of `cells` begins."""
        with self._lock:
            self.place = f"cell {cell}/{cells}"
            self._draw()

    def write(self, text: str) -> None:
        """Takes what the notebook prints; whole lines are shown, indented, as they come."""
        with self._lock:
            # A carriage return redraws a line; only its last state is worth a line here.
            *lines, self.unfinished = (self.unfinished + text).split("\n")
            self._erase()
            for line in lines:
                print("  " + line.rstrip("\r").split("\r")[-1], file=self.out)
            self._draw()

    def flush(self) -> None:
        """Part of being a file."""
        self.out.flush()

    def _line(self) -> str:
        return f"{self.name}  {self.place}  {clock(time.monotonic() - self.start)}"

    def _draw(self) -> None:
        if self.live:
            print(f"\r\x1b[2K{self._line()}", end="", file=self.out, flush=True)

    def _erase(self) -> None:
        if self.live:
            print("\r\x1b[2K", end="", file=self.out, flush=True)

    def _tick(self) -> None:
        while not self._stop.wait(1):
            with self._lock:
                if self.live:
                    self._draw()
                elif time.monotonic() - self.said >= 30:
                    print(self._line(), file=self.out, flush=True)
                    self.said = time.monotonic()
