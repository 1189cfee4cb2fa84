"""People in pictures, and what is said of them: every reader makes one table, the manifest."""

from icl_lib.data.benchmarks import read_benchmark, read_folder
from icl_lib.data.checks import check
from icl_lib.data.manifest import captions, fingerprint, images

__all__ = ["captions", "check", "fingerprint", "images", "read_benchmark", "read_folder"]
