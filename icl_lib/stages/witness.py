"""The stage of notebook 11: what simulated witnesses add to the MLLM's answers, on a stand-in."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from icl_lib.analysis.intervals import paired_bootstrap
from icl_lib.analysis.rounds import rank1
from icl_lib.analysis.witness import Game, as_honest, knowledge, play, witness
from icl_lib.data.standin import read_truth
from icl_lib.params import Params
from icl_lib.params.names import digest
from icl_lib.retrieval.metrics import per_query_metrics
from icl_lib.stages import evidence
from icl_lib.stages.ablations import each_seed
from icl_lib.stages.interactions import cards, chosen, interaction, whole_trace
from icl_lib.stages.made import stage
from icl_lib.stages.manifest import queries_and_gallery
from icl_lib.thi import Interaction
from icl_lib.thi import policies as mllm
from icl_lib.thi.cards import codes, facts, text_facts
from icl_lib.thi.evidence import rank_by_evidence
from icl_lib.thi.policies import Rule
from icl_lib.thi.telling import Belief, reliabilities

ROUNDS = 5
FORGET, ERR = 0.1, 0.05  # of the witnesses whose rounds are compared
FORGETS = (0.0, 0.25, 0.5)  # of `honesty`
ERRS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
# What is compared in Rank-1: (method, over).
PAIRS = [
    ("person, most telling", "person, random"),
    ("MLLM + person, most telling", "MLLM + person, random"),
    ("MLLM + person, most telling", "person, most telling"),
    ("MLLM + person, most telling", "MLLM, evidence, all asked"),
]


@dataclass(frozen=True, eq=False)
class Setting:
    """A test split with all that the games on it need.

    Attributes:
        run: the interaction.
        rule: how the MLLM is asked and its answers are used.
        alone: the game in which only the person answers.
        after_mllm: the game that starts from the MLLM's answers.
        theta: the reliability [F] of what people say about each facet, measured on val.
        truth: codes [Q, F] of what was drawn in each query's picture.
    """

    run: Interaction
    rule: Rule
    alone: Game
    after_mllm: Game
    theta: np.ndarray
    truth: np.ndarray


def setting(params: Params, variant: str = "") -> Setting:
    """The games of the test split.

    Args:
        params: the settings of the run.
        variant: as for `icl_lib.stages.backbones.baseline`.

    Raises:
        ValueError: the data set was not drawn, so that nothing is known about its people.
    """
    if not params.data.standin:
        raise ValueError(
            f"simulated witnesses need a stand-in, whose people were drawn: nobody has written "
            f"down what the people of {params.data.title} really look like. Use the profile demo, "
            "or ask a person: see the notebook's last part"
        )
    run = interaction(params, "test", variant=variant)
    rule = evidence.fitted(params, variant=variant)
    trace = evidence.asked(params, run, rule, "test", variant=variant)
    said, theta = _codes(params, "test"), measured_reliabilities(params)
    drawn = read_truth(params.data_root)["pictures"]
    alone = Game(
        run.sim.astype(float),
        run.vectors,
        rule.evidence,
        said,
        Belief.of(said, theta),
        codes([text_facts(text) for text in run.queries["caption"]]) < 0,
        *run.pids,
    )
    posterior = replace(rule.evidence, spread=0.0)
    after = rank_by_evidence(run.sim, trace, run.vectors, posterior).astype(float)
    truth = knowledge([drawn[Path(path).name] for path in run.queries["path"]])
    return Setting(run, rule, alone, replace(alone, base=after), theta, truth)


def measured_reliabilities(params: Params) -> np.ndarray:
    """θ_f [F]: how often val's captions agree with the cards of the pictures they describe."""
    queries, gallery = queries_and_gallery(params, "val")
    said = _codes(params, "val")
    row = {image: place for place, image in enumerate(gallery["image_id"])}
    described = codes([text_facts(text) for text in queries["caption"]])
    return reliabilities(described, said[queries["image_id"].map(row)])


def rounds(params: Params, given: Setting, variant: str = "") -> dict[str, np.ndarray]:
    """All methods over rounds 0 to ROUNDS: {method: rank of the first right picture [R + 1, Q]}.

    In a round of the MLLM's own methods, it is asked one more question: Algorithm 1 has the round's
    number as K, with ξ and λ chosen for it on val; evidence asks what its policy finds worth most,
    at no price.

    Args:
        params: the settings of the run.
        given: what `setting` returns.
        variant: as for `setting`.
    """
    told = witness(given.truth, FORGET, ERR, params.seed)

    def build(folder: Path) -> None:
        firsts = _by_mllm(params, given, variant)
        for name, game in (("person", given.alone), ("MLLM + person", given.after_mllm)):
            for policy in ("random", "most telling"):
                firsts[f"{name}, {policy}"] = play(game, told, policy, ROUNDS, params.seed).first
        np.savez_compressed(folder / "first.npz", **firsts)

    key = _key(given) | {"told": digest(told.tolist()), "rounds": ROUNDS}
    with np.load(stage(params, "witness", key, build, variant) / "first.npz") as stored:
        return dict(stored)


def trained(params: Params, seeds: int) -> tuple[dict[int, dict[str, np.ndarray]], np.ndarray]:
    """`rounds` of `seeds` trainings: {seed: its result}; and the person of each query [Q]."""
    found, pids = {}, np.empty(0)
    for own, variant in each_seed(params, seeds):
        given = setting(own, variant)
        found[own.seed], pids = rounds(own, given, variant), given.run.pids[0]
    return found, pids


def room(given: Setting) -> pd.DataFrame:
    """What there is to ask and to gain before the first question.

    Returns:
        A row for each "start" ("person": no answer yet; "MLLM + person": after the MLLM's answers)
        with the columns people, queries, "open facets" (those that the caption leaves out), "told
        by the best" (what the most telling question is expected to take off the entropy, in nats),
        "within reach" (percent of queries with the person among the hypotheses), and rank1.
    """
    rows = {}
    for start, game in (("person", given.alone), ("MLLM + person", given.after_mllm)):
        columns = game.hypotheses()
        none = np.zeros(columns.shape)
        gains = game.belief.gains(game.log_p(columns, none), game.cards[columns])
        right = game.gallery_pids[columns] == game.query_pids[:, None]
        first = play(game, given.truth, "random", 0).first
        rows[start] = {
            "people": len(np.unique(game.query_pids)),
            "queries": len(columns),
            "open facets": game.open.sum(1).mean(),
            "told by the best": np.where(game.open, gains, 0).max(1).mean(),
            "within reach": 100 * right.any(1).mean(),
            "rank1": rank1(first).mean(),
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("start")


def honesty(params: Params, given: Setting) -> pd.DataFrame:
    """Rank-1 after ROUNDS most telling questions to witnesses of many rates, without the MLLM.

    Their answers are believed as if they erred no more than val's captions, or with their rate of
    errors known.

    Returns:
        A row for each "belief" ("as on val" or "known"), "forget" and "err": rank1 (percent), gain
        over no question to the person (points) with its interval low and high over people.
    """
    game, theta = given.alone, given.theta

    def build(folder: Path) -> None:
        before = rank1(play(game, given.truth, "random", 0).first)[0]
        rows = []
        for err in ERRS:
            known = replace(game, belief=Belief.of(game.cards, as_honest(theta, err)))
            for forget in FORGETS:
                told = witness(given.truth, forget, err, params.seed)
                for belief, believing in (("as on val", game), ("known", known)):
                    played = play(believing, told, "most telling", ROUNDS, each=False)
                    after = rank1(played.first)[0]
                    test = paired_bootstrap(after, before, game.query_pids)
                    rates = {"belief": belief, "forget": forget, "err": err}
                    gain = {"gain": test["difference"], "low": test["low"], "high": test["high"]}
                    rows.append(rates | {"rank1": after.mean()} | gain)
        pd.DataFrame(rows).to_pickle(folder / "honesty.pkl")

    key = _key(given) | {"rounds": ROUNDS, "rates": [FORGETS, ERRS], "seed": params.seed}
    return pd.read_pickle(stage(params, "honesty", key, build) / "honesty.pkl").set_index(
        ["belief", "forget", "err"]
    )


def _codes(params: Params, split: str) -> np.ndarray:
    """The codes [G, F] of a split's cards."""
    return codes([facts(answers) for answers in cards(params, split).values()])


def _by_mllm(params: Params, given: Setting, variant: str) -> dict[str, np.ndarray]:
    """The methods that ask only the MLLM, and no question at all: {method: first [R + 1, Q]}."""
    run, rule, val = given.run, given.rule, interaction(params, "val", variant=variant)
    whole = whole_trace(params, run, "test", variant=variant)
    alone = per_query_metrics(run.sim, *run.pids)["first"]
    depths = [min(K, params.thi.k_max) for K in range(1, ROUNDS + 1)]
    points = [chosen(params.changed("thi", K=K), val) for K in depths]
    algorithm1 = [alone, *(run.per_query(**point)["first"] for point in points)]
    everything = run.by_evidence(whole, rule.evidence)["first"]
    return {
        "no question": np.tile(alone, (ROUNDS + 1, 1)),
        "MLLM, Algorithm 1": np.array(algorithm1),
        "MLLM, evidence": _evidence_by_round(run, rule, whole),
        "MLLM, evidence, all asked": np.tile(everything, (ROUNDS + 1, 1)),
    }


def _evidence_by_round(run: Interaction, rule: Rule, whole) -> np.ndarray:
    """The first right picture's rank [R + 1, Q] by evidence after each question of its policy."""
    free = rule.asking(run, whole.k_max, -np.inf)
    mllm.play(free, whole)
    firsts = []
    for asked in range(ROUNDS + 1):
        query, place = np.nonzero(free.order[:, :asked] >= 0)
        rank = free.order[query, place]
        p_yes = np.full(whole.p_yes.shape, np.nan)
        p_yes[query, rank] = whole.p_yes[query, rank]
        firsts.append(run.by_evidence(replace(whole, p_yes=p_yes), rule.evidence)["first"])
    return np.array(firsts)


def _key(given: Setting) -> dict:
    """All that a game depends on, but for the witnesses."""
    rule, cards_ = given.rule, given.alone.cards
    return {
        "trace": given.run.folder.name if given.run.folder else None,
        "rule": [asdict(rule.evidence), rule.policy, rule.price, rule.answers.right.tolist()],
        "cards": digest(cards_.tolist()),
        "theta": digest(np.round(given.theta, 6).tolist()),
        "truth": digest(given.truth.tolist()),
    }
