"""The small Qwen2-VL during training: exercises become token sequences, sequences become losses."""

import torch
import torch.nn.functional as F
from torch import nn
from transformers import Qwen2VLForConditionalGeneration

from icl_lib.pretrain.tower import GRID, MERGE

TOKENS = (GRID[0] // MERGE) * (GRID[1] // MERGE)  # visual tokens per picture
QUESTION = "Can this text accurately describe the image?"  # stands before the caption in T_loc


def positions(before: int, width: int, rows: int, picture: bool) -> torch.Tensor:
    """Give Qwen2-VL's positions [3, rows, width] (time, row, column) of a batch of prompts.

    Args:
        before: tokens in front of the picture.
        width: tokens of each sequence.
        rows: sequences in the batch.
        picture: whether each sequence contains a picture.
    """
    line = torch.arange(width).expand(3, -1).clone()
    if picture:
        start, high, wide = before + 1, GRID[0] // MERGE, GRID[1] // MERGE
        line[0, start : start + TOKENS] = start
        line[1, start : start + TOKENS] = start + torch.arange(high).repeat_interleave(wide)
        line[2, start : start + TOKENS] = start + torch.arange(wide).repeat(high)
        line[:, start + TOKENS :] = torch.arange(width - start - TOKENS) + start + max(high, wide)
    return line[:, None].expand(3, rows, width)


class Pupil(nn.Module):
    """The model during training; an exercise is a (task, prompt, answer)."""

    def __init__(self, model: Qwen2VLForConditionalGeneration, tokenizer):
        super().__init__()
        self.model, self.tokenizer = model, tokenizer
        self.yes_no = [tokenizer.convert_tokens_to_ids(word) for word in ("Yes", "No")]
        self.open = self._ids("<|im_start|>user\n")
        self.seen = self._ids("<|vision_start|>" + "<|image_pad|>" * TOKENS + "<|vision_end|>")
        self.turn = self._ids("<|im_end|>\n<|im_start|>assistant\n")

    def forward(
        self,
        exercises: list[tuple[str, str, str]],
        visual: torch.Tensor | None,
        yes_weight: float = 1.0,
        words: bool = True,
        focal: bool = False,
    ) -> tuple[torch.Tensor, dict[str, float]]:
        """Compute the loss of a batch of exercises.

        Args:
            exercises: B exercises, all with or all without a picture.
            visual: visual tokens [B, TOKENS, hidden] of the pictures, None for tasks without one.
            yes_weight: weight of the Yes/No loss relative to the loss on words.
            words: whether the words of true captions are predicted in addition to their Yes.
            focal: whether the loss of each word is multiplied by 1 - P(word), the focal loss of
                Lin et al. (2017) with exponent 1; the factor has no gradient.

        Returns:
            The loss and numbers for the log.
        """
        device = self.model.device
        sequences = self._sequences(exercises, visual is not None, words)
        ids, labels, answer_at = (part.to(device) for part in sequences)
        x = self.model.get_input_embeddings()(ids)  # [B, L, D]
        if visual is not None:
            first = len(self.open) + 1
            x = torch.cat([x[:, :first], visual.to(x.dtype), x[:, first + TOKENS :]], 1)
        # On a CPU, memory and not arithmetic sets the pace, so the residual stream is bf16.
        out = self.model.model.language_model(
            inputs_embeds=x.bfloat16(),
            position_ids=positions(len(self.open), *ids.shape[::-1], visual is not None).to(device),
            use_cache=False,
        ).last_hidden_state  # [B, L, D]
        keep = labels[:, 1:] >= 0
        each = F.cross_entropy(
            self.model.lm_head(out[:, :-1][keep]).float(), labels[:, 1:][keep], reduction="none"
        )
        weighted = (1 - (-each.detach()).exp()) * each if focal else each
        spoken = weighted.sum() / max(1, len(each))
        asked = [row for row, (task, _, _) in enumerate(exercises) if task == "match"]
        if not asked:
            return spoken, {}
        logits = self.model.lm_head(out[asked, answer_at[asked] - 1]).float()  # [M, vocabulary]
        is_no = torch.tensor([exercises[row][2] != "Yes" for row in asked], device=device).long()
        yes = F.cross_entropy(logits, torch.tensor(self.yes_no, device=device)[is_no])
        right = (logits[:, self.yes_no].argmax(-1) == is_no).float().mean()
        numbers = {"yes_no": yes.item(), "yes_no_accuracy": right.item()}
        if words:
            numbers["caption_words"] = spoken.item()
        return spoken + yes_weight * yes, numbers

    def _ids(self, text: str) -> list[int]:
        return self.tokenizer(text, add_special_tokens=False)["input_ids"]

    def _sequences(self, exercises, picture: bool, words: bool):
        """Token ids and labels [B, L] (-100: no loss), and where each answer begins [B]."""
        prompts = self._ids([prompt for _, prompt, _ in exercises])
        answers = self._ids([answer + "<|im_end|>" for _, _, answer in exercises])
        head = self.open + (self.seen if picture else [])
        caption_at = len(head) + len(self._ids(QUESTION))
        rows = [head + p + self.turn + a for p, a in zip(prompts, answers, strict=True)]
        width = max(map(len, rows))
        ids = torch.full((len(rows), width), self.tokenizer.pad_token_id)
        labels = torch.full((len(rows), width), -100)
        answer_at = torch.tensor(
            [len(row) - len(answer) for row, answer in zip(rows, answers, strict=True)]
        )
        for r, (task, _, answer) in enumerate(exercises):
            ids[r, : len(rows[r])] = torch.tensor(rows[r])
            taught = slice(answer_at[r], len(rows[r]))
            if task == "match":  # the answer's first token has a loss of its own
                taught = slice(caption_at, len(head) + len(prompts[r]))
                if not words or answer != "Yes":
                    continue
            labels[r, taught] = ids[r, taught]
        return ids, labels, answer_at
