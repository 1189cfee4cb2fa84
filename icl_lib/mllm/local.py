"""M on this machine: any image-text-to-text model of transformers with a chat template."""

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
from icl_lib.results import folder_hash

SMALL = 100_000_000  # parameters up to which a second, merged copy of the model is affordable


class LocalMLLM(MLLM):
    """A model and its processor in this process.

    Only `p_yes` uses the adapter: the LoRA of Eq. 3 is trained on Yes and No alone, and such
    training spoils a model's descriptions, so `write` answers with the adapter switched off. The
    adapter of a small model is merged into a copy of the weights, which answers faster; that of a
    large model stays beside the weights.

    Attributes:
        model: the model without its adapter.
        reader: the `Chat` that answers `p_yes`.
        adapter_note: how many tensors of the adapter were applied; empty without an adapter.
        share_prefix: whether picture and template are read once for all texts of a picture. False
            is slower and only meant for comparison.
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
        super().__init__(
            name=name,
            writer_name=name,
            prompts=prompts,
            batch_size=batch_size,
            max_new_tokens=max_new_tokens,
        )
        self.share_prefix = share_prefix
        self.model = model.eval().requires_grad_(False)
        self.adapter_note = ""
        self._adapted = None  # the peft model, where its adapter stays beside the weights
        reader = model
        if adapter is not None:
            from icl_lib.mllm.adapter import adapter_note, load_adapter

            small = sum(weight.numel() for weight in model.parameters()) <= SMALL
            adapted = load_adapter(copy.deepcopy(model) if small else model, adapter).eval()
            self.name = f"{name}+{folder_hash(Path(adapter))}"
            self.adapter_note = adapter_note(adapted)
            self._adapted = None if small else adapted
            reader = adapted.merge_and_unload() if small else adapted.get_base_model()
        self._writer = Chat(processor, model)
        self.reader = Chat(processor, reader)
        self._yes = self.reader.word_ids("Yes")
        self._no = self.reader.word_ids("No")

    @property
    def pairs_at_once(self) -> int:
        """Pairs in one forward pass of `p_yes`; on a CPU at most 32, which its cache can hold."""
        on_cpu = self.reader.model.device.type == "cpu"
        return min(self.batch_size, 32) if on_cpu else self.batch_size

    @torch.inference_mode()
    def p_yes(self, images: Sequence[Picture], texts: Sequence[str]) -> np.ndarray:
        """P(Yes) [N] of Eq. 2: softmax over Yes and No of the last position's raw logits, in fp32.

        Both spellings of each word count ("Yes" and " Yes"). Every distinct picture goes through
        the vision tower once.

        Raises:
            FloatingPointError: the model gave logits that are not finite.
        """
        check_pairs(images, texts)
        rendered = [
            self.reader.render(self.prompts.ask_match(text), picture=True) for text in texts
        ]
        rows_of: dict[str, list[int]] = {}
        for row, image in enumerate(images):
            rows_of.setdefault(picture_id(image), []).append(row)
        answers = np.empty(len(texts), np.float32)
        # A few pictures at a time bound the memory, and are enough to sort their texts by length.
        for keys in batches(list(rows_of), 4 * self.pairs_at_once):
            rows = [row for key in keys for row in rows_of[key]]
            for some, logits in last_logits(
                self.reader,
                [rendered[row] for row in rows],
                [images[row] for row in rows],
                self.pairs_at_once,
                self.share_prefix,
            ):
                if not torch.isfinite(logits).all():
                    raise FloatingPointError(
                        f"{self.name} gave logits that are not finite; set mllm.dtype to float32 "
                        "or bfloat16."
                    )
                yes = logits[:, self._yes].logsumexp(-1)
                no = logits[:, self._no].logsumexp(-1)
                answers[[rows[i] for i in some]] = torch.sigmoid(yes - no).cpu().numpy()
        return answers

    @torch.inference_mode()
    def write(self, prompts: Sequence[str], images: Sequence[Picture] | None = None) -> list[str]:
        """Greedy answers [N] of the model WITHOUT its adapter, at most `max_new_tokens` long."""
        chat = self._writer
        rendered = self._rendered(prompts, images)
        written = [""] * len(prompts)
        order = sorted(range(len(prompts)), key=lambda row: len(rendered[row]))
        with self._adapted.disable_adapter() if self._adapted else nullcontext():
            for rows in batches(order, self.batch_size):
                pictures = [images[row] for row in rows] if images is not None else []
                inputs = inputs_of(chat, [rendered[row] for row in rows], pictures)
                new = chat.generate(inputs, self.max_new_tokens)
                texts = chat.tokenizer.batch_decode(new, skip_special_tokens=True)
                for row, text in zip(rows, texts, strict=True):
                    written[row] = text.strip()
        return written

    def tokens_read(
        self, prompts: Sequence[str], images: Sequence[Picture] | None = None
    ) -> np.ndarray:
        """Tokens [N] of each prompt in the chat template, with those of its picture."""
        lengths = self._writer.lengths(self._rendered(prompts, images), images)
        return np.array(lengths, dtype=int)

    def tokens_written(self, texts: Sequence[str]) -> np.ndarray:
        """Tokens [N] of each answer, with the one that ends it."""
        return np.array([len(ids) + 1 for ids in self._writer.tokens(texts)], dtype=int)

    def _rendered(self, prompts: Sequence[str], images: Sequence[Picture] | None) -> list[str]:
        if images is not None:
            check_pairs(images, prompts)
        return [self._writer.render(prompt, picture=images is not None) for prompt in prompts]
