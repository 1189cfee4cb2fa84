"""The retrieval model {f, g}: one unit vector an image, one a text, whose inner product is S.

A backbone has branches (RDE: BGE and TSE); each gives unit vectors, S is the mean of their cosines, and so
the inner product of the concatenation over √branches.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from icl_lib.data.views import Images, normalise
from icl_lib.retrieval.checkpoints import kit_names, load_state, looks_like, method_of, read_tensors
from icl_lib.retrieval.clip import encode_image_tokens, encode_text_tokens, trim
from icl_lib.retrieval.clip_files import MERGES, WEIGHTS, Clip, build_clip, empty_clip, load_clip
from icl_lib.retrieval.together import batch_norm

DESCRIPTION = "backbone.json"


class TokenSelection(nn.Module):
    """RDE's token selection embedding (TSE): the most attended tokens, embedded and max-pooled.

    Kept are the `ratio` of the tokens that the class (EOT) token attends to most; they are L2-normalised,
    mapped by a linear layer plus a 2-layer MLP with BatchNorm to `embed_dim`, and max-pooled. State dicts of
    the released code load: its image head carries an unused `linear` beside the `fc` it applies; the applied
    one is taken.
    """

    def __init__(self, input_dim: int = 512, embed_dim: int = 1024, ratio: float = 0.3):
        super().__init__()
        self.ratio = ratio
        self.linear = nn.Linear(input_dim, embed_dim)
        self.mlp = _Mlp(input_dim, embed_dim // 2, embed_dim)

    def forward(self, tokens: Tensor, attention: Tensor, ids: Tensor | None = None,
                length: int | None = None) -> Tensor:
        """[B, embed_dim], not normalised.

        tokens [B, N, D] projected; attention [B, N], the class (EOT) token's row, or the whole [B, N, N]. For
        texts, ids [B, N] say which tokens are words: those between the first and EOT, the largest id.
        `length` is the number of tokens that the ratio refers to, N if None: give the context length when
        texts were trimmed, and all tokens of an image when only the most attended are here. A text without
        words is embedded by its EOT token.
        """
        position = torch.arange(tokens.shape[1], device=tokens.device)
        end = ids.argmax(1) if ids is not None else None  # [B]
        if attention.ndim == 3:
            row = end if ids is not None else torch.zeros(len(tokens), dtype=torch.long, device=tokens.device)
            attention = attention[torch.arange(len(tokens), device=tokens.device), row]
        length = length or tokens.shape[1]
        if ids is None:
            inner = (position > 0).expand(len(tokens), -1)
            count = int(self.ratio * (length - 1))
        else:
            inner = (position > 0) & (position < end[:, None])  # [B, N]
            inner = inner | ((position == end[:, None]) & (end[:, None] <= 1))
            count = int(self.ratio * (length - 2))
        count = min(max(count, 1), tokens.shape[1])
        score, chosen = attention.masked_fill(~inner, -torch.inf).topk(count, dim=1)  # [B, k]
        real = score > -torch.inf  # [B, k]: a short text has fewer than k words
        picked = tokens.gather(1, chosen[..., None].expand(-1, -1, tokens.shape[2]))[real]  # [M, D]
        picked = F.normalize(picked.float(), dim=-1)
        # [M, E]: padding is not among the M, so it never enters BatchNorm's statistics.
        embedded = self.linear(picked) + self.mlp(picked)
        pooled = embedded.new_full((*real.shape, embedded.shape[1]), -torch.inf)
        pooled[real] = embedded
        return pooled.amax(1)

    def _load_from_state_dict(self, state, prefix, *rest):
        for kind in ("weight", "bias"):
            if f"{prefix}fc.{kind}" in state:
                state[f"{prefix}linear.{kind}"] = state.pop(f"{prefix}fc.{kind}")
        super()._load_from_state_dict(state, prefix, *rest)


class _Mlp(nn.Module):
    """Linear, BatchNorm, ReLU, linear. Released checkpoints hold a second BatchNorm that nothing uses."""

    def __init__(self, width: int, hidden: int, out: int):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(width, hidden), nn.Linear(hidden, out)])
        self.bns = nn.ModuleList([nn.BatchNorm1d(hidden)])

    def forward(self, x: Tensor) -> Tensor:
        return self.layers[1](batch_norm(self.layers[0](x), self.bns[0]).relu())

    def _load_from_state_dict(self, state, prefix, *rest):
        for name in [name for name in state if name.startswith(f"{prefix}bns.1.")]:
            del state[name]
        super()._load_from_state_dict(state, prefix, *rest)


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
            parts[name] = vectors[:, start:start + width] * len(widths) ** 0.5
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
                raise ValueError(f"backbone.precision fp16 needs a CUDA device, and this model is on the "
                                 f"{self.device.type}: set it to auto, bf16 or fp32.")
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
        atomic_write(folder / WEIGHTS, save({name: t.contiguous() for name, t in self.state_dict().items()}))

    def describe(self) -> dict:
        return {"method": self.method, "clip": self.source.config}

    def _encode(self, branches, batches: Iterable[Tensor]) -> np.ndarray:
        was_training = self.training
        self.eval()
        with torch.inference_mode(), self.autocast():
            out = [self._join(branches(batch)).cpu() for batch in batches if len(batch)]
        self.train(was_training)
        return torch.cat(out).numpy() if out else np.zeros((0, sum(self.widths.values())), np.float32)

    def _join(self, branches: dict[str, Tensor]) -> Tensor:
        return torch.cat(list(branches.values()), dim=1) / len(branches) ** 0.5

    def _pixels(self, pixels: Tensor) -> Tensor:
        pixels = pixels.to(self.device, non_blocking=True)
        return normalise(pixels) if pixels.dtype == torch.uint8 else pixels


class RDE(Backbone):
    """RDE (CVPR 2024): BGE, the class and EOT tokens, and TSE, the most attended; S is the mean cosine."""

    method = "rde"

    def __init__(self, clip: Clip, embed_dim: int = 1024, ratio: float = 0.3, frozen_batchnorm: bool = False,
                 **shared):
        super().__init__(clip, **shared)
        width = self.clip.visual.proj.shape[1]
        self.tse_image = TokenSelection(width, embed_dim, ratio)
        self.tse_text = TokenSelection(width, embed_dim, ratio)
        self.frozen_batchnorm = frozen_batchnorm  # in training, as the released code leaves it

    def train(self, mode: bool = True):
        super().train(mode)
        if self.frozen_batchnorm:
            self.tse_image.eval()
            self.tse_text.eval()
        return self

    def own_rate(self, name: str, settings) -> float | None:
        return settings.tse_lr if name.startswith("tse_") else None

    def image_branches(self, pixels: Tensor) -> dict[str, Tensor]:
        length = len(self.clip.visual.positional_embedding)
        keep = max(1, int(self.tse_image.ratio * (length - 1)))  # what TSE selects
        tokens, attention = encode_image_tokens(self.clip, self._pixels(pixels), keep)
        return self._both(tokens[:, 0], self.tse_image, tokens, attention, None, length)

    def text_branches(self, ids: Tensor) -> dict[str, Tensor]:
        ids = trim(ids.to(self.device))
        tokens, attention = encode_text_tokens(self.clip, ids)
        anchor = at(tokens, ids.argmax(1))
        return self._both(anchor, self.tse_text, tokens, attention, ids, self.context_length)

    @property
    def widths(self) -> dict[str, int]:
        return super().widths | {"tse": self.tse_image.linear.out_features}

    def describe(self) -> dict:
        return super().describe() | {"embed_tse": self.widths["tse"], "select_ratio": self.tse_image.ratio}

    def _both(self, anchor: Tensor, head: TokenSelection, *inputs) -> dict[str, Tensor]:
        # Small, and BatchNorm and max-pooling want precision.
        with torch.autocast(self.device.type, enabled=False):
            tse = head(inputs[0].float(), *inputs[1:])
        return {"bge": F.normalize(anchor.float(), dim=-1), "tse": F.normalize(tse, dim=-1)}


def load_backbone(params, source: Path | str | None = None) -> Backbone:
    """The trained backbone in `source`, a folder of this kit's or a published checkpoint of `params`' method.

    Without one: backbone.checkpoint, else the pre-trained CLIP of `params`, not fine-tuned. On a GPU if there
    is one. Raises FileNotFoundError if nothing is there, ValueError if the tensors do not fit.
    """
    source = params.backbone.checkpoint if source is None else source
    if source is None:
        return _placed(Backbone(load_clip(params), **_shared(params)))
    source = Path(source).expanduser()
    return _placed((_load_file if source.is_file() else _load_folder)(params, source).eval())


def new_backbone(params, identities: Sequence[int] = ()) -> Backbone:
    """The backbone that `params.backbone` describes, ready to be trained: pre-trained CLIP, fresh heads.

    IRRA needs the train split's `identities`.
    """
    wanted = params.backbone
    torch.manual_seed(params.seed)
    about = {"method": wanted.method, "embed_tse": wanted.embed_tse, "select_ratio": wanted.select_ratio,
             "cross_layers": wanted.irra.cross_layers}
    model = _assemble(about, load_clip(params), identities, params)
    if wanted.method == "rde":
        model.frozen_batchnorm = wanted.as_released.frozen_batchnorm
    return _placed(model)


def _load_folder(params, folder: Path) -> Backbone:
    from icl_lib.results import read_json

    if not (folder / DESCRIPTION).is_file() or not (folder / WEIGHTS).is_file():
        raise FileNotFoundError(f"no trained backbone in {folder}: it should hold {DESCRIPTION} and "
                                f"{WEIGHTS}. Train one with notebook 03_backbone, or give the folder of one, "
                                "or a published checkpoint's file.")
    about = read_json(folder / DESCRIPTION)
    merges = (folder / MERGES).read_bytes() if (folder / MERGES).is_file() else None
    model = _assemble(about, build_clip(about["clip"], merges), range(about.get("identities", 0)), params)
    load_state(model, read_tensors(folder / WEIGHTS), folder / WEIGHTS)
    return model


def _load_file(params, path: Path) -> Backbone:
    """A published checkpoint, by its own names; its method and sizes must be those of `params`."""
    tensors = read_tensors(path)
    found, wanted = method_of(tensors), params.backbone.method
    if found != wanted:
        hint = f" Set backbone.method to {found!r}." if found else ""
        raise ValueError(f"{path} is no checkpoint of {wanted!r} (backbone.method): it looks like "
                         f"{looks_like(tensors)}.{hint}")
    names = kit_names(tensors)
    state = {name: tensors[old].float() for name, old in names.items()}
    if wanted == "irra":
        classes = len(state.get("classifier.weight", [0]))
        state["identities"] = torch.arange(classes)  # which ones the file does not tell
    layers = {name.split(".")[2] for name in state if name.startswith("cross_modal_transformer.resblocks.")}
    about = {"method": wanted, "embed_tse": params.backbone.embed_tse, "cross_layers": len(layers),
             "select_ratio": params.backbone.select_ratio}
    model = _assemble(about, empty_clip(params), state.get("identities", ()), params)
    load_state(model, state, path, names, tensors)
    return model


def _assemble(about: dict, clip: Clip, identities: Sequence[int], params) -> Backbone:
    """The model that `about` (a backbone.json) describes, around `clip`."""
    shared = _shared(params)
    if about["method"] == "rde":
        return RDE(clip, about["embed_tse"], about["select_ratio"], **shared)
    if about["method"] == "irra":
        from icl_lib.retrieval.irra import IRRA  # which is built on this module

        return IRRA(clip, identities, about["cross_layers"], **shared)
    return Backbone(clip, **shared)


def _shared(params) -> dict:
    return {"precision": params.backbone.precision, "eval_batch": params.backbone.eval_batch}


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


def _placed(model: Backbone) -> Backbone:
    return model.to("cuda" if torch.cuda.is_available() else "cpu")


def at(tokens: Tensor, position: Tensor) -> Tensor:
    """Of tokens [B, N, D] the one at position [B], [B, D]."""
    return tokens[torch.arange(len(tokens), device=tokens.device), position]


def _unique(keys: list) -> tuple[list[int], np.ndarray]:
    """Index of the first of each different key, and for each key which of those it is."""
    seen: dict = {}
    back = np.array([seen.setdefault(key, len(seen)) for key in keys], dtype=np.int64)
    first: dict = {}
    for i, slot in enumerate(back.tolist()):
        first.setdefault(slot, i)
    return list(first.values()), back
