"""The interface of a backbone {f, g}: one unit vector for an image or a text. Here also plain CLIP.

A backbone has branches (CLIP: `bge`; RDE: `bge` and `tse`). Each branch gives unit vectors; S is
the mean of the branches' cosines, which is the inner product of the concatenated vectors over
√branches.
"""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from icl_lib.data.pictures import normalise
from icl_lib.data.views import Images
from icl_lib.results import atomic_write, write_json
from icl_lib.retrieval.clip import encode_image_tokens, encode_text_tokens, token_at, trim
from icl_lib.retrieval.weights import MERGES, WEIGHTS, Clip

DESCRIPTION = "backbone.json"


def uses_bf16(precision: str, device: torch.device) -> bool:
    """Whether to compute in bf16: as asked, or, for "auto", where the hardware is fast at it."""
    if precision != "auto":
        return precision == "bf16"
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    # Older versions of torch do not have this function.
    found = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return device.type == "cpu" and any(found.get(name) for name in ("amx_bf16", "avx512_bf16"))


class Backbone(nn.Module):
    """Plain CLIP with its one branch, `bge`, and what all backbones share: encoding and saving.

    A subclass overrides `image_branches`, `text_branches`, `widths`, `describe` and, if its
    training needs more than the branches, `forward` and `own_rate`.
    """

    method = "clip"

    def __init__(self, clip: Clip, precision: str = "auto", eval_batch: int = 256):
        super().__init__()
        self.source, self.clip, self.tokenizer = clip, clip.model, clip.tokenizer
        self.clip.logit_scale.requires_grad_(False)  # S is a cosine; no loss here learns a scale
        self.precision, self.eval_batch = precision, eval_batch
        self.context_length = clip.config["text_cfg"]["context_length"]
        self.image_size = tuple(clip.config["vision_cfg"]["image_size"])

    def image_branches(self, pixels: Tensor) -> dict[str, Tensor]:
        """Unit vectors {branch: [B, D]} in float32 of pixels [B, 3, H, W], uint8 or normalised."""
        tokens, _ = encode_image_tokens(self.clip, self.normalised(pixels), keep=0)
        return {"bge": F.normalize(tokens[:, 0].float(), dim=-1)}

    def text_branches(self, ids: Tensor) -> dict[str, Tensor]:
        """Unit vectors {branch: [B, D]} in float32 of token ids [B, L]."""
        ids = trim(ids.to(self.device))
        tokens, _ = encode_text_tokens(self.clip, ids)
        return {"bge": F.normalize(token_at(tokens, ids.argmax(1)).float(), dim=-1)}

    def forward(self, batch: dict) -> dict:
        """What the objective needs of a training batch.

        Args:
            batch: `pixels` [B, 3, H, W], `ids` [B, L] and, for second texts, `rda_ids` [B, L].

        Returns:
            "images": unit vectors {branch: [B, D]}; "texts": the same for the captions and the
            second texts; "own": for each of these {name: [B, 2]}, the sum and the number of items
            of a loss of the method's own (none here).
        """
        ids = torch.cat([batch["ids"], batch["rda_ids"]]) if "rda_ids" in batch else batch["ids"]
        images, texts = self.image_branches(batch["pixels"]), self.text_branches(ids)
        parts = [vectors.split(len(batch["pixels"])) for vectors in texts.values()]
        each = [dict(zip(texts, vectors, strict=True)) for vectors in zip(*parts, strict=True)]
        return {"images": images, "texts": each, "own": [{} for _ in each]}

    def own_rate(self, name: str, settings) -> float | None:
        """Learning rate of a parameter that the method adds to CLIP; None means CLIP's rates."""
        return None

    def encode_images(self, images) -> np.ndarray:
        """Unit vectors [N, D] float32 of paths, PIL images, `Images`, or pixels [N, 3, H, W].

        An image that is listed twice is read and encoded once.
        """
        if isinstance(images, np.ndarray | Tensor):
            batches = torch.as_tensor(images).split(self.eval_batch)
            return self._encode(self.image_branches, batches)
        if isinstance(images, Images):
            return self._encode(self.image_branches, images.batches(self.eval_batch))
        keys = [item if isinstance(item, str | Path) else id(item) for item in images]
        unique, places = _unique(images, keys)
        return self.encode_images(Images(unique, self.image_size))[places]

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        """Unit vectors [N, D] float32 of texts; a text that is listed twice is encoded once."""
        unique, places = _unique(texts, texts)
        return self.encode_ids(self.tokenise(unique))[places]

    def encode_ids(self, ids: Tensor) -> np.ndarray:
        """Unit vectors [N, D] float32 of token ids [N, L]."""
        order = ids.argmax(1).argsort(stable=True)
        out = self._encode(self.text_branches, ids[order].split(self.eval_batch))
        return out[order.argsort().numpy()]

    def tokenise(self, texts: Sequence[str]) -> Tensor:
        """Token ids [N, context_length] int64; longer texts are cut before EOT."""
        if not len(texts):
            return torch.zeros(0, self.context_length, dtype=torch.long)
        return self.tokenizer(list(texts), context_length=self.context_length)

    def branches_of(self, vectors: np.ndarray) -> dict[str, np.ndarray]:
        """The unit vectors {branch: [N, D]} that the concatenated `vectors` [N, ΣD] are made of."""
        ends = np.cumsum(list(self.widths.values()))
        parts = np.split(vectors, ends[:-1], axis=1)
        return {
            name: part * len(parts) ** 0.5 for name, part in zip(self.widths, parts, strict=True)
        }

    @property
    def widths(self) -> dict[str, int]:
        """The dimensions of each branch's vectors."""
        return {"bge": self.clip.visual.proj.shape[1]}

    @property
    def device(self) -> torch.device:
        """The device that the weights are on."""
        return self.clip.positional_embedding.device

    def autocast(self) -> torch.autocast:
        """fp16 or bf16 autocast if `precision` asks for it (see `uses_bf16`), else without effect.

        Raises:
            ValueError: fp16 is asked for without a CUDA device.
        """
        if self.precision == "fp16":
            if self.device.type != "cuda":
                raise ValueError(
                    "backbone.precision fp16 needs a CUDA device, and this model is on the "
                    f"{self.device.type}: set it to auto, bf16 or fp32."
                )
            return torch.autocast("cuda", dtype=torch.float16)
        enabled = uses_bf16(self.precision, self.device)
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=enabled)

    def save(self, folder: Path) -> None:
        """Writes weights, description and vocabulary: all that `load_backbone` needs."""
        from safetensors.torch import save

        folder = Path(folder)
        if self.source.merges is not None:
            atomic_write(folder / MERGES, self.source.merges)
        write_json(folder / DESCRIPTION, self.describe())
        state = {name: tensor.contiguous() for name, tensor in self.state_dict().items()}
        atomic_write(folder / WEIGHTS, save(state))

    def describe(self) -> dict:
        """The content of backbone.json: the method, CLIP's config and the sizes of the heads."""
        return {"method": self.method, "clip": self.source.config}

    def normalised(self, pixels: Tensor) -> Tensor:
        """Pixels on the model's device; uint8 values are normalised as CLIP wants them."""
        pixels = pixels.to(self.device, non_blocking=True)
        return normalise(pixels) if pixels.dtype == torch.uint8 else pixels

    def _encode(self, branches: Callable, batches: Iterable[Tensor]) -> np.ndarray:
        was_training = self.training
        self.eval()
        out = [torch.zeros(0, sum(self.widths.values()))]
        with torch.inference_mode(), self.autocast():
            for batch in batches:
                if len(batch):
                    vectors = list(branches(batch).values())
                    out.append((torch.cat(vectors, dim=1) / len(vectors) ** 0.5).cpu())
        self.train(was_training)
        return torch.cat(out).numpy()


def _unique(items: Iterable, keys: Sequence) -> tuple[list, list[int]]:
    """The items with different keys, in order, and for every key its place among them."""
    unique = dict(zip(keys, items, strict=True))
    place = {key: i for i, key in enumerate(unique)}
    return list(unique.values()), [place[key] for key in keys]
