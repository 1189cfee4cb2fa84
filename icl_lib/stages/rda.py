"""The stage of notebook 01: RDA of every training caption."""

from pathlib import Path

import pandas as pd

from icl_lib.data import captions, fingerprint
from icl_lib.data.benchmarks import PATH_KEYS
from icl_lib.mllm import decompose, load_mllm
from icl_lib.params import Params
from icl_lib.rda import augment, sub_sentences, write_diversity
from icl_lib.results import write_json
from icl_lib.stages.made import stage
from icl_lib.stages.manifest import data


def reorganised(params: Params) -> dict[int, dict]:
    """RDA of every training caption: {caption_id: {vqa, enriched, sentences, parts}}.

    `icl_lib.rda.augment.augment` explains the four.
    """
    train, mllm = captions(data(params), "train"), load_mllm(params)

    def build(folder: Path) -> None:
        texts = augment(train, mllm, folder, params.rda.rewrites)
        parts = {caption_id: row["parts"] for caption_id, row in texts.items()}
        file, path_key = folder / "diversity.json", PATH_KEYS[params.dataset]
        write_diversity(train, parts, file, params.data_root, path_key)
        write_json(folder / "parse_report.json", dict(mllm.parse_report))

    # Without the seed: the MLLM writes greedily, and drawing from its texts is part of training.
    key = {
        "rewrites": params.rda.rewrites,
        "data": fingerprint(train),
        "mllm": mllm.writer_name,
        "prompts": mllm.prompts.hash,
    }
    return augment(train, mllm, stage(params, "rda", key, build), params.rda.rewrites)


def checked(params: Params) -> pd.DataFrame:
    """RDA's distinct sub-sentences and how far the MLLM believes each: path, text, captioned, p.

    captioned: whether a caption of the picture says it (see `icl_lib.rda.filter.sub_sentences`).
    p: P(Yes) by the MLLM without an adapter, for the picture and the sub-sentence.
    """
    train, mllm = captions(data(params), "train"), load_mllm(params)
    own = decompose(mllm, train["caption"].tolist())
    table = sub_sentences(reorganised(params), train, own)
    return table.assign(p=mllm.p_yes(table["path"].tolist(), table["text"].tolist()))
