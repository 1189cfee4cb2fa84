"""What answers in a search: backbone, MLLM, and the rule by which the MLLM is asked.

They are those of a run (notebooks 00 to 04 and 06) where its benchmark, or the stand-in, is there:
the backbone with RDA, the adapted MLLM with calibrated P(Yes), and the fitted evidence. Without the
benchmark's files, the pre-trained models answer as they are.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from icl_lib import stages
from icl_lib.data import fingerprint
from icl_lib.mllm import MLLM, load_mllm
from icl_lib.mllm.load import ANSWERING
from icl_lib.mllm.weights import served
from icl_lib.params import Params
from icl_lib.results import file_hash, folder_hash, made, read_json, write_json
from icl_lib.retrieval import load_backbone
from icl_lib.retrieval.backbone import Backbone
from icl_lib.retrieval.run_folder import noise_key
from icl_lib.retrieval.weights import find_weights
from icl_lib.stages.adapters import mllm_hash
from icl_lib.stages.evidence import fitted
from icl_lib.stages.witness import measured_reliabilities
from icl_lib.thi.evidence import Evidence
from icl_lib.thi.policies import Answers, Rule

SDM_TEMPERATURE = 0.02  # IRRA's SDM takes the softmax of 50·S
UNFITTED_THRESHOLD = 0.5  # Yes is more probable than No
TRIAL_SECONDS = 30  # a server that needs longer for a first Yes or No is no help in a search
_UNREACHED = (FileNotFoundError, ConnectionError, PermissionError)  # something is not there


@dataclass(frozen=True, eq=False)
class Models:
    """What answers.

    Attributes:
        backbone: encodes pictures and texts to unit vectors.
        backbone_name: identity of the backbone and its weights.
        mllm: judges and describes pictures; None where there is none.
        rule: what the MLLM is asked next, and when no more; None where it was not fitted.
        evidence: how answers change the ranking: the rule's, or that of `unfitted`.
        threshold: the P(Yes) above which an answer counts as Yes.
        theta: how reliable what people say about each facet is, measured on val; None where it was
            not, see `icl_lib.thi.telling`.
        note: what a person should know about them, one line each.
    """

    backbone: Backbone
    backbone_name: str
    mllm: MLLM | None
    rule: Rule | None
    evidence: Evidence
    threshold: float
    note: list[str]
    theta: np.ndarray | None = None


def load_models(params: Params, say: Callable[[str], None] = print) -> Models:
    """The models of the run that `params` describes; what is missing of it is made.

    What cannot be had is left out and named in `note`: without the benchmark's files the backbone
    is backbone.checkpoint or the pre-trained CLIP, the MLLM is not adapted, and nothing is fitted;
    without an MLLM, or with a server that does not answer, only similarity ranks.

    Args:
        params: the settings; `dataset` says whose training is used.
        say: gets a line about what takes long.

    Raises:
        FileNotFoundError: there is no backbone at all.
    """
    note = []
    if params.data.standin:
        note.append(
            f"Profile {params.profile}: the small models know drawn people only; on photographs "
            "their ranking means little."
        )
    try:
        stages.prerequisites(params)
        say(
            f"Loading the models of {params.data.title}, profile {params.profile}. What is not in "
            f"{params.cache_dir} yet is trained now, once: "
            + ("about a quarter of an hour." if params.data.standin else "hours on a GPU.")
        )
        return _of_run(params, note)
    except _UNREACHED as problem:
        title = params.data.title
        note.append(f"Not trained on {title}, so the models answer as they are: {_short(problem)}")
    return _as_they_are(params, note)


def _of_run(params: Params, note: list[str]) -> Models:
    """The models of the run; without its MLLM if that cannot be had."""
    try:
        _try_server(params, adapted=True)
        told = read_json(_settled(params) / "models.json")
    except (*_UNREACHED, ValueError) as problem:
        folder = stages.backbone(params)  # raises if it is the backbone that cannot be had
        backbone = load_backbone(params, folder)
        note.append(f"No MLLM, so pictures are ranked by similarity only: {_short(problem)}")
        evidence = unfitted(params, backbone)
        return Models(backbone, folder.name, None, None, evidence, UNFITTED_THRESHOLD, note)
    answering = params.cache_dir / told["answering"]
    price = -np.inf if told["price"] is None else told["price"]  # JSON has no infinity
    answers = Answers(np.array(told["right"]), np.array(told["wrong"]))
    rule = Rule(Evidence(**told["evidence"]), answers, told["policy"], price)
    return Models(
        load_backbone(params, params.cache_dir / told["backbone"]),
        told["backbone"],
        load_mllm(params, answering, answering),
        rule,
        rule.evidence,
        read_json(answering / ANSWERING)["threshold"],
        note,
        np.array(told["theta"]),
    )


def _settled(params: Params) -> Path:
    """The folder of models.json: the run's backbone, adapter, rule, and reliabilities.

    The stages would find all of it again, but they read the benchmark once each and rank val.
    """

    def build(folder: Path) -> None:
        rule = fitted(params)
        told = {
            "backbone": stages.backbone(params).name,
            "answering": stages.answering(params).name,
            "evidence": asdict(rule.evidence),
            "right": rule.answers.right,
            "wrong": rule.answers.wrong,
            "policy": rule.policy,
            "price": rule.price,
            "theta": measured_reliabilities(params),
        }
        write_json(folder / "models.json", told)

    texts = params.rda.file
    key = {
        **params.key(),
        **noise_key(params),
        "data": fingerprint(stages.data(params)),
        "weights": _content(find_weights(params)),
        "mllm model": mllm_hash(params),
        "adapter": served(params, adapter=True)[1] if params.mllm.backend == "server" else None,
        "texts": texts and file_hash(Path(texts).expanduser()),
        "holds": "reliabilities",
    }
    return made(params, "search-models", key, build)


def _content(weights: Path) -> str:
    """A hash of weights, a file or a folder."""
    return (folder_hash if weights.is_dir() else file_hash)(weights)


def unfitted(params: Params, backbone: Backbone) -> Evidence:
    """Evidence where there are no queries to fit it to.

    The temperature is the one that the backbone was trained with: its loss takes the softmax of S
    over a batch at that temperature for the probability of each picture. (On the demo's stand-ins
    the fitted temperature is 0.03 to 0.05, and TAL's is 0.05.) An answer counts as the MLLM says
    it, trust 1 and neutral 0.5, and for its own picture only.
    """
    trained_with = {
        "rde": params.backbone.tau,
        "irra": SDM_TEMPERATURE,
        "clip": float(np.exp(-backbone.clip.logit_scale.item())),
    }
    return Evidence(trained_with[backbone.method])


def _as_they_are(params: Params, note: list[str]) -> Models:
    """The checkpoint or the pre-trained CLIP, and the MLLM that the params name."""
    content = _content(find_weights(params))
    backbone, mllm = load_backbone(params), None
    try:
        adapted = params.mllm.backend == "server" and params.server.served_adapter is not None
        _try_server(params, adapted)
        mllm = load_mllm(params, Path(params.server.served_adapter) if adapted else None)
    except (*_UNREACHED, ValueError) as problem:
        note.append(f"No MLLM, so pictures are ranked by similarity only: {_short(problem)}")
    else:
        note.append("Nothing is fitted: how much an answer counts is a guess.")
    name = f"{backbone.method}-{params.hash('backbone')}-{content}"
    limit = UNFITTED_THRESHOLD if params.sft.threshold is None else params.sft.threshold
    return Models(backbone, name, mllm, None, unfitted(params, backbone), limit, note)


def _try_server(params: Params, adapted: bool) -> None:
    """Asks a server one question and raises what goes wrong; does nothing for a local MLLM."""
    if params.mllm.backend != "server":
        return
    hasty = {"retries": 0, "timeout": min(TRIAL_SECONDS, params.server.timeout)}
    trial = load_mllm(params.changed("server", **hasty), Path("adapter") if adapted else None)
    trial.inner.p_yes([Image.new("RGB", (64, 128))], ["a person"])


def _short(problem: Exception) -> str:
    """The beginning of a message on one line; of a list of what is missing, that of each item."""
    parts = str(problem).strip().split("\n\n")
    items = [part[2:] for part in parts if part[:1].isdigit()] or parts[:1]  # "1. …"
    begun = []
    for item in items:
        first, _, rest = item.partition("\n")
        begun.append(f"{first} {rest.partition(chr(10))[0]}." if first.endswith(":") else first)
    return " ".join(" ".join(begun).split())
