"""From pictures and prompts to a model's inputs: chat template, left-padded tokens, encoded pictures."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Sequence

import torch
from transformers.modeling_outputs import BaseModelOutputWithPooling
from transformers.models.qwen2_vl.modeling_qwen2_vl import Qwen2VisionTransformerPretrainedModel
from transformers.models.qwen3_vl.modeling_qwen3_vl import BaseModelOutputWithDeepstackFeatures

from icl_lib.data.pictures import Picture, open_picture, picture_id
from icl_lib.mllm.encoded_pictures import KEPT_BYTES, Seen, _place, _size
from icl_lib.mllm.qwen2vl_tower import picture_tokens


class Chat:
    """Speaks a model's chat format; made once a model.

    `model` is the bare model (adapters may sit inside, no wrapper around it). `caches_pictures` says whether
    its class takes encoded pictures; where it does not, a picture is encoded anew for each of its texts.
    """

    def __init__(self, processor, model: torch.nn.Module):
        self.processor, self.tokenizer = processor, processor.tokenizer
        self.model, self._kept = model, {}
        self.tokenizer.padding_side = "left"
        if self.tokenizer.pad_token_id is None:
            self.tokenizer.pad_token = self.tokenizer.eos_token
        self._accepted = inspect.signature(type(model).forward).parameters
        self.caches_pictures = (
            "mm_encoder_outputs" in self._accepted
            and hasattr(model, "get_image_features")
            and hasattr(processor, "_process_images")
            and getattr(processor, "image_token", None) is not None
        )
        special = [
            token.content for token in self.tokenizer.added_tokens_decoder.values() if token.special
        ]
        self._special = re.compile(
            "|".join(
                re.escape(token)
                for token in sorted(special, key=len, reverse=True)
                if len(token) > 1
            )
            or r"(?!)"
        )

    def word_ids(self, word: str) -> list[int]:
        """Token ids of `word` and of " word", those of them that are single tokens.

        A model answers with either spelling, and the two are different tokens. Raises ValueError if neither
        is one token: P(Yes) cannot be read off such a tokenizer's last position.
        """
        spellings = (
            self.tokenizer.encode(text, add_special_tokens=False) for text in (word, " " + word)
        )
        ids = sorted({ids[0] for ids in spellings if len(ids) == 1})
        if not ids:
            raise ValueError(
                f"This tokenizer has no single token for {word!r}, so P(Yes) cannot be read from it."
            )
        return ids

    def render(self, prompt: str, picture: bool) -> str:
        """The user's turn, picture first, and the opening of the answer.

        Control tokens inside the prompt (a caption may hold "<|im_end|>") are broken up: texts are data.
        """
        prompt = self._special.sub(lambda token: f"{token[0][0]} {token[0][1:]}", prompt)
        content = [{"type": "image"}] * picture + [{"type": "text", "text": prompt}]
        return self.processor.apply_chat_template(
            [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
        )

    def see(self, pictures: Sequence[Picture]) -> dict[str, Seen] | None:
        """Encodes each distinct picture once -> {picture_id: Seen}; a broken one is named in the error.

        The latest ones are kept for later calls (a gallery is asked about again and again). None where the
        class does not take encoded pictures.
        """
        distinct = {picture_id(picture): picture for picture in pictures}
        if not self.caches_pictures:
            return None
        places = {key: _place(picture) for key, picture in distinct.items()}
        seen = {key: self._kept[place] for key, place in places.items() if place in self._kept}
        missing = [key for key in distinct if key not in seen]
        try:
            seen.update(zip(missing, self._encode([distinct[key] for key in missing])))
        except NotImplementedError:
            self.caches_pictures = False
            return None
        for key in distinct:
            if places[key]:
                self._kept.pop(places[key], None)
                self._kept[places[key]] = seen[key]
        while sum(one.nbytes for one in self._kept.values()) > KEPT_BYTES:
            self._kept.pop(next(iter(self._kept)))
        return seen

    @torch.inference_mode()
    def _encode(self, pictures: Sequence[Picture], at_once: int = 16) -> list[Seen]:
        seen: list[Seen] = []
        for start in range(0, len(pictures), at_once):
            some = pictures[start : start + at_once]
            inputs, words = self._process(some)
            inputs = {k: v.to(self.model.device) for k, v in inputs.items() if torch.is_tensor(v)}
            features, deeper = self._features(inputs, len(some))
            # Pixels have become features; what else the model is told of a picture goes beside them.
            beside = [
                k for k, v in inputs.items() if not k.startswith("pixel") and len(v) == len(some)
            ]
            for i, picture_words in enumerate(words):
                extra = {name: inputs[name][i : i + 1] for name in beside if name in self._accepted}
                own = tuple(layer[i].clone() for layer in deeper)
                seen.append(Seen(picture_words, features[i].clone(), extra, own))
        return seen

    def _features(self, inputs: dict, count: int) -> tuple[Sequence[torch.Tensor], Sequence]:
        """Features of `count` pictures, and those of Qwen3-VL's deeper layers, [layers][count]."""
        visual = getattr(getattr(self.model, "model", None), "visual", None)
        grid = inputs.get("image_grid_thw")
        if (
            isinstance(visual, Qwen2VisionTransformerPretrainedModel)
            and self.model.device.type == "cpu"
        ):
            if bool((grid == grid[:1]).all()) and int(grid[0, 0]) == 1:
                patches = inputs["pixel_values"].view(count, int(grid[0].prod()), -1)
                return picture_tokens(visual, patches, (int(grid[0, 1]), int(grid[0, 2]))), ()
        accepted = inspect.signature(self.model.get_image_features).parameters
        given = {name: value for name, value in inputs.items() if name in accepted}
        out = self.model.get_image_features(**given, return_dict=True)
        features, deeper = (
            getattr(out, "pooler_output", None),
            getattr(out, "deepstack_features", None) or (),
        )
        known = {
            "last_hidden_state",
            "pooler_output",
            "hidden_states",
            "attentions",
            "deepstack_features",
        }
        if (
            set(out.keys()) - known
            or not isinstance(features, (tuple, list))
            or len(features) != count
        ):
            raise NotImplementedError(f"{type(self.model).__name__} gives no features a picture")
        return features, deeper

    def tokens(self, rendered: Sequence[str], seen: Sequence[Seen] = ()) -> list[list[int]]:
        """Token ids of rendered prompts, each with the placeholders of its own encoded picture put in."""
        texts = list(rendered)
        if seen:
            texts, _ = self.processor.get_text_with_replacements(
                texts, [picture.words for picture in seen]
            )
        return self.tokenizer(texts, add_special_tokens=False)["input_ids"]

    def lengths(
        self, prompts: Sequence[str], pictures: Sequence[Picture] | None = None
    ) -> list[int]:
        """Tokens of each prompt's turn, with those of its picture; a size of picture is prepared once."""
        rendered = [self.render(prompt, picture=pictures is not None) for prompt in prompts]
        if pictures is None:
            return [len(ids) for ids in self.tokens(rendered)] if rendered else []
        sizes = {picture_id(picture): _size(picture) for picture in pictures}
        if not hasattr(self.processor, "_process_images"):
            one_by_one = zip(rendered, pictures)
            return [
                int(self.batch_of_pictures([r], [p])["attention_mask"].sum()) for r, p in one_by_one
            ]
        of_size: dict[tuple, int] = {}
        for picture in pictures:
            if (size := sizes[picture_id(picture)]) not in of_size:
                # A control token each, so that their number adds to the text's whatever the text is.
                of_size[size] = (
                    len(
                        self.tokenizer(self._process([picture])[1][0], add_special_tokens=False)[
                            "input_ids"
                        ]
                    )
                    - 1
                )
        own = (
            dict(zip(distinct := list(dict.fromkeys(rendered)), map(len, self.tokens(distinct))))
            if rendered
            else {}
        )
        return [
            own[text] + of_size[sizes[picture_id(picture)]]
            for text, picture in zip(rendered, pictures)
        ]

    def batch(self, tokens: Sequence[Sequence[int]], seen: Sequence[Seen] = ()) -> dict:
        """Left-padded inputs of B prompts' tokens, each about its own encoded picture (or none of them)."""
        width = max(map(len, tokens))
        ids = torch.full((len(tokens), width), self.tokenizer.pad_token_id)
        mask = torch.zeros_like(ids)
        for row, own in enumerate(tokens):
            ids[row, width - len(own) :] = torch.tensor(own)
            mask[row, width - len(own) :] = 1
        inputs = {"input_ids": ids, "attention_mask": mask}
        if seen:
            if getattr(self.processor, "return_mm_token_type_ids", False):
                inputs["mm_token_type_ids"] = torch.tensor(
                    self.processor.create_mm_token_type_ids(ids.tolist())
                )
            for name in seen[0].extra:
                inputs[name] = torch.cat([picture.extra[name] for picture in seen])
        inputs = {name: value.to(self.model.device) for name, value in inputs.items()}
        if seen:
            features = {"pooler_output": tuple(picture.features for picture in seen)}
            if seen[0].deeper:
                features["deepstack_features"] = list(zip(*(picture.deeper for picture in seen)))
                inputs["mm_encoder_outputs"] = {
                    "image": BaseModelOutputWithDeepstackFeatures(**features)
                }
            else:
                inputs["mm_encoder_outputs"] = {"image": BaseModelOutputWithPooling(**features)}
        return inputs

    def batch_of_pictures(self, rendered: Sequence[str], pictures: Sequence[Picture]) -> dict:
        """The same through the processor alone, for models that take pictures only as pixels."""
        opened = [[open_picture(picture)] for picture in pictures]
        inputs = self.processor(
            text=list(rendered),
            images=opened,
            padding=True,
            return_tensors="pt",
            add_special_tokens=False,
        )
        return {name: value.to(self.model.device) for name, value in inputs.items()}

    def generate(self, inputs: dict, new_tokens: int) -> torch.Tensor:
        """Greedy continuations [B, up to new_tokens] of left-padded inputs, padded behind their end token."""
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

    def positions(self, inputs: dict) -> torch.Tensor | None:
        """Qwen2-VL's 3-D positions [3, B, L] of a left-padded batch with pictures, None for other models.

        All rows begin with the same template and, if the grids are equal, the same layout; so the longest
        row's positions, shifted by each row's padding, are every row's. This spares a slow loop over the
        batch.
        """
        inner = getattr(self.model, "model", None)
        if not hasattr(inner, "get_rope_index") or "image_grid_thw" not in inputs:
            return None
        mask, types, grid = (
            inputs["attention_mask"],
            inputs["mm_token_type_ids"],
            inputs["image_grid_thw"],
        )
        place = (mask.cumsum(-1) - 1).clamp(min=0)  # [B, L]
        longest = int(mask.sum(-1).argmax())
        same = bool((grid == grid[:1]).all()) and torch.equal(
            types[longest][place] * mask, types * mask
        )
        rows = slice(longest, longest + 1) if same else slice(None)
        positions, _ = inner.get_rope_index(
            input_ids=inputs["input_ids"][rows],
            mm_token_type_ids=types[rows],
            image_grid_thw=grid[rows],
            attention_mask=mask[rows],
        )
        return positions[:, 0][:, place] if same else positions

    def _process(self, pictures: Sequence[Picture]) -> tuple[dict, list[str]]:
        opened = [[open_picture(picture)] for picture in pictures]  # one a prompt
        options = self.processor._merge_kwargs(return_tensors="pt")["images_kwargs"]
        try:
            return self.processor._process_images(opened, **options)
        except ValueError as problem:
            if len(pictures) > 1:
                for picture in pictures:
                    self._process([picture])
                raise
            raise ValueError(
                f"The picture {pictures[0]} ({opened[0][0].width} x {opened[0][0].height} pixels) does not "
                f"suit the model: {problem}"
            ) from problem


def batches(order: Sequence[int], size: int) -> Iterable[list[int]]:
    """`order` cut into lists of at most `size`."""
    return (list(order[start : start + size]) for start in range(0, len(order), size))
