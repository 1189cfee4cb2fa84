"""What RDA's texts make up: against the stand-in's truth, and by M's own P(Yes) of each sub-sentence.

The paper leaves both open. Only notebooks and tests read this; no stage of the pipeline knows the truth.
"""

from collections.abc import Mapping, Sequence

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


def by_step(texts: Mapping[int, dict], captions: pd.DataFrame, root) -> pd.DataFrame:
    """Share of the stated facts that the picture contradicts, in percent: a row a characteristic, a column a step.

    texts: {caption_id: {vqa, enriched, sentences, parts}} of `icl_lib.rda.augment.augment` about `captions` of the
    stand-in at `root`. Columns: caption, VQA (each picture's answers once), aggregation, decomposition, rewriting
    (all rewritings); `facts` is the number of facts stated after the last step. The last row is over all.
    """
    paths = captions["path"].tolist()
    rows = [texts[int(i)] for i in captions["caption_id"]]
    first = captions.drop_duplicates("image_id")
    answers = [_facts_of(texts[int(i)]["vqa"].values()) for i in first["caption_id"]]
    said = {
        "caption": claims(captions["caption"].tolist(), root, paths),
        "VQA": marked(answers, root, first["path"].tolist()),
        "aggregation": claims([row["enriched"] for row in rows], root, paths),
        "decomposition": _claims_of([row["sentences"] for row in rows], root, paths),
        "rewriting": _claims_of([sum(row["parts"], []) for row in rows], root, paths),
    }
    table = {}
    for step, stated in said.items():
        wrong = stated["verdict"] == "contradicted"
        groups = wrong.groupby(stated["attribute"].map(CHARACTERISTIC))
        table[step] = pd.concat([100 * groups.mean(), pd.Series({"all": 100 * wrong.mean()})])
    table["facts"] = pd.concat([groups.size(), pd.Series({"all": len(wrong)})])
    return pd.DataFrame(table).reindex([*CHARACTERISTICS, "all"]).rename_axis("characteristic")


def verdicts(table: pd.DataFrame, root) -> pd.DataFrame:
    """`table` (path, text) with verdict and characteristic; a row each, those that state no known fact left out.

    The verdict of a sub-sentence: "contradicted" if one of its facts is, else "not shown" if one is, else "fits".
    Its characteristic is that of its facts beside the sex, if it has any.
    """
    found = claims(table["text"].tolist(), root, table["path"].tolist())
    from_best = ["fits", "not shown", "contradicted"]
    worst = (
        found["verdict"]
        .map(from_best.index)
        .groupby(found["text"])
        .max()
        .map(from_best.__getitem__)
    )
    last = found.assign(of_sex=found["attribute"] == "sex").sort_values("of_sex", kind="stable")
    about = last.groupby("text")["attribute"].first().map(CHARACTERISTIC)
    marks = pd.DataFrame({"verdict": worst, "characteristic": about}).reindex(range(len(table)))
    return table.assign(**{name: marks[name].to_numpy() for name in marks}).dropna(subset="verdict")


def separation(table: pd.DataFrame, p: str = "p") -> dict[str, float]:
    """How P(Yes) tells sub-sentences that fit from contradicted ones: sentences, contradicted and AUC in percent.

    AUC is the chance that a sentence that fits gets the higher P(Yes); 50 is a coin, NaN if there is one kind only.
    """
    part = table[table["verdict"] != "not shown"]
    fits = part["verdict"] == "fits"
    auc = 100 * roc_auc_score(fits, part[p]) if 0 < fits.sum() < len(fits) else np.nan
    return {
        "sentences": len(part),
        "contradicted": 100 * float((~fits).mean()) if len(part) else np.nan,
        "AUC": auc,
    }


def others_sentences(table: pd.DataFrame, count: int, seed: int = 0) -> pd.DataFrame:
    """`count` pictures of `table`, each with a sub-sentence drawn from another row: claims that nobody made of it."""
    rng = np.random.default_rng(seed)
    pictures = table["path"].to_numpy()[rng.integers(len(table), size=count)]
    texts = table["text"].to_numpy()[rng.integers(len(table), size=count)]
    return pd.DataFrame({"path": pictures, "text": texts}).drop_duplicates(ignore_index=True)


def compared_checks(
    table: pd.DataFrame, models: Mapping[str, MLLM], root, seed: int = 0
) -> pd.DataFrame:
    """AUC of each model's P(Yes), a row each for M's own claims and for claims taken from other pictures.

    table: path, text of sub-sentences that M wrote of these pictures of the stand-in at `root`.
    """
    others = others_sentences(table, len(table), seed)
    kinds = {"its own claims": table[["path", "text"]], "claims of other pictures": others}
    rows = {}
    for kind, pairs in kinds.items():
        pairs = verdicts(pairs, root)
        row = {}
        for label, mllm in models.items():
            pairs = pairs.assign(p=mllm.p_yes(pairs["path"].tolist(), pairs["text"].tolist()))
            told = separation(pairs)
            row |= {
                "sentences": told["sentences"],
                "contradicted": told["contradicted"],
                f"AUC {label}": told["AUC"],
            }
        rows[kind] = row
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("sub-sentences")


def trade(
    table: pd.DataFrame, shares: Sequence[float] = tuple(n / 10 for n in range(11))
) -> pd.DataFrame:
    """What `icl_lib.rda.filter.without_least` does at each share (percent), of `stages.checked` with its `verdicts`.

    Columns, in percent: contradicted (of the sub-sentences that are left), true kept (of those that fit).
    """
    rows = {}
    for share in shares:
        left = table[~least_believed(table, share)]
        fits = (left["verdict"] == "fits").sum() / max(1, (table["verdict"] == "fits").sum())
        wrong = (left["verdict"] == "contradicted").mean()
        rows[100 * share] = {"contradicted": 100 * wrong, "true kept": 100 * fits}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("left out")


def without_contradicted(texts: dict[int, dict], captions: pd.DataFrame, root) -> dict[int, dict]:
    """The texts less every sub-sentence that the drawing contradicts: the best that any filter could do.

    An instrument of the stand-in, not a method: nobody knows the truth of a real picture. A caption all of whose
    sub-sentences are contradicted keeps its first.
    """
    path_of = dict(zip(captions["caption_id"].astype(int), captions["path"]))
    told = dict.fromkeys(
        (path_of[i], text) for i, row in texts.items() for text in row["sentences"]
    )
    marks = verdicts(pd.DataFrame(list(told), columns=["path", "text"]), root)
    wrong = set(
        marks.loc[marks["verdict"] == "contradicted", ["path", "text"]].itertuples(
            index=False, name=None
        )
    )
    return kept(texts, lambda i, text: (path_of[i], text) not in wrong, lambda i, text: 0.0)


def _facts_of(answers) -> dict[str, str]:
    facts: dict[str, str] = {}
    for answer in filter(None, answers):
        facts = read_answer(answer) | facts
    return facts


def _claims_of(sentences: Sequence[Sequence[str]], root, paths: Sequence) -> pd.DataFrame:
    """Claims of texts given as sentences, every sentence read by itself: no adjective wanders into the next."""
    flat = [(text, path) for own, path in zip(sentences, paths) for text in own]
    return claims([text for text, _ in flat], root, [path for _, path in flat])
