"""A stand-in for a benchmark: drawn pedestrians and captions in the benchmark's own files.

What was drawn is kept beside them (`standin_truth.json`) for analyses and tests; no stage of the
pipeline reads it.
"""

from icl_lib.data.standin.make import make_standin
from icl_lib.data.standin.truth import oracle, read_truth

__all__ = ["make_standin", "oracle", "read_truth"]
