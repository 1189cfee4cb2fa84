"""What each notebook makes. A stage makes or finds what it needs, says which, and is made once.

data -> baseline (03) -> adapter (02) -> interaction (04, 05)
data -> reorganised (01) -> backbone (03) -> interaction
"""

from icl_lib.stages.adapters import adapter, candidates, judge, judged, pairs, threshold
from icl_lib.stages.backbones import backbone, baseline, evaluated, measured
from icl_lib.stages.final_results import final
from icl_lib.stages.interactions import cards, chosen, interaction, tokens, xi_grid
from icl_lib.stages.made import stage, timing
from icl_lib.stages.manifest import data, prerequisites
from icl_lib.stages.rda import checked, reorganised
from icl_lib.thi.cost import cost
from icl_lib.thi.interaction import Interaction

__all__ = [
    "Interaction",
    "adapter",
    "backbone",
    "baseline",
    "candidates",
    "cards",
    "checked",
    "chosen",
    "cost",
    "data",
    "evaluated",
    "final",
    "interaction",
    "judge",
    "judged",
    "measured",
    "pairs",
    "prerequisites",
    "reorganised",
    "stage",
    "threshold",
    "timing",
    "tokens",
    "xi_grid",
]
