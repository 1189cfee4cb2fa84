"""What the backbone is trained on, and what makes it another backbone."""

import shutil

import pytest
from safetensors.torch import load_file, save_file

from icl_lib import rda, stages
from icl_lib.data.manifest import captions
from icl_lib.mllm.weights import SMALL_MODEL
from icl_lib.stages import backbones


def test_a_file_of_texts_replaces_the_mllm(params, tiny, done, monkeypatch, tmp_path, capsys):
    train, file = captions(stages.data(params), "train"), tmp_path / "theirs.json"
    parts = {int(i): [[f"Text {i}."], ["Seen from afar."]] for i in train["caption_id"][2:]}
    rda.write_diversity(train, parts, file)
    given = tiny(rda__file=str(file))
    own, trained = stages.backbone(params), []
    monkeypatch.setattr(backbones, "load_mllm", lambda *_: pytest.fail("the MLLM was asked"))
    monkeypatch.setattr(
        backbones,
        "train_backbone",
        lambda params, manifest, folder, texts, *_: trained.append(texts),
    )
    first = stages.backbone(given)
    assert first != own and f"{len(parts):,} of {len(train):,}" in capsys.readouterr().out
    expected = {int(row.caption_id): [[row.caption]] for row in train.itertuples()}
    assert trained[0] == expected | parts
    rda.write_diversity(train, {**parts, next(iter(parts)): [["Another."]]}, file)
    assert stages.backbone(given) != first, "another content, another training"
    with pytest.raises(ValueError, match="set only one of them"):
        tiny(rda__file="x.json", rda__drop=0.5)


def test_weights_replaced_under_the_same_name_write_new_texts_and_train_another_backbone(
    tiny, done, tmp_path
):
    folder = tmp_path / "model"
    shutil.copytree(SMALL_MODEL, folder)
    other = tiny(mllm__model=str(folder))
    first = stages.backbone(other)
    weights = load_file(folder / "model.safetensors")
    name = next(name for name in weights if name.endswith("embed_tokens.weight"))
    weights[name] = -weights[name]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    assert stages.backbone(other) != first
