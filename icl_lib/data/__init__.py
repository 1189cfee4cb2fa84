"""People in pictures and their captions: every reader makes one table, the manifest."""

from icl_lib.data.benchmarks import read_benchmark
from icl_lib.data.checks import check
from icl_lib.data.folder import read_folder
from icl_lib.data.manifest import captions, fingerprint, hold_out, images
from icl_lib.data.noise import apply_noise, draw_noise, read_noise

__all__ = [
    "apply_noise",
    "captions",
    "check",
    "draw_noise",
    "fingerprint",
    "hold_out",
    "images",
    "read_benchmark",
    "read_folder",
    "read_noise",
]
