import json

import numpy as np
import pandas as pd
import pytest
import torch
from peft import PeftModel

from icl_lib import load_params
from icl_lib.mllm import lora
from icl_lib.mllm.chat import Chat
from icl_lib.mllm.lora import (
    Collator,
    add_lora,
    last_whole_checkpoint,
    train_adapter,
)
from icl_lib.mllm.weights import load_model, prompts_of
from icl_lib.mllm.yes_no import judge_metrics


@pytest.fixture
def params(tiny_folder, tmp_path, monkeypatch):
    monkeypatch.setenv("ICL_RESULTS", str(tmp_path / "results"))
    return load_params(
        model=str(tiny_folder),
        prompts="full",
        mllm__batch_size=8,
        max_new_tokens=8,
        sft__epochs=6,
        sft__batch_size=8,
        sft__lr=2e-2,
        sft__dropout=0.0,
    )


@pytest.fixture
def pairs(pictures):
    """A rule that a random model of 60,000 weights learns in seconds: one of two texts fits."""
    rows = [
        (path, word, int(word == "black"), 1, i, i)
        for i, path in enumerate(pictures)
        for word in ("black", "white")
    ]
    return pd.DataFrame(rows, columns=["path", "caption", "label", "rank", "pid", "image_pid"])


@pytest.fixture
def parts(params, tiny_folder):
    model, processor = load_model(params, tiny_folder)
    return Chat(processor, model.requires_grad_(False)), prompts_of(params)


def adapter_of(folder):
    from safetensors.torch import load_file

    return load_file(folder / "adapter_model.safetensors")


def test_training_lifts_yes_no_and_leaves_writing_alone(
    params, pairs, tmp_path, make_local, pictures
):
    folder = train_adapter(params, pairs, tmp_path / "adapter")
    raw, adapted = make_local(), make_local(adapter=folder)
    before = judge_metrics(
        pairs["label"], raw.p_yes(pairs["path"].tolist(), pairs["caption"].tolist())
    )
    after = judge_metrics(
        pairs["label"], adapted.p_yes(pairs["path"].tolist(), pairs["caption"].tolist())
    )
    assert after["AUC"] > 95 and after["accuracy"] > before["accuracy"] + 10
    assert adapted.write(["black"] * 2, pictures[:2]) == raw.write(["black"] * 2, pictures[:2])
    assert adapted.name != raw.name and adapted.writer_name == raw.writer_name
    log = pd.read_csv(folder / "log.csv")
    assert (
        list(log) == ["step", "epoch", "loss", "learning_rate"]
        and log["loss"].iloc[-1] < log["loss"].iloc[0]
    )
    assert (
        len(pd.read_csv(folder / "pairs.csv")) == len(pairs) and not (folder / "trainer").exists()
    )
    record = json.loads((folder / "sharegpt.json").read_text())[0]
    assert record["conversations"][0]["value"].startswith("<image>Can this text") and record[
        "images"
    ] == [pictures[0]]
    assert record["conversations"][1] == {"from": "gpt", "value": "Yes"}


def test_merged_and_unmerged_adapter_answer_alike(
    params, pairs, tmp_path, make_local, pictures, monkeypatch
):
    folder = train_adapter(
        params.model_copy(update={"sft": params.sft.model_copy(update={"epochs": 1})}),
        pairs,
        tmp_path / "adapter",
    )
    asked = pairs["path"].tolist(), pairs["caption"].tolist()
    raw, merged = make_local(), make_local(adapter=folder)
    monkeypatch.setattr("icl_lib.mllm.local.SMALL", 0)
    beside = make_local(adapter=folder)
    assert isinstance(beside._adapted, PeftModel) and merged._adapted is None
    np.testing.assert_allclose(merged.p_yes(*asked), beside.p_yes(*asked), atol=1e-5)
    assert np.abs(merged.p_yes(*asked) - raw.p_yes(*asked)).max() > 1e-3
    assert beside.write(["black"], pictures[:1]) == raw.write(["black"], pictures[:1])
    np.testing.assert_allclose(merged.p_yes(*asked), beside.p_yes(*asked), atol=1e-5)


def test_the_loss_is_on_the_answer_and_its_end_alone(parts, pairs):
    """Compared with Eq. 3 written out: log-probabilities of two tokens, row by row."""
    chat, prompts = parts
    rows = [
        *pairs.to_dict("records")[:3],
        {"path": pairs["path"][5], "caption": "a much longer caption", "label": 0},
    ]
    collate = Collator(chat, prompts, chat.see([row["path"] for row in rows]))
    with torch.no_grad():
        loss = chat.model(**collate(rows)).loss
        expected = []
        for row in rows:
            rendered = chat.render(prompts.ask_match(row["caption"]), picture=True)
            inputs = chat.batch_of_pictures(
                [rendered + ("Yes" if row["label"] else "No") + "<|im_end|>"], [row["path"]]
            )
            log_p = chat.model(**inputs).logits[0].log_softmax(-1)
            ids = inputs["input_ids"][0]
            expected += [-log_p[-3, ids[-2]], -log_p[-2, ids[-1]]]
            assert (
                chat.tokenizer.decode(ids[-2:]) == ("Yes" if row["label"] else "No") + "<|im_end|>"
            )
    torch.testing.assert_close(loss, torch.stack(expected).mean(), atol=1e-4, rtol=1e-5)


def test_encoded_pictures_train_as_pixels_do(parts, pairs, params):
    chat, prompts = parts
    rows = pairs.to_dict("records")[:6]
    adapted = add_lora(chat.model, params)
    gradients = []
    for seen in (chat.see([row["path"] for row in rows]), None):
        adapted.zero_grad()
        adapted(**Collator(chat, prompts, seen)(rows)).loss.backward()
        gradients.append(
            {
                name: weight.grad.clone()
                for name, weight in adapted.named_parameters()
                if weight.grad is not None
            }
        )
    assert gradients[0].keys() == gradients[1].keys() and len(gradients[0]) == 2 * 7 * 2
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradient, gradients[1][name], atol=1e-5, rtol=1e-3)


def test_lora_sits_in_the_language_model_only(parts, params):
    adapted = add_lora(parts[0].model, params)
    trained = [name for name, weight in adapted.named_parameters() if weight.requires_grad]
    assert trained and all(".language_model." in name and "lora_" in name for name in trained)
    config = adapted.peft_config["default"]
    assert (config.r, config.lora_alpha) == (8, 16)


def test_target_modules_that_are_nowhere_are_refused(parts, params):
    wrong = params.model_copy(
        update={"sft": params.sft.model_copy(update={"target_modules": ("query",)})}
    )
    with pytest.raises(ValueError, match="which has down_proj, gate_proj"):
        add_lora(parts[0].model, wrong)


def test_a_killed_training_goes_on_to_the_same_adapter(params, pairs, tmp_path, monkeypatch):
    params = params.model_copy(
        update={"sft": params.sft.model_copy(update={"epochs": 3, "dropout": 0.1})}
    )
    whole = adapter_of(train_adapter(params, pairs, tmp_path / "whole"))

    class Killed(BaseException):
        pass

    def die(self, args, state, control, **_):
        if state.global_step == 4:
            raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(lora._Log, "on_step_end", die)
        with pytest.raises(Killed):
            train_adapter(params, pairs, tmp_path / "killed")
    torn = tmp_path / "killed" / "trainer" / "checkpoint-4"
    torn.mkdir(exist_ok=True)
    (torn / "trainer_state.json").write_text("{")
    assert last_whole_checkpoint(torn.parent).endswith("checkpoint-3") and not torn.exists()
    resumed = adapter_of(train_adapter(params, pairs, tmp_path / "killed"))
    assert resumed.keys() == whole.keys()
    for name, weight in whole.items():
        torch.testing.assert_close(resumed[name], weight, atol=1e-6, rtol=1e-5)
    assert pd.read_csv(tmp_path / "killed" / "log.csv")["step"].is_monotonic_increasing


def test_the_adapter_is_a_normal_peft_folder(params, pairs, tmp_path, tiny_folder):
    short = params.model_copy(update={"sft": params.sft.model_copy(update={"epochs": 1})})
    folder = train_adapter(short, pairs, tmp_path / "adapter")
    model, _ = load_model(params, tiny_folder)
    assert PeftModel.from_pretrained(model, folder).active_adapter == "default"


def test_bad_adapters_are_named(make_local, tmp_path, params, pairs):
    with pytest.raises(FileNotFoundError, match=r"no adapter_config.json"):
        make_local(adapter=tmp_path)
    with pytest.raises(ValueError, match="no pair"):
        train_adapter(params, pairs.iloc[:0], tmp_path / "none")
