"""What each notebook makes. A stage makes or finds what it needs, and is made once.

    data (00) -> baseline (03) -> adapter (02) ---------> interaction, final (04, 05)
    data (00) -> reorganised (01) -> backbone (03) -----> interaction, final (04, 05)

Trainings with other seeds and settings are in `icl_lib.stages.ablations`, variants of Algorithm 1
(notebook 06) in `icl_lib.stages.variants`.
"""

from icl_lib.stages.adapters import (
    adapter,
    answering,
    asker,
    candidates,
    judge,
    judged,
    pairs,
    threshold,
)
from icl_lib.stages.backbones import backbone, baseline, evaluated, measured
from icl_lib.stages.final_results import evidence_results, final
from icl_lib.stages.interactions import (
    cards,
    chosen,
    interaction,
    plugged,
    tokens,
    whole_trace,
    xi_grid,
)
from icl_lib.stages.made import timing
from icl_lib.stages.manifest import data, prerequisites
from icl_lib.stages.rda import checked, reorganised

__all__ = [
    "adapter",
    "answering",
    "asker",
    "backbone",
    "baseline",
    "candidates",
    "cards",
    "checked",
    "chosen",
    "data",
    "evaluated",
    "evidence_results",
    "final",
    "interaction",
    "judge",
    "judged",
    "measured",
    "pairs",
    "plugged",
    "prerequisites",
    "reorganised",
    "threshold",
    "timing",
    "tokens",
    "whole_trace",
    "xi_grid",
]
