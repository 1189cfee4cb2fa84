"""A backbone: f and g, which give one unit vector for a picture or a text."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from icl_lib.data.pictures import normalise
from icl_lib.data.views import Images
from icl_lib.retrieval.clip import encode_image_tokens, encode_text_tokens, trim
from icl_lib.retrieval.weights import MERGES, WEIGHTS, Clip

DESCRIPTION = "backbone.json"


def _unique(keys: list) -> tuple[list[int], np.ndarray]:
    """Index of the first of each different key, and for each key which of those it is."""
    seen: dict = {}
    back = np.array([seen.setdefault(key, len(seen)) for key in keys], dtype=np.int64)
    first: dict = {}
    for i, slot in enumerate(back.tolist()):
        first.setdefault(slot, i)
    return list(first.values()), back


def at(tokens: Tensor, position: Tensor) -> Tensor:
    """Of tokens [B, N, D] the one at position [B], [B, D]."""
    return tokens[torch.arange(len(tokens), device=tokens.device), position]


def uses_bf16(precision: str, device: torch.device) -> bool:
    """Whether to compute in bf16: as asked, or under "auto" where the hardware has bf16 matrix units."""
    if precision != "auto":
        return precision == "bf16"
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu":
        has = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
        return bool(has.get("amx_bf16") or has.get("avx512_bf16"))
    return False


class Backbone(nn.Module):
    """Plain CLIP, and what every backbone shares: encoding, saving, precision. One branch, `bge`."""

    method = "clip"

    def __init__(self, clip: Clip, precision: str = "auto", eval_batch: int = 256):
        super().__init__()
        self.source, self.clip, self.tokenizer = clip, clip.model, clip.tokenizer
        self.clip.logit_scale.requires_grad_(False)  # S is a cosine; no loss here learns a scale
        self.precision, self.eval_batch = precision, eval_batch
        self.context_length = clip.config["text_cfg"]["context_length"]
        self.image_size = tuple(clip.config["vision_cfg"]["image_size"])

    def image_branches(self, pixels: Tensor) -> dict[str, Tensor]:
        """Unit vectors {branch: [B, D]} float32 of pixels [B, 3, H, W], uint8 or normalised float."""
        tokens, _ = encode_image_tokens(self.clip, self._pixels(pixels), keep=0)
        return {"bge": F.normalize(tokens[:, 0].float(), dim=-1)}

    def text_branches(self, ids: Tensor) -> dict[str, Tensor]:
        """Unit vectors {branch: [B, D]} float32 of token ids [B, L]; trimmed to the longest text first."""
        ids = trim(ids.to(self.device))
        tokens, _ = encode_text_tokens(self.clip, ids)
        return {"bge": F.normalize(at(tokens, ids.argmax(1)).float(), dim=-1)}

    def forward(self, batch: dict) -> dict:
        """What the objective wants of a training batch, all [B, …].

        `batch` has `pixels`, `ids` and maybe a second text's `rda_ids`. "images": {branch: unit vectors [B,
        D]}; "texts": such a dict for each text; "own": for each text {name: [B, 2]}, the sum and count of a
        loss of the method's own (none here).
        """
        ids = torch.cat([batch["ids"], batch["rda_ids"]]) if "rda_ids" in batch else batch["ids"]
        images, texts = self.image_branches(batch["pixels"]), self.text_branches(ids)
        parts = {name: vectors.split(len(batch["pixels"])) for name, vectors in texts.items()}
        each = [dict(zip(parts, vectors)) for vectors in zip(*parts.values())]
        return {"images": images, "texts": each, "own": [{} for _ in each]}

    def own_rate(self, name: str, settings) -> float | None:
        """The learning rate of a parameter that the method adds to CLIP; None: CLIP's rates hold."""
        return None

    def encode_images(self, images) -> np.ndarray:
        """Unit vectors [N, D] float32 of paths, PIL images, `Images`, or pixels [N, 3, H, W].

        A path given twice is read and encoded once.
        """
        if isinstance(images, (np.ndarray, Tensor)):
            return self._encode(self.image_branches, torch.as_tensor(images).split(self.eval_batch))
        if not isinstance(images, Images):
            keys = [item if isinstance(item, (str, Path)) else id(item) for item in images]
            first, back = _unique(keys)
            images = Images([images[i] for i in first], self.image_size)
            return self._encode(self.image_branches, images.batches(self.eval_batch))[back]
        return self._encode(self.image_branches, images.batches(self.eval_batch))

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        """Unit vectors [N, D] float32; a text given twice is encoded once."""
        first, back = _unique(list(texts))
        return self.encode_ids(self.tokenise([texts[i] for i in first]))[back]

    def encode_ids(self, ids: Tensor) -> np.ndarray:
        """Unit vectors [N, D] float32 of token ids [N, L]."""
        order = ids.argmax(1).argsort(stable=True)
        out = self._encode(self.text_branches, ids[order].split(self.eval_batch))
        back = np.empty_like(out)
        back[order.numpy()] = out
        return back

    def tokenise(self, texts: Sequence[str]) -> Tensor:
        """Token ids [N, context_length] int64; longer texts are cut, EOT kept."""
        if not len(texts):
            return torch.zeros(0, self.context_length, dtype=torch.long)
        return self.tokenizer(list(texts), context_length=self.context_length)

    def branches_of(self, vectors: np.ndarray) -> dict[str, np.ndarray]:
        """The branches' unit vectors {branch: [N, D]} inside joined `vectors` [N, ΣD]."""
        widths, start, parts = self.widths, 0, {}
        for name, width in widths.items():
            parts[name] = vectors[:, start : start + width] * len(widths) ** 0.5
            start += width
        return parts

    @property
    def widths(self) -> dict[str, int]:
        return {"bge": self.clip.visual.proj.shape[1]}

    @property
    def device(self) -> torch.device:
        return self.clip.positional_embedding.device

    def autocast(self):
        """bf16 autocast where `precision` asks for it, or is "auto" and the machine is fast at it; or fp16."""
        if self.precision == "fp16":
            if self.device.type != "cuda":
                raise ValueError(
                    f"backbone.precision fp16 needs a CUDA device, and this model is on the "
                    f"{self.device.type}: set it to auto, bf16 or fp32."
                )
            return torch.autocast("cuda", dtype=torch.float16)
        enabled = uses_bf16(self.precision, self.device)
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=enabled)

    def save(self, folder: Path) -> None:
        """Writes model.safetensors, backbone.json and the vocabulary: all that `load_backbone` needs."""
        from safetensors.torch import save

        from icl_lib.results import atomic_write, write_json

        folder = Path(folder)
        if self.source.merges is not None:
            atomic_write(folder / MERGES, self.source.merges)
        write_json(folder / DESCRIPTION, self.describe())
        atomic_write(
            folder / WEIGHTS, save({name: t.contiguous() for name, t in self.state_dict().items()})
        )

    def describe(self) -> dict:
        return {"method": self.method, "clip": self.source.config}

    def _encode(self, branches, batches: Iterable[Tensor]) -> np.ndarray:
        was_training = self.training
        self.eval()
        with torch.inference_mode(), self.autocast():
            out = [self._join(branches(batch)).cpu() for batch in batches if len(batch)]
        self.train(was_training)
        return (
            torch.cat(out).numpy() if out else np.zeros((0, sum(self.widths.values())), np.float32)
        )

    def _join(self, branches: dict[str, Tensor]) -> Tensor:
        return torch.cat(list(branches.values()), dim=1) / len(branches) ** 0.5

    def _pixels(self, pixels: Tensor) -> Tensor:
        pixels = pixels.to(self.device, non_blocking=True)
        return normalise(pixels) if pixels.dtype == torch.uint8 else pixels
