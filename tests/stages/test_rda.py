"""RDA's texts, their file in the authors' format, and the MLLM's own check of them."""

import json

from icl_lib import stages
from icl_lib.data.manifest import captions
from icl_lib.rda import read_diversity


def test_rda_is_written_in_the_authors_format(params, done):
    file = next(params.cache_dir.glob("rda-*/diversity.json"))
    train = captions(stages.data(params), "train")
    assert set(read_diversity(file, train)) == set(train["caption_id"])
    assert "diversity_captions" in json.loads(file.read_text())[0]


def test_every_distinct_sub_sentence_is_checked_once(params, done):
    table = stages.checked(params)
    assert table["p"].between(0, 1).all() and 0 < table["captioned"].sum() < len(table)
    assert not table.duplicated(["path", "text"]).any()
