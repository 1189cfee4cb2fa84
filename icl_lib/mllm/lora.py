"""LoRA supervised fine-tuning of M on Yes/No pairs (Eq. 3), by transformers' Trainer and peft."""

import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import torch
from peft import LoraConfig, get_peft_model
from transformers import Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_callback import PrinterCallback

from icl_lib.data.pictures import picture_id
from icl_lib.mllm.chat import Chat, batches
from icl_lib.mllm.encoded_pictures import Seen
from icl_lib.mllm.prompts import Prompts
from icl_lib.mllm.weights import load_model, model_folder, prompts_of, quiet
from icl_lib.results import atomic_write, progress, write_json

IGNORED = -100  # transformers' label for a token without loss
FEATURES_AT_MOST = 4 * 2**30  # bytes of encoded pictures held while training


def train_adapter(params, pairs: pd.DataFrame, folder: str | Path) -> Path:
    """Trains LoRA on Yes/No pairs and saves a normal peft folder.

    The loss of Eq. 3 is the cross-entropy of the answer's tokens alone: the word (Yes or No) and
    the end token. LoRA sits in the layers `params.sft.target_modules` of the language model. The
    vision tower is frozen and has no dropout, so each distinct picture is encoded once, before
    training; that changes nothing but the time.

    Beside the adapter lie pairs.csv, sharegpt.json (the format that LLaMA-Factory reads) and
    log.csv (step, epoch, loss, learning_rate). A killed training continues from its last checkpoint
    (four per epoch) in <folder>/trainer.

    Args:
        params: the settings of the run.
        pairs: a table with the columns path, caption and label (1 for Yes).
        folder: where the adapter is saved.

    Returns:
        The folder.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    if pairs.empty:
        raise ValueError("There is no pair to train on.")
    prompts = prompts_of(params)
    model, processor = load_model(params, model_folder(params))
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
    """The model with fresh LoRA layers in its language model only, seeded by `params.seed`.

    Raises:
        ValueError: `params.sft.target_modules` names no layer of the language model.
    """
    decoder = model.get_decoder()
    prefix = next(name for name, module in model.named_modules() if module is decoder)
    wanted = "|".join(map(re.escape, params.sft.target_modules))
    pattern = rf"{re.escape(prefix)}\..*\.({wanted})"
    linear = [name for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)]
    if not any(re.fullmatch(pattern, name) for name in linear):
        known = {name.rpartition(".")[2] for name in linear if name.startswith(prefix + ".")}
        raise ValueError(
            f"sft.target_modules {list(params.sft.target_modules)} names no layer of the language "
            f"model, which has {', '.join(sorted(known))}."
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
    """Makes rows of pairs the inputs of a forward pass, with labels for the answer alone.

    The answer stands at the end of every left-padded row, so labels [B, A] and logits are kept for
    the last A positions only.

    Args:
        chat: the model's chat format.
        prompts: the template of the question.
        seen: the encoded pictures by picture_id; None to run the processor and the vision
            tower for every batch.
    """

    def __init__(self, chat: Chat, prompts: Prompts, seen: dict[str, Seen] | None):
        self.chat = chat
        self.prompts = prompts
        self.seen = seen

    def __call__(self, rows: Sequence[dict]) -> dict:
        """The inputs, labels and the number of logits to keep of a batch of pairs."""
        chat = self.chat
        words = ["Yes" if row["label"] else "No" for row in rows]
        answers = [[*chat.tokens([word])[0], chat.tokenizer.eos_token_id] for word in words]
        rendered = [
            chat.render(self.prompts.ask_match(row["caption"]), picture=True) for row in rows
        ]
        if self.seen is None:
            ends = [word + chat.tokenizer.eos_token for word in words]
            texts = [text + end for text, end in zip(rendered, ends, strict=True)]
            inputs = chat.batch_of_pictures(texts, [row["path"] for row in rows])
        else:
            seen = [self.seen[picture_id(row["path"])] for row in rows]
            tokens = zip(chat.tokens(rendered, seen), answers, strict=True)
            inputs = chat.batch([prompt + answer for prompt, answer in tokens], seen)
        # One more position than the answer: the token before it predicts its first one.
        width = 1 + max(map(len, answers))
        labels = [[IGNORED] * (width - len(answer)) + answer for answer in answers]
        labels = torch.tensor(labels, device=chat.model.device)
        return inputs | {"labels": labels, "logits_to_keep": width}


def last_whole_checkpoint(folder: Path) -> str | None:
    """The newest complete checkpoint; those that a kill left incomplete are removed."""
    whole = None
    for path in sorted(folder.glob("checkpoint-*"), key=lambda path: int(path.name[11:])):
        try:
            # The Trainer writes this file last.
            json.loads((path / "trainer_state.json").read_text())
            whole = str(path)
        except (OSError, ValueError):
            shutil.rmtree(path)
    return whole


def _encode_all(chat: Chat, paths: pd.Series) -> dict[str, Seen] | None:
    """Every distinct picture, encoded; None where that is not possible or needs too much memory."""
    distinct = list(dict.fromkeys(map(str, paths)))
    sample = chat.see(distinct[:1])
    if sample is None or sample[distinct[0]].nbytes * len(distinct) > FEATURES_AT_MOST:
        return None
    seen: dict[str, Seen] = {}
    for some in progress(list(batches(distinct, 64)), "encoding pictures"):
        seen.update(chat.see(some))
    return seen


def _arguments(params, pairs: int, folder: Path, model) -> TrainingArguments:
    sft = params.sft
    on_gpu = torch.cuda.is_available()
    steps = max(1, pairs // (sft.batch_size * sft.accumulation))  # in an epoch
    large = sum(weight.numel() for weight in model.parameters()) > 1_000_000_000
    # The activations of a 7B model would not fit beside it: they are computed a second time.
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
        self.file = file

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
    records = [
        {
            "conversations": [
                {"from": "human", "value": "<image>" + prompts.ask_match(row.caption)},
                {"from": "gpt", "value": "Yes" if row.label else "No"},
            ],
            "images": [str(row.path)],
        }
        for row in pairs.itertuples()
    ]
    write_json(folder / "sharegpt.json", records)
