"""What RDA's texts invent, judged by a stand-in's truth and by the MLLM's own P(Yes).

The paper leaves both open. Only notebooks and tests use this; no stage of the pipeline knows the
truth.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from icl_lib.analysis.claims import claims, marked
from icl_lib.analysis.fidelity import read_answer
from icl_lib.data.standin.phrases import GROUPS
from icl_lib.mllm.base import MLLM
from icl_lib.rda.filter import kept, least_believed

CHARACTERISTIC = {  # attribute -> what is asked about in one question
    "sex": "sex",
    **{name: group for group, names in GROUPS.items() for name in names},
    "pattern": "pattern",
}
CHARACTERISTICS = list(dict.fromkeys(CHARACTERISTIC.values()))
FROM_BEST = ["fits", "not shown", "contradicted"]  # verdicts


def by_step(texts: Mapping[int, dict], captions: pd.DataFrame, root) -> pd.DataFrame:
    """Share of the stated facts that the picture contradicts, in percent, after each step of RDA.

    Args:
        texts: {caption_id: {vqa, enriched, sentences, parts}} of `icl_lib.rda.augment.augment`.
        captions: The captions that `texts` are made of.
        root: The folder of the stand-in.

    Returns:
        A row per characteristic and one for all. Columns: caption, VQA (the answers about a picture
        count once), aggregation, decomposition, rewriting (all rewritings), and facts, the number
        of facts stated after the last step.
    """
    paths = captions["path"].tolist()
    rows = [texts[int(i)] for i in captions["caption_id"]]
    first = captions.drop_duplicates("image_id")
    answers = [_facts_of(texts[int(i)]["vqa"].values()) for i in first["caption_id"]]
    rewritten = [[text for part in row["parts"] for text in part] for row in rows]
    said = {
        "caption": claims(captions["caption"].tolist(), root, paths),
        "VQA": marked(answers, root, first["path"].tolist()),
        "aggregation": claims([row["enriched"] for row in rows], root, paths),
        "decomposition": _claims_of([row["sentences"] for row in rows], root, paths),
        "rewriting": _claims_of(rewritten, root, paths),
    }
    table = {}
    for step, stated in said.items():
        wrong = stated["verdict"] == "contradicted"
        groups = wrong.groupby(stated["attribute"].map(CHARACTERISTIC))
        table[step] = pd.concat([100 * groups.mean(), pd.Series({"all": 100 * wrong.mean()})])
    table["facts"] = pd.concat([groups.size(), pd.Series({"all": len(wrong)})])
    return pd.DataFrame(table).reindex([*CHARACTERISTICS, "all"]).rename_axis("characteristic")


def verdicts(table: pd.DataFrame, root) -> pd.DataFrame:
    """The verdict and the characteristic of each sub-sentence that states a known fact.

    Args:
        table: The columns path and text, and any others.
        root: The folder of the stand-in.

    Returns:
        The rows of `table` that state a known fact, with the columns verdict, the worst of a
        sentence's facts, and characteristic, that of its first fact beside the sex if it has one.
    """
    found = claims(table["text"].tolist(), root, table["path"].tolist())
    worst = found["verdict"].map(FROM_BEST.index).groupby(found["text"]).max()
    last = found.assign(of_sex=found["attribute"] == "sex").sort_values("of_sex", kind="stable")
    marks = pd.DataFrame(
        {
            "verdict": worst.map(FROM_BEST.__getitem__),
            "characteristic": last.groupby("text")["attribute"].first().map(CHARACTERISTIC),
        }
    ).reindex(range(len(table)))
    return table.assign(**marks.set_axis(table.index)).dropna(subset="verdict")


def separation(table: pd.DataFrame) -> dict[str, float]:
    """How well P(Yes) separates sub-sentences that fit from contradicted ones.

    Args:
        table: The columns verdict and p; sentences that are "not shown" are left out.

    Returns:
        The number of sentences, the contradicted ones in percent, and AUC in percent: the chance
        that a sentence that fits gets the higher P(Yes). 50 is chance; NaN for one kind only.
    """
    part = table[table["verdict"] != "not shown"]
    fits = part["verdict"] == "fits"
    return {
        "sentences": len(part),
        "contradicted": 100 * (~fits).mean(),
        "AUC": 100 * roc_auc_score(fits, part["p"]) if fits.nunique() == 2 else np.nan,
    }


def others_sentences(table: pd.DataFrame, count: int, seed: int = 0) -> pd.DataFrame:
    """`count` pictures of `table`, each with the text of another row drawn at random."""
    rng = np.random.default_rng(seed)
    drawn = {
        name: table[name].to_numpy()[rng.integers(len(table), size=count)]
        for name in ("path", "text")
    }
    return pd.DataFrame(drawn).drop_duplicates(ignore_index=True)


def compared_checks(
    table: pd.DataFrame, models: Mapping[str, MLLM], root, seed: int = 0
) -> pd.DataFrame:
    """How well each model's P(Yes) separates true claims from false ones.

    Args:
        table: The columns path and text: sub-sentences that the MLLM wrote of these pictures.
        models: Label -> model.
        root: The folder of the stand-in.
        seed: Draws the claims that are taken from other pictures.

    Returns:
        A row for the MLLM's own claims and one for claims taken from other pictures, with the
        number of sentences, the contradicted ones and each model's AUC in percent.
    """
    others = others_sentences(table, len(table), seed)
    kinds = {"its own claims": table[["path", "text"]], "claims of other pictures": others}
    rows = {}
    for kind, pairs in kinds.items():
        known = verdicts(pairs, root)
        paths, texts = known["path"].tolist(), known["text"].tolist()
        told = {
            label: separation(known.assign(p=mllm.p_yes(paths, texts)))
            for label, mllm in models.items()
        }
        counts = next(iter(told.values()))
        rows[kind] = {name: counts[name] for name in ("sentences", "contradicted")}
        rows[kind] |= {f"AUC {label}": values["AUC"] for label, values in told.items()}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("sub-sentences")


def trade(
    table: pd.DataFrame, shares: Sequence[float] = tuple(n / 10 for n in range(11))
) -> pd.DataFrame:
    """What the filter by P(Yes) gains and loses at each share of additions that it leaves out.

    Args:
        table: The result of `verdicts`, with the columns p and captioned.
        shares: The shares of the additions that are left out (see `rda.filter.without_least`).

    Returns:
        A row per share. All values in percent. Columns: contradicted (of the sub-sentences that are
        left) and "true kept" (of those that fit).
    """
    all_true = max(1, (table["verdict"] == "fits").sum())
    rows = {}
    for share in shares:
        left = table.loc[~least_believed(table, share), "verdict"]
        rows[100 * share] = {
            "contradicted": 100 * (left == "contradicted").mean(),
            "true kept": 100 * ((left == "fits").sum() / all_true),
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("left out")


def without_contradicted(texts: dict[int, dict], captions: pd.DataFrame, root) -> dict[int, dict]:
    """The texts without contradicted sub-sentences, as a perfect filter would leave them.

    An instrument of the stand-in, not a method, since nobody knows the truth of a real picture. A
    caption that would lose all its sub-sentences keeps the first.
    """
    path_of = dict(zip(captions["caption_id"].astype(int), captions["path"], strict=True))
    told = {(path_of[i], text) for i, row in texts.items() for text in row["sentences"]}
    marks = verdicts(pd.DataFrame(sorted(told), columns=["path", "text"]), root)
    marks = marks[marks["verdict"] == "contradicted"]
    wrong = set(zip(marks["path"], marks["text"], strict=True))
    return kept(texts, lambda i, text: (path_of[i], text) not in wrong, lambda i, text: 0.0)


def _facts_of(answers: Iterable[str | None]) -> dict[str, str]:
    """The facts of the answers about one picture; of two values the first counts."""
    facts: dict[str, str] = {}
    for answer in filter(None, answers):
        facts = read_answer(answer) | facts
    return facts


def _claims_of(sentences: Sequence[Sequence[str]], root, paths: Sequence) -> pd.DataFrame:
    """Claims of texts given as sentences, each read by itself."""
    flat = [(text, path) for own, path in zip(sentences, paths, strict=True) for text in own]
    return claims([text for text, _ in flat], root, [path for _, path in flat])
