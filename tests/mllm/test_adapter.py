"""A LoRA adapter is applied whole, whatever names its tensors have, or it is refused."""

import json
import logging
import shutil

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from tiny_models import TINY

from icl_lib import load_params
from icl_lib.mllm import load_mllm
from icl_lib.mllm.adapter import current_name, former_name, save_merged
from icl_lib.mllm.weights import load_model

TEXTS = ["A woman.", "A man in a red coat.", "red", "He carries a brown bag."]
LANGUAGE = ["q_proj", "v_proj", "down_proj"]
EVERYWHERE = [*LANGUAGE, "qkv", "fc1"]  # also layers of the vision tower


@pytest.fixture(scope="module", params=["qwen2_vl", "qwen2_5_vl"])
def folder(request, tmp_path_factory):
    return TINY[request.param](tmp_path_factory.mktemp("tiny") / request.param)


@pytest.fixture
def params(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("ICL_RESULTS", str(tmp_path / "results"))
    return load_params(model=str(folder), prompts="full", mllm__batch_size=4, max_new_tokens=8)


@pytest.fixture
def adapter(params, folder, tmp_path):
    """adapter(targets, **config) -> a folder as peft saves it, which changes the answers."""

    def save(targets=EVERYWHERE, **config):
        torch.manual_seed(0)
        model, _ = load_model(params, folder)
        settings = LoraConfig(r=4, target_modules=targets, task_type="CAUSAL_LM", **config)
        adapted = get_peft_model(model, settings)
        for name, weight in adapted.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(weight, std=0.3)
        adapted.save_pretrained(tmp_path / "adapter")
        return tmp_path / "adapter"

    return save


def rewritten(adapter, change, **config):
    """A copy of the adapter with `change(tensors)` and other fields in its config."""
    copy = adapter.with_name(f"{adapter.name}-copy")
    shutil.copytree(adapter, copy, dirs_exist_ok=True)
    tensors = change(load_file(adapter / "adapter_model.safetensors"))
    save_file(tensors, copy / "adapter_model.safetensors")
    file = copy / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | config))
    return copy


def before_4_52(tensors):
    prefix = "base_model.model."
    return {prefix + former_name(k.removeprefix(prefix)): t for k, t in tensors.items()}


def with_its_own_name(tensors):
    return {name.replace(".weight", ".default.weight"): tensor for name, tensor in tensors.items()}


SCHEMES = {
    "of today": dict,
    "of today, with the adapter's name": with_its_own_name,
    "before 4.52": before_4_52,
    "before 4.52, with the adapter's name": lambda tensors: with_its_own_name(before_4_52(tensors)),
}


def p_yes(params, adapter, pictures):
    return load_mllm(params, adapter).inner.p_yes(pictures[:4], TEXTS)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_naming_of_the_tensors_gives_the_same_answers(params, adapter, pictures, scheme):
    own = adapter()
    expected = p_yes(params, own, pictures)
    renamed = rewritten(own, SCHEMES[scheme])
    np.testing.assert_allclose(p_yes(params, renamed, pictures), expected, atol=1e-6)
    assert np.abs(expected - p_yes(params, None, pictures)).max() > 1e-3


@pytest.mark.parametrize("small", [0, 10**9])
def test_old_names_work_merged_and_beside_the_weights(
    params, adapter, pictures, small, monkeypatch
):
    own = adapter()
    old = rewritten(own, before_4_52)
    monkeypatch.setattr("icl_lib.mllm.local.SMALL", small)
    np.testing.assert_allclose(
        p_yes(params, old, pictures), p_yes(params, own, pictures), atol=1e-6
    )


@pytest.mark.parametrize(
    ("today", "formerly"),
    [
        (r".*language_model.*\.(q_proj|down_proj)", r"^model\..*\.(q_proj|down_proj)"),
        (r".*language_model.*\.(q_proj|down_proj)", r"^(?!.*visual).*(?:q_proj|down_proj).*"),
        ([f"model.language_model.layers.{n}.self_attn.q_proj" for n in (0, 1)],
         [f"model.layers.{n}.self_attn.q_proj" for n in (0, 1)]),
    ],
)  # fmt: skip
def test_target_modules_of_an_old_adapter_are_matched_with_old_names(
    params, adapter, pictures, today, formerly
):
    """Before 4.52 `model.*` left out the vision tower, where Qwen2.5-VL has a down_proj too."""
    own = adapter(today)
    old = rewritten(own, before_4_52, target_modules=formerly)
    np.testing.assert_allclose(
        p_yes(params, old, pictures), p_yes(params, own, pictures), atol=1e-6
    )


def test_scales_of_single_layers_are_translated_too(params, adapter, pictures):
    layer = "model.language_model.layers.0.self_attn.q_proj"
    own = adapter(LANGUAGE, alpha_pattern={layer: 64}, rank_pattern={layer: 2})
    old_layer = former_name(layer)
    old = rewritten(own, before_4_52, alpha_pattern={old_layer: 64}, rank_pattern={old_layer: 2})
    np.testing.assert_allclose(
        p_yes(params, old, pictures), p_yes(params, own, pictures), atol=1e-6
    )


def test_the_number_of_applied_tensors_is_reported(params, adapter, caplog):
    own = adapter(["q_proj"])
    with caplog.at_level(logging.INFO, logger="icl_lib"):
        mllm = load_mllm(params, own).inner
    assert mllm.adapter_note == "4 tensors applied to 2 layers"
    assert [record.levelno for record in caplog.records] == [logging.INFO]
    caplog.clear()
    load_mllm(params, rewritten(own, before_4_52))
    assert caplog.records[0].levelno == logging.WARNING, "shown even where nobody asked for a log"
    assert "4 tensors applied to 2 layers; its old tensor names were translated" in caplog.text
    assert load_mllm(params).inner.adapter_note == ""


def one_more(tensors):
    name = next(iter(tensors))
    return tensors | {name.replace("layers.0", "layers.7"): tensors[name].clone()}


def one_less(tensors):
    return dict(list(tensors.items())[1:])


def other_shape(tensors):
    name = next(iter(tensors))
    return tensors | {name: tensors[name][:, :-1].clone()}


def of_another_model(tensors):
    return {
        name.replace("model.language_model.", "transformer.h."): t for name, t in tensors.items()
    }


@pytest.mark.parametrize("naming", ["of today", "before 4.52"])
@pytest.mark.parametrize(
    ("change", "told"),
    [
        (one_more, r"1 of its 9 tensors have no place in the model \(.*layers\.7\.\S+\)"),
        (one_less, r"1 places in the model get no tensor \(.*layers\.0\.\S+lora_A.weight\)"),
        (other_shape, r"size mismatch for .*layers\.0\.\S+lora_A"),
        (of_another_model, r"8 of its 8 tensors have no place .*transformer\.h\..* …\); 8 places"),
        (lambda tensors: {"lora_A": next(iter(tensors.values()))}, "1 of its 1 tensors have no"),
    ],
)  # fmt: skip
def test_an_adapter_that_does_not_fit_is_refused_by_name(params, adapter, change, told, naming):
    own = adapter(["q_proj", "v_proj"])
    wrong = rewritten(own, lambda tensors: SCHEMES[naming](change(tensors)))
    with pytest.raises(ValueError, match=f"(?s){wrong} does not fit this model: .*{told}"):
        load_mllm(params, wrong)


def test_an_adapter_that_gives_a_place_two_tensors_is_refused(params, adapter):
    own = adapter(["q_proj"])
    twice = rewritten(own, lambda t: before_4_52({k: 2 * v for k, v in t.items()}) | t)
    with pytest.raises(ValueError, match=r"4 places in the model get more than one tensor \("):
        load_mllm(params, twice)


@pytest.mark.parametrize("file", ["adapter_model.safetensors", "adapter_config.json"])
@pytest.mark.parametrize("content", [b"", b"no tensor", b"[]"])
def test_a_damaged_adapter_is_refused(params, adapter, file, content):
    own = adapter(["q_proj"])
    (own / file).write_bytes(content)
    with pytest.raises(ValueError, match=r"adapter is not readable \(.*Copy it again, or train"):
        load_mllm(params, own)


def test_an_adapter_of_another_model_is_refused_with_the_name_of_that_model(params, adapter):
    wrong = rewritten(adapter(), one_less, base_model_name_or_path="Qwen/Qwen2-VL-7B-Instruct")
    with pytest.raises(ValueError, match=r"trained for Qwen/Qwen2-VL-7B-Instruct: set mllm.model"):
        load_mllm(params, wrong)


def test_an_adapter_without_weights_is_refused(params, adapter):
    own = adapter()
    (own / "adapter_model.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match="holds no adapter"):
        load_mllm(params, own)


@pytest.mark.parametrize("name", ["model.layers.3.mlp", "model.embed_tokens", "visual.blocks.0"])
def test_names_are_translated_there_and_back(name):
    assert former_name(current_name(name)) == name != current_name(name)
    assert current_name(current_name(name)) == current_name(name)
    assert current_name("lm_head") == former_name("lm_head") == "lm_head"


def checkpoint(folder, to, change):
    shutil.copytree(folder, to)
    tensors = change(load_file(folder / "model.safetensors"))
    save_file(tensors, to / "model.safetensors", metadata={"format": "pt"})
    return to


@pytest.mark.parametrize("name", [former_name, current_name])
def test_a_merged_folder_answers_as_its_adapter_under_old_and_new_names(
    params, adapter, pictures, tmp_path, name
):
    own = adapter()
    merged = save_merged(params, own, tmp_path / "merged")
    named = checkpoint(merged, tmp_path / "named", lambda t: {name(k): v for k, v in t.items()})
    whole = params.model_copy(update={"mllm": params.mllm.model_copy(update={"model": str(named)})})
    np.testing.assert_allclose(
        p_yes(whole, None, pictures), p_yes(params, own, pictures), atol=1e-5
    )


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda t: {name: t[name] for name in list(t) if name != list(t)[1]},
         r"1 tensors are missing \(\S+\)"),
        (lambda t: t | {"model.layers.9.mlp.bias": torch.zeros(2)},
         r"1 tensors belong to no part of the model \(\S*layers.9.mlp.bias\)"),
        (lambda t: t | {name: t[name][:2].clone() for name in list(t)[:1]},
         "1 tensors have another"),
    ],
)  # fmt: skip
def test_a_checkpoint_that_does_not_fit_is_refused_by_name(params, folder, tmp_path, change, told):
    wrong = checkpoint(folder, tmp_path / "wrong", change)
    with pytest.raises(ValueError, match=f"{wrong} do not fit Qwen2.*: {told}"):
        load_model(params, wrong)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("model.safetensors", b""),
        ("model.safetensors", b"no tensor"),
        ("config.json", b"[]"),
        ("tokenizer.json", b"[]"),
    ],
)
def test_a_damaged_checkpoint_is_refused(params, folder, tmp_path, file, content):
    damaged = shutil.copytree(folder, tmp_path / "damaged")
    (damaged / file).write_bytes(content)
    with pytest.raises(ValueError, match=f"{damaged} does not load"):
        load_model(params, damaged)


def test_an_adapter_beside_the_weights_is_not_applied_unseen(params, folder, adapter, tmp_path):
    both = shutil.copytree(folder, tmp_path / "both")
    shutil.copytree(adapter(), both, dirs_exist_ok=True)
    with pytest.raises(ValueError, match=f"{both} holds an adapter .*move the adapter"):
        load_model(params, both)
