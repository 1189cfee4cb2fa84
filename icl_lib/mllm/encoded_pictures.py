"""A picture after the vision tower: what stands for it in a prompt, and its features."""

import inspect
import os
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from PIL import Image
from transformers.models.qwen2_vl.modeling_qwen2_vl import Qwen2VisionTransformerPretrainedModel

from icl_lib.data.pictures import Picture, open_picture
from icl_lib.mllm.qwen2vl_tower import picture_tokens


@dataclass(frozen=True)
class Seen:
    """One picture after the vision tower.

    Attributes:
        ids: the placeholder tokens that stand for it in a prompt.
        features: what the model reads in their place, [n, D].
        extra: the processor's other values for it, one row each (Qwen2-VL: image_grid_thw).
        deeper: what is added at those places in the first layers, one [n, D] per layer (Qwen3-VL's
            deepstack).
    """

    ids: tuple[int, ...]
    features: torch.Tensor
    extra: dict[str, torch.Tensor]
    deeper: tuple[torch.Tensor, ...] = ()

    @property
    def nbytes(self) -> int:
        """Memory of the features in bytes."""
        return sum(part.nbytes for part in (self.features, *self.deeper))


@torch.inference_mode()
def encode(processor, model, pictures: Sequence[Picture]) -> list[Seen]:
    """Each picture through the processor and the vision tower, all at once.

    Raises:
        NotImplementedError: this class of model gives no features for each picture.
    """
    inputs, ids = prepare(processor, pictures)
    inputs = {name: value.to(model.device) for name, value in inputs.items()}
    features, deeper = _features(model, inputs, len(pictures))
    accepted = inspect.signature(type(model).forward).parameters
    extra = [name for name in inputs if not name.startswith("pixel") and name in accepted]
    return [
        Seen(
            ids[i],
            features[i].clone(),
            {name: inputs[name][i : i + 1] for name in extra},
            tuple(layer[i].clone() for layer in deeper),
        )
        for i in range(len(pictures))
    ]


def prepare(processor, pictures: Sequence[Picture]) -> tuple[dict, list[tuple[int, ...]]]:
    """The processor's tensors for the pictures, and the placeholder tokens of each.

    Raises:
        ValueError: naming the picture that cannot be read or does not suit the model.
    """
    opened = [[open_picture(picture)] for picture in pictures]
    try:
        inputs = as_pixels(processor, [processor.image_token] * len(pictures), opened)
    except ValueError as problem:
        if len(pictures) > 1:  # find the picture that causes the error
            for picture in pictures:
                prepare(processor, [picture])
            raise
        raise ValueError(
            f"The picture {pictures[0]} ({opened[0][0].width} x {opened[0][0].height} pixels) does "
            f"not suit the model: {problem}"
        ) from problem
    mask = inputs.pop("attention_mask").bool()
    inputs.pop("mm_token_type_ids", None)
    rows = zip(inputs.pop("input_ids"), mask, strict=True)
    return inputs, [tuple(row[kept].tolist()) for row, kept in rows]


def as_pixels(processor, texts: list[str], opened: list[list[Image.Image]]) -> dict:
    """What the processor makes of texts and their pictures: left-padded tokens and pixels."""
    return dict(
        processor(
            text=texts, images=opened, padding=True, return_tensors="pt", add_special_tokens=False
        )
    )


def file_state(picture: Picture) -> tuple | None:
    """Path, time and size of a file, which change with its content; None for an open picture."""
    if isinstance(picture, Image.Image) or not os.path.isfile(picture):
        return None
    state = os.stat(picture)
    return str(picture), state.st_mtime_ns, state.st_size


def _features(model, inputs: dict, count: int) -> tuple[Sequence[torch.Tensor], Sequence]:
    """Features [count] of the pictures, and those for deeper layers [layers][count] (Qwen3-VL)."""
    visual = getattr(getattr(model, "model", None), "visual", None)
    if isinstance(visual, Qwen2VisionTransformerPretrainedModel) and model.device.type == "cpu":
        grid = inputs["image_grid_thw"]
        if bool((grid == grid[:1]).all()) and int(grid[0, 0]) == 1:
            frames, height, width = grid[0].tolist()
            patches = inputs["pixel_values"].view(count, frames * height * width, -1)
            return picture_tokens(visual, patches, (height, width)), ()
    accepted = inspect.signature(model.get_image_features).parameters
    given = {name: value for name, value in inputs.items() if name in accepted}
    out = model.get_image_features(**given, return_dict=True)
    features = getattr(out, "pooler_output", None)
    known = {"last_hidden_state", "pooler_output", "hidden_states", "attentions"}
    unknown = set(out.keys()) - known - {"deepstack_features"}
    if unknown or not isinstance(features, (tuple, list)) or len(features) != count:
        raise NotImplementedError(f"{type(model).__name__} gives no features for each picture")
    return features, getattr(out, "deepstack_features", None) or ()
