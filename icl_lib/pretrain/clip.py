"""Stage 2b: a small CLIP of open_clip's class, its image side begun from the attribute tower, trained on generic captions.

The loss is CLIP's own, over batches of strangers. (Batches of near-twins make it so strong that fine-tuning and interaction
have little left to do: zero-shot Rank-1 on the stand-in was 71% with them.)
"""

import gzip
import json
import random
from pathlib import Path

import open_clip
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn

from icl_lib.mllm.prompts import Prompts
from icl_lib.pretrain.exercises import Exercises
from icl_lib.pretrain.loop import batches, train
from icl_lib.pretrain.tower import PATCH, SIZE, AttributeTower
from icl_lib.pretrain.world import GenericSet, augment
from icl_lib.retrieval.clip import encode_image_tokens, encode_text_tokens, trim
from icl_lib.retrieval.weights import CONFIG, MERGES, WEIGHTS, Clip, build_clip

KEPT_MERGES = 3500  # the first ones of OpenAI's 48,894: BPE merges are listed by how often they pay


def cut_merges(count: int = KEPT_MERGES) -> bytes:
    """OpenAI's BPE file with its first `count` merges only, gzipped; open_clip's SimpleTokenizer reads it."""
    source = Path(open_clip.__file__).parent / "bpe_simple_vocab_16e6.txt.gz"
    lines = gzip.decompress(source.read_bytes()).decode().split("\n")
    return gzip.compress("\n".join(lines[: count + 1]).encode(), mtime=0)


def small_config(vocabulary: int) -> dict:
    """open_clip's model config of the small CLIP."""
    return {
        "embed_dim": 192,
        "quick_gelu": False,
        "vision_cfg": {
            "image_size": [SIZE[1], SIZE[0]],
            "layers": 6,
            "width": 160,
            "head_width": 32,
            "patch_size": PATCH,
            "no_ln_pre": True,
        },
        "text_cfg": {
            "context_length": 77,
            "vocab_size": vocabulary,
            "width": 160,
            "heads": 5,
            "layers": 4,
        },
    }


def small_clip() -> Clip:
    """The small CLIP with random weights."""
    return build_clip(small_config(512 + KEPT_MERGES + 2), cut_merges())


def adopt_tower(model: nn.Module, tower: AttributeTower) -> None:
    """Begin the image side from the attribute tower; positions, which rotary embeddings held there, start near zero."""
    visual, source = model.visual, tower.visual.state_dict()
    visual.conv1.weight.data.copy_(source["patch_embed.proj.weight"].sum(2))
    names = {
        "norm1": "ln_1",
        "norm2": "ln_2",
        "attn.qkv.weight": "attn.in_proj_weight",
        "attn.qkv.bias": "attn.in_proj_bias",
        "attn.proj": "attn.out_proj",
        "mlp.fc1": "mlp.c_fc",
        "mlp.fc2": "mlp.c_proj",
    }
    own = visual.state_dict()
    for name, value in source.items():
        if name.startswith("blocks."):
            _, layer, rest = name.split(".", 2)
            for old, new in names.items():
                if rest.startswith(old):
                    own[f"transformer.resblocks.{layer}.{rest.replace(old, new, 1)}"].copy_(value)
    nn.init.normal_(visual.positional_embedding, std=0.02)


class Learner(nn.Module):
    """The CLIP in training."""

    def __init__(self, clip: Clip):
        super().__init__()
        self.clip = clip.model

    def forward(self, pictures, ids):
        """Embeddings before normalisation: images [B, D] and texts [B, D]."""
        image, _ = encode_image_tokens(self.clip, pictures)
        text, _ = encode_text_tokens(self.clip, ids)
        return image[:, 0], text[torch.arange(len(ids)), ids.argmax(1)]


def contrast(image: torch.Tensor, text: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """CLIP's symmetric InfoNCE over [B, D] images and texts, averaged over the batch (nats)."""
    logits = (
        scale * F.normalize(text.float(), dim=-1) @ F.normalize(image.float(), dim=-1).T
    )  # [B, B] text x image
    target = torch.arange(len(logits))
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


def train_clip(
    data: GenericSet,
    tower: AttributeTower,
    prompts: Prompts,
    folder: Path,
    steps: int,
    batch: int = 128,
    lr: float = 1e-3,
    seed: int = 0,
) -> tuple[Learner, Clip]:
    """Train (or go on training) the small CLIP on `data`; its state and log lie in `folder`."""
    torch.manual_seed(seed)
    clip = small_clip()
    adopt_tower(clip.model, tower)
    learner, exercises, order = (
        Learner(clip),
        Exercises(data, prompts),
        batches(len(data.truth), batch, seed),
    )

    def loss_of(step):
        rng, index = random.Random(f"clip-{seed}-{step}"), order(step)
        ids = trim(
            clip.tokenizer(
                [exercises.caption(exercises.facts(i, rng), rng) for i in index.tolist()]
            )
        )
        pictures = augment(
            torch.from_numpy(data.pictures[index.numpy()]), torch.Generator().manual_seed(step)
        )
        loss = contrast(*learner(pictures, ids), clip.model.logit_scale.clamp(max=4.6).exp())
        return loss, {"info_nce": loss.item()}

    train(learner, loss_of, steps, lr, Path(folder), "clip", warmup=50, save_every=100)
    return learner.eval(), clip


def save_clip(clip: Clip, folder: Path) -> None:
    """Write the folder that `load_clip` reads: config, BPE merges, weights as half-precision safetensors."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CONFIG).write_text(json.dumps({"model_cfg": clip.config}, indent=1))
    (folder / MERGES).write_bytes(clip.merges)
    save_file(
        {n: t.half().contiguous() for n, t in clip.model.state_dict().items()}, folder / WEIGHTS
    )
