"""M on this machine: any transformers image-text-to-text model with a chat template, and its adapter."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import torch

from icl_lib.data.pictures import Picture, picture_id
from icl_lib.mllm.base import MLLM, check_pairs
from icl_lib.mllm.chat import Chat, batches
from icl_lib.mllm.forward import inputs_of, last_logits
from icl_lib.mllm.prompts import Prompts
from icl_lib.mllm.weights import load_model, model_folder, quiet
from icl_lib.results import folder_hash

SMALL = 100_000_000  # parameters up to which a merged copy of the adapted model is kept


def load_adapter(model, folder: str | Path):
    """The model with the peft adapter of `folder` inside; errors name the folder."""
    from peft import PeftModel

    if not (Path(folder) / "adapter_config.json").is_file():
        raise FileNotFoundError(
            f"{folder} holds no adapter (no adapter_config.json). Train one with notebook "
            "02_lora_sft, or give the folder that peft's save_pretrained wrote."
        )
    try:
        with quiet():
            return PeftModel.from_pretrained(model, str(folder))
    except (ValueError, RuntimeError, KeyError) as problem:
        raise ValueError(f"The adapter {folder} does not fit this model: {problem}") from problem


class LocalMLLM(MLLM):
    """A model and its processor in this process; `reader` is the `Chat` that answers `p_yes`.

    `adapter` is a peft folder. It is used by `p_yes` only: the LoRA of Eq. 3 is trained on Yes and No alone,
    and such training wears down a model's descriptions, so `write` answers with the adapter switched off. A
    small model's adapter is merged into a copy, which answers faster; a large one's stays beside the weights.
    `share_prefix=False` reads picture and template anew for every text: slower, kept to be measured against.
    """

    def __init__(
        self,
        model,
        processor,
        prompts: Prompts,
        *,
        name: str,
        batch_size: int = 8,
        max_new_tokens: int = 512,
        adapter: str | Path | None = None,
        share_prefix: bool = True,
    ):
        super().__init__()
        self.share_prefix = share_prefix
        self.prompts, self.batch_size, self.max_new_tokens = prompts, batch_size, max_new_tokens
        self.writer_name = self.name = name
        self.model, self._adapted = model.eval().requires_grad_(False), None
        reader = model
        if adapter is not None:
            self.name = f"{name}+{folder_hash(Path(adapter))}"
            small = sum(weight.numel() for weight in model.parameters()) <= SMALL
            adapted = load_adapter(copy.deepcopy(model) if small else model, adapter)
            if small:
                reader = adapted.merge_and_unload().eval()
            else:
                self._adapted, reader = adapted.eval(), adapted.get_base_model()
        self._writer, self.reader = Chat(processor, model), Chat(processor, reader)
        self._yes, self._no = (self.reader.word_ids(word) for word in ("Yes", "No"))

    @property
    def pairs_at_once(self) -> int:
        """Pairs a forward pass of `p_yes`; on a CPU few are faster: their activations stay in its cache."""
        return (
            min(self.batch_size, 32) if self.reader.model.device.type == "cpu" else self.batch_size
        )

    @torch.inference_mode()
    def p_yes(self, images: Sequence[Picture], texts: Sequence[str]) -> np.ndarray:
        """P(Yes) [N] of Eq. 2: softmax of the last position's raw logits in fp32 over Yes and No.

        Both spellings of each word count. Every distinct picture goes through the vision tower once.
        """
        check_pairs(images, texts)
        chat, answers = self.reader, np.empty(len(texts), np.float32)
        rendered = [chat.render(self.prompts.ask_match(text), picture=True) for text in texts]
        rows_of: dict[str, list[int]] = {}
        for row, image in enumerate(images):
            rows_of.setdefault(picture_id(image), []).append(row)
        at_once = self.pairs_at_once
        # A few pictures at a time bounds the memory; enough of them to sort their texts by length.
        for held in batches(list(rows_of), 4 * at_once):
            rows = [row for key in held for row in rows_of[key]]
            some = [rendered[row] for row in rows]
            for inner, logits in last_logits(
                chat, some, [images[row] for row in rows], at_once, self.share_prefix
            ):
                if not torch.isfinite(logits).all():
                    raise FloatingPointError(
                        f"{self.name} gave values that are not finite; use float32 or bfloat16."
                    )
                yes, no = logits[:, self._yes].logsumexp(-1), logits[:, self._no].logsumexp(-1)
                answers[[rows[i] for i in inner]] = torch.sigmoid(yes - no).cpu().numpy()
        return answers

    @torch.inference_mode()
    def write(self, prompts: Sequence[str], images: Sequence[Picture] | None = None) -> list[str]:
        """Greedy answers [N] by the model WITHOUT its adapter, up to the end token or `max_new_tokens`."""
        if images is not None:
            check_pairs(images, prompts)
        chat, written = self._writer, [""] * len(prompts)
        rendered = [chat.render(prompt, picture=images is not None) for prompt in prompts]
        order = sorted(range(len(prompts)), key=lambda row: len(rendered[row]))
        with self._adapted.disable_adapter() if self._adapted else nullcontext():
            for batch in batches(order, self.batch_size):
                pictures = [images[row] for row in batch] if images is not None else []
                inputs = inputs_of(chat, [rendered[row] for row in batch], pictures)
                new = chat.generate(inputs, self.max_new_tokens)
                for row, text in zip(
                    batch, chat.tokenizer.batch_decode(new, skip_special_tokens=True)
                ):
                    written[row] = text.strip()
        return written

    def tokens_read(
        self, prompts: Sequence[str], images: Sequence[Picture] | None = None
    ) -> np.ndarray:
        """Tokens [N] of each prompt in the chat template, and of its picture; no model runs."""
        if images is not None:
            check_pairs(images, prompts)
        return np.array(self._writer.lengths(prompts, images), dtype=int)

    def tokens_written(self, texts: Sequence[str]) -> np.ndarray:
        """Tokens [N] of each answer, and the one that ends it."""
        ids = (
            self._writer.tokenizer(list(texts), add_special_tokens=False)["input_ids"]
            if len(texts)
            else []
        )
        return np.array([len(own) + 1 for own in ids], dtype=int)


def save_merged(params, adapter: str | Path, folder: str | Path) -> Path:
    """Writes the params' model with `adapter` merged into its weights to `folder`; returns its whole path.

    For servers that know models only and no adapters, as `transformers serve`.
    """
    model, processor = load_model(params, model_folder(params))
    with quiet():
        load_adapter(model, adapter).merge_and_unload().save_pretrained(folder)
        processor.save_pretrained(folder)
    return Path(folder).resolve()
