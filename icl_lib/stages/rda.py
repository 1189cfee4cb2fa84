"""The stage of notebook 01: RDA of every training caption."""

from pathlib import Path

import pandas as pd

from icl_lib import rda as rda_steps
from icl_lib.data.benchmarks import PATH_KEYS
from icl_lib.data.manifest import captions, fingerprint
from icl_lib.mllm.load import load_mllm
from icl_lib.mllm.tasks import decompose
from icl_lib.params import Params
from icl_lib.results import write_json
from icl_lib.stages.made import stage
from icl_lib.stages.manifest import data


def reorganised(params: Params) -> dict[int, dict]:
    """RDA of every training caption: {caption_id: {vqa, enriched, sentences, parts}} (see `icl_lib.rda.augment.augment`)."""
    train = captions(data(params), "train")
    mllm = load_mllm(params)

    def build(folder: Path) -> None:
        texts = rda_steps.augment(train, mllm, folder, params.rda.rewrites)
        rda_steps.write_diversity(
            train,
            {i: row["parts"] for i, row in texts.items()},
            folder / "diversity.json",
            params.data_root,
            PATH_KEYS[params.dataset],
        )
        write_json(folder / "parse_report.json", dict(mllm.parse_report))

    # No seed: M writes greedily, and what is drawn from its texts is drawn in training.
    key = {
        "rewrites": params.rda.rewrites,
        "data": fingerprint(train),
        "mllm": mllm.writer_name,
        "prompts": mllm.prompts.hash,
    }
    folder = stage(params, "rda", key, build)
    return rda_steps.augment(train, mllm, folder, params.rda.rewrites)


def checked(params: Params) -> pd.DataFrame:
    """RDA's distinct sub-sentences, each asked about its picture: path, text, captioned, p.

    captioned: whether a caption of the picture says it (see `icl_lib.rda.filter.sub_sentences`); p: P(Yes) of the unadapted model.
    """
    train, mllm = captions(data(params), "train"), load_mllm(params)
    table = rda_steps.sub_sentences(
        reorganised(params), train, decompose(mllm, train["caption"].tolist())
    )
    return table.assign(p=mllm.p_yes(table["path"].tolist(), table["text"].tolist()))
