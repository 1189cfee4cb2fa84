"""From prompts and pictures to a model's inputs: chat template, tokens, encoded pictures."""

import inspect
import re
from collections.abc import Iterable, Sequence

import torch
from transformers.modeling_outputs import BaseModelOutputWithPooling
from transformers.models.qwen3_vl.modeling_qwen3_vl import BaseModelOutputWithDeepstackFeatures

from icl_lib.data.pictures import Picture, open_picture, picture_id
from icl_lib.mllm.encoded_pictures import Seen, as_pixels, encode, file_state, prepare

KEPT_BYTES = 512 * 2**20  # features of pictures that are kept from call to call
PICTURES_AT_ONCE = 16  # in one pass through the vision tower


class Chat:
    """Speaks one model's chat format.

    Attributes:
        model: the bare model; an adapter may sit inside it, but no wrapper around it.
        caches_pictures: whether the model's class takes encoded pictures. If not, a
            picture is encoded anew for each of its texts.
    """

    def __init__(self, processor, model: torch.nn.Module):
        self.processor = processor
        self.tokenizer = processor.tokenizer
        self.model = model
        self._kept: dict[tuple, Seen] = {}
        self.tokenizer.padding_side = "left"
        if self.tokenizer.pad_token_id is None:
            self.tokenizer.pad_token = self.tokenizer.eos_token
        self.caches_pictures = (
            "mm_encoder_outputs" in inspect.signature(type(model).forward).parameters
            and hasattr(model, "get_image_features")
            and getattr(processor, "image_token", None) is not None
        )
        added = self.tokenizer.added_tokens_decoder.values()
        special = {token.content for token in added if token.special and len(token.content) > 1}
        longest_first = sorted(special, key=len, reverse=True)
        self._special = re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")

    def word_ids(self, word: str) -> list[int]:
        """Token ids of `word` and of " word", if each is a single token.

        A model may answer with either spelling, and the two are different tokens.

        Raises:
            ValueError: neither spelling is a single token, so P(Yes) cannot be read.
        """
        spellings = [
            self.tokenizer.encode(text, add_special_tokens=False) for text in (word, f" {word}")
        ]
        ids = sorted({spelling[0] for spelling in spellings if len(spelling) == 1})
        if not ids:
            raise ValueError(
                f"This tokenizer has no single token for {word!r}, so P(Yes) cannot be read from "
                "it."
            )
        return ids

    def render(self, prompt: str, picture: bool) -> str:
        """The user's turn, its picture first, and the opening of the answer.

        Control tokens inside the prompt (a caption may contain "<|im_end|>") are broken up by a
        space, because a caption is data and must not act as a command.
        """
        prompt = self._special.sub(lambda token: f"{token[0][0]} {token[0][1:]}", prompt)
        content = [{"type": "image"}] * picture + [{"type": "text", "text": prompt}]
        return self.processor.apply_chat_template(
            [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
        )

    def see(self, pictures: Sequence[Picture]) -> dict[str, Seen] | None:
        """Encodes each distinct picture once -> {picture_id: Seen}.

        The latest files are kept for later calls, because a gallery is asked about again and again.
        None where the model's class takes no encoded pictures.

        Raises:
            ValueError: naming the picture that cannot be read or does not suit the model.
        """
        if not self.caches_pictures:
            return None
        distinct = {picture_id(picture): picture for picture in pictures}
        states = {key: file_state(picture) for key, picture in distinct.items()}
        seen = {key: self._kept[state] for key, state in states.items() if state in self._kept}
        missing = [key for key in distinct if key not in seen]
        try:
            for keys in batches(missing, PICTURES_AT_ONCE):
                encoded = encode(self.processor, self.model, [distinct[key] for key in keys])
                seen.update(zip(keys, encoded, strict=True))
        except NotImplementedError:
            self.caches_pictures = False
            return None
        for key, state in states.items():
            if state:
                self._kept.pop(state, None)  # so that it becomes the latest
                self._kept[state] = seen[key]
        while sum(picture.nbytes for picture in self._kept.values()) > KEPT_BYTES:
            self._kept.pop(next(iter(self._kept)))
        return seen

    def tokens(self, rendered: Sequence[str], seen: Sequence[Seen] = ()) -> list[list[int]]:
        """Token ids of rendered prompts, each with the placeholders of its encoded picture."""
        if not rendered:
            return []
        tokens = self.tokenizer(list(rendered), add_special_tokens=False)["input_ids"]
        if seen:
            image = self.tokenizer.convert_tokens_to_ids(self.processor.image_token)
            for ids, picture in zip(tokens, seen, strict=True):
                place = ids.index(image)
                ids[place : place + 1] = picture.ids
        return tokens

    def lengths(self, rendered: Sequence[str], pictures: Sequence[Picture] | None) -> list[int]:
        """Tokens of each rendered prompt, with those of its picture; no model runs."""
        lengths = [len(ids) for ids in self.tokens(rendered)]
        if pictures is None:
            return lengths
        distinct = {picture_id(picture): picture for picture in pictures}
        placeholders = {
            key: len(prepare(self.processor, [picture])[1][0]) for key, picture in distinct.items()
        }
        # The prompt itself holds one placeholder.
        return [
            length - 1 + placeholders[picture_id(picture)]
            for length, picture in zip(lengths, pictures, strict=True)
        ]

    def batch(self, tokens: Sequence[Sequence[int]], seen: Sequence[Seen] = ()) -> dict:
        """Left-padded inputs of B prompts, each about its encoded picture, or all about none."""
        width = max(map(len, tokens))
        ids = torch.full((len(tokens), width), self.tokenizer.pad_token_id)
        mask = torch.zeros_like(ids)
        for row, own in enumerate(tokens):
            ids[row, width - len(own) :] = torch.tensor(own)
            mask[row, width - len(own) :] = 1
        inputs = {"input_ids": ids, "attention_mask": mask}
        if seen:
            if getattr(self.processor, "return_mm_token_type_ids", False):
                types = self.processor.create_mm_token_type_ids(ids.tolist())
                inputs["mm_token_type_ids"] = torch.tensor(types)
            for name in seen[0].extra:
                inputs[name] = torch.cat([picture.extra[name] for picture in seen])
        inputs = {name: value.to(self.model.device) for name, value in inputs.items()}
        if seen:
            features = tuple(picture.features for picture in seen)
            output = BaseModelOutputWithPooling(pooler_output=features)
            if seen[0].deeper:
                deeper = list(zip(*(picture.deeper for picture in seen), strict=True))
                output = BaseModelOutputWithDeepstackFeatures(
                    pooler_output=features, deepstack_features=deeper
                )
            inputs["mm_encoder_outputs"] = {"image": output}
        return inputs

    def batch_of_pictures(self, rendered: Sequence[str], pictures: Sequence[Picture]) -> dict:
        """The same by the processor alone, for models that take pictures only as pixels."""
        opened = [[open_picture(picture)] for picture in pictures]
        inputs = as_pixels(self.processor, list(rendered), opened)
        return {name: value.to(self.model.device) for name, value in inputs.items()}

    def generate(self, inputs: dict, new_tokens: int) -> torch.Tensor:
        """Greedy continuations [B, up to new_tokens] of left-padded inputs."""
        ids = self.model.generate(
            **inputs,
            max_new_tokens=new_tokens,
            do_sample=False,
            num_beams=1,
            temperature=None,
            top_p=None,
            top_k=None,
            pad_token_id=self.tokenizer.pad_token_id,
        )
        return ids[:, inputs["input_ids"].shape[1] :]


def batches(order: Sequence, size: int) -> Iterable[list]:
    """`order` cut into lists of at most `size`."""
    return (list(order[start : start + size]) for start in range(0, len(order), size))
