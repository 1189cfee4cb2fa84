"""Test-time human-centred interaction (THI): ask the MLLM about candidates, then re-rank.

Algorithm 1 and Eq. 6 are in `algorithm1`; the questions are asked in `ask` and recorded in
`trace`; the anchor's details are merged into the query in `refined_query`. `evidence` is another
rule for the same answers, and `policies` choose its questions.
"""

from icl_lib.thi.algorithm1 import replay
from icl_lib.thi.ask import interact
from icl_lib.thi.cost import questions, released_questions
from icl_lib.thi.interaction import Interaction
from icl_lib.thi.refined_query import refine
from icl_lib.thi.sweep import grid
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
