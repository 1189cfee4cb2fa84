"""LoRA supervised fine-tuning of M on Yes/No pairs (Eq. 3), by transformers' Trainer and peft."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import torch
from transformers import Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_callback import PrinterCallback

from icl_lib.data.pictures import picture_id
from icl_lib.mllm.chat import Chat, batches
from icl_lib.mllm.encoded_pictures import Seen
from icl_lib.mllm.pairs import mine_pairs
from icl_lib.mllm.prompts import Prompts
from icl_lib.mllm.weights import load_model, model_folder, prompts_of, quiet
from icl_lib.mllm.yes_no import choose_threshold, judge_metrics
from icl_lib.results import atomic_write, progress, write_json

__all__ = ["choose_threshold", "judge_metrics", "mine_pairs", "train_adapter"]

IGNORED = -100  # transformers' label for a token that bears no loss
FEATURES_AT_MOST = (
    4 * 2**30
)  # bytes of encoded pictures held while training; beyond, pictures are encoded anew


def train_adapter(params, pairs: pd.DataFrame, folder: str | Path) -> Path:
    """Trains LoRA on `pairs` (path, caption, label) and saves a normal peft folder; returns it.

    Loss of Eq. 3: cross-entropy of the answer's tokens alone, the word (Yes or No) and the end token. LoRA
    sits in the language model's `params.sft.target_modules`. The vision tower is frozen and without dropout,
    so each distinct picture is encoded once, before training; nothing changes but the time.

    Beside the adapter: pairs.csv, sharegpt.json (the form LLaMA-Factory reads), log.csv (step, epoch, loss,
    learning_rate). A killed training goes on from its last checkpoint (four an epoch) in <folder>/trainer.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    if pairs.empty:
        raise ValueError("There is no pair to train on.")
    prompts, source = prompts_of(params), model_folder(params)
    model, processor = load_model(params, source)
    chat = Chat(processor, model.eval().requires_grad_(False))
    seen = _encode_all(chat, pairs["path"])
    adapted = add_lora(model, params)
    # With a name here, peft would look for it on the network at every checkpoint.
    adapted.peft_config["default"].base_model_name_or_path = None
    trainer = Trainer(
        model=adapted,
        args=_arguments(params, len(pairs), folder / "trainer", model),
        train_dataset=pairs.to_dict("records"),
        data_collator=Collator(chat, prompts, seen),
        callbacks=[_Log(folder / "log.csv")],
    )
    trainer.remove_callback(PrinterCallback)
    with quiet():
        trainer.train(resume_from_checkpoint=last_whole_checkpoint(folder / "trainer"))
    _write_pairs(pairs, prompts, folder)
    adapted.peft_config["default"].base_model_name_or_path = params.mllm.model
    adapted.save_pretrained(folder, save_embedding_layers=False)
    shutil.rmtree(folder / "trainer", ignore_errors=True)
    return folder


def add_lora(model, params):
    """The model with fresh LoRA layers in its language model only (seeded by `params.seed`)."""
    from peft import LoraConfig, get_peft_model

    decoder = model.get_decoder()
    prefix = next(name for name, module in model.named_modules() if module is decoder)
    wanted = "|".join(map(re.escape, params.sft.target_modules))
    pattern = rf"{re.escape(prefix)}\..*\.({wanted})"
    linear = [name for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)]
    if not any(re.fullmatch(pattern, name) for name in linear):
        there = sorted(
            {name.rsplit(".", 1)[-1] for name in linear if name.startswith(prefix + ".")}
        )
        raise ValueError(
            f"sft.target_modules {list(params.sft.target_modules)} names no layer of the language model, "
            f"which has {', '.join(there)}."
        )
    torch.manual_seed(params.seed)
    config = LoraConfig(
        r=params.sft.r,
        lora_alpha=params.sft.alpha,
        lora_dropout=params.sft.dropout,
        target_modules=pattern,
        task_type="CAUSAL_LM",
    )
    with quiet():
        return get_peft_model(model, config)


class Collator:
    """Rows of pairs -> inputs of a forward with labels for the answer alone.

    The answer stands at the end of every left-padded row, so labels [B, A] and logits are kept for the last A
    positions only.
    """

    def __init__(self, chat: Chat, prompts: Prompts, seen: dict[str, Seen] | None):
        self.chat, self.prompts, self.seen = chat, prompts, seen
        encode, end = chat.tokenizer.encode, chat.tokenizer.eos_token_id
        self.answers = [[*encode(word, add_special_tokens=False), end] for word in ("No", "Yes")]

    def __call__(self, rows: Sequence[dict]) -> dict:
        rendered = [
            self.chat.render(self.prompts.ask_match(row["caption"]), picture=True) for row in rows
        ]
        answers = [self.answers[int(row["label"])] for row in rows]
        inputs = (
            self._from_pixels(rendered, rows)
            if self.seen is None
            else self._from_seen(rendered, rows, answers)
        )
        # One more position than the answer: the token before it predicts its first one.
        width = 1 + max(map(len, answers))
        labels = [[IGNORED] * (width - len(answer)) + answer for answer in answers]
        return inputs | {
            "labels": torch.tensor(labels, device=self.chat.model.device),
            "logits_to_keep": width,
        }

    @torch.no_grad()
    def _from_seen(
        self, rendered: list[str], rows: Sequence[dict], answers: list[list[int]]
    ) -> dict:
        seen = [self.seen[picture_id(row["path"])] for row in rows]
        tokens = [own + answer for own, answer in zip(self.chat.tokens(rendered, seen), answers)]
        inputs = self.chat.batch(tokens, seen)
        embeddings = self.chat.model.get_input_embeddings()(inputs["input_ids"])  # [B, L, D]
        image = torch.isin(
            inputs["input_ids"],
            torch.tensor(self.chat.processor.image_token_ids, device=embeddings.device),
        )
        embeddings[image] = torch.cat([one.features for one in seen]).to(embeddings)
        positions = self.chat.positions(inputs)
        if positions is None:
            positions = (inputs["attention_mask"].cumsum(-1) - 1).clamp(min=0)
        return {
            "inputs_embeds": embeddings,
            "attention_mask": inputs["attention_mask"],
            "position_ids": positions,
        }

    def _from_pixels(self, rendered: list[str], rows: Sequence[dict]) -> dict:
        end = self.chat.tokenizer.eos_token
        whole = [
            text + ("Yes" if row["label"] else "No") + end for text, row in zip(rendered, rows)
        ]
        return self.chat.batch_of_pictures(whole, [row["path"] for row in rows])


def last_whole_checkpoint(folder: Path) -> str | None:
    """The newest checkpoint that was written to its end; torn ones, left by a kill, are removed."""
    whole = None
    for path in sorted(
        folder.glob("checkpoint-*"), key=lambda path: int(path.name.rpartition("-")[2])
    ):
        try:
            json.loads(
                (path / "trainer_state.json").read_text()
            )  # the Trainer writes this file last
            whole = str(path)
        except (OSError, ValueError):
            shutil.rmtree(path)
    return whole


def _encode_all(chat: Chat, paths: pd.Series) -> dict[str, Seen] | None:
    distinct = list(dict.fromkeys(map(str, paths)))
    first = next(iter((chat.see(distinct[:1]) or {}).values()), None)
    # Where features enter deeper layers too (Qwen3-VL), embeddings alone don't carry a picture.
    if first is None or first.deeper or first.nbytes * len(distinct) > FEATURES_AT_MOST:
        return None
    seen: dict[str, Seen] = {}
    for some in progress(list(batches(distinct, 64)), "encoding pictures"):
        seen.update(chat.see(some))
    return seen


def _arguments(params, pairs: int, folder: Path, model) -> TrainingArguments:
    sft, on_gpu = params.sft, torch.cuda.is_available()
    steps = max(1, pairs // (sft.batch_size * sft.accumulation))  # an epoch
    large = sum(weight.numel() for weight in model.parameters()) > 1_000_000_000
    # A 7B model's activations would not fit beside it: compute them again on the way back.
    recompute = {
        "activation_checkpointing": True,
        "activation_checkpointing_kwargs": {"use_reentrant": False},
    }
    return TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=sft.epochs,
        per_device_train_batch_size=sft.batch_size,
        gradient_accumulation_steps=sft.accumulation,
        learning_rate=sft.lr,
        weight_decay=sft.weight_decay,
        lr_scheduler_type="cosine",
        warmup_steps=max(1, steps * sft.epochs // 10),
        max_grad_norm=1.0,
        bf16=params.mllm.dtype == "bfloat16",
        use_cpu=not on_gpu,
        seed=params.seed,
        data_seed=params.seed,
        save_strategy="steps",
        save_steps=max(1, steps // 4),
        save_total_limit=2,
        logging_steps=max(1, steps // 40),
        report_to="none",
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_pin_memory=False,
        **(recompute if large and on_gpu else {}),
    )


class _Log(TrainerCallback):
    """Writes log.csv as it grows and shows a bar; the Trainer keeps the log in its checkpoints."""

    def __init__(self, file: Path):
        self.file, self.bar = file, None

    def on_train_begin(self, args, state, control, **_):
        self.bar = iter(progress(range(state.max_steps - state.global_step), "LoRA"))

    def on_step_end(self, args, state, control, **_):
        next(self.bar, None)

    def on_log(self, args, state, control, **_):
        rows = [entry for entry in state.log_history if "loss" in entry]
        if rows:
            table = pd.DataFrame(rows)[["step", "epoch", "loss", "learning_rate"]]
            atomic_write(self.file, table.to_csv(index=False))


def _write_pairs(pairs: pd.DataFrame, prompts: Prompts, folder: Path) -> None:
    atomic_write(folder / "pairs.csv", pairs.to_csv(index=False))
    write_json(
        folder / "sharegpt.json",
        [
            {
                "conversations": [
                    {"from": "human", "value": "<image>" + prompts.ask_match(row.caption)},
                    {"from": "gpt", "value": "Yes" if row.label else "No"},
                ],
                "images": [str(row.path)],
            }
            for row in pairs.itertuples()
        ],
    )
