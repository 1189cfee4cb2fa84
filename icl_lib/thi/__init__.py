"""Test-time human-centred interaction (THI): ask about candidates, merge what the anchor shows, re-rank."""

from icl_lib.thi.algorithm1 import grid, questions, released_questions, replay
from icl_lib.thi.ask import interact
from icl_lib.thi.interaction import Interaction
from icl_lib.thi.refined_query import refine
from icl_lib.thi.trace import Trace

__all__ = [
    "Interaction",
    "Trace",
    "grid",
    "interact",
    "questions",
    "refine",
    "released_questions",
    "replay",
]
