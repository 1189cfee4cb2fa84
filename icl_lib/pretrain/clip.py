"""Second stage of the small CLIP: an open_clip model that starts from the attribute tower.

It is trained on generic captions with CLIP's own loss, over batches of unrelated people. (Batches
of people who look nearly the same gave a zero-shot Rank-1 of 71% on the stand-in, which leaves
little for fine-tuning and interaction to improve.)
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

KEPT_MERGES = 3500  # the first of OpenAI's 48,894 BPE merges, which are sorted by frequency


def cut_merges(count: int = KEPT_MERGES) -> bytes:
    """Keep the first `count` merges of OpenAI's BPE file, gzipped as SimpleTokenizer reads it."""
    source = Path(open_clip.__file__).parent / "bpe_simple_vocab_16e6.txt.gz"
    lines = gzip.decompress(source.read_bytes()).decode().split("\n")
    return gzip.compress("\n".join(lines[: count + 1]).encode(), mtime=0)


def small_config(vocabulary: int) -> dict:
    """Model config of the small CLIP, in open_clip's form."""
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
    """Build the small CLIP with random weights."""
    return build_clip(small_config(512 + KEPT_MERGES + 2), cut_merges())


def adopt_tower(model: nn.Module, tower: AttributeTower) -> None:
    """Initialise the image encoder from the attribute tower.

    The tower has rotary embeddings, so the learned positions of CLIP start near zero.
    """
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
    """The CLIP model during training."""

    def __init__(self, clip: Clip):
        super().__init__()
        self.clip = clip.model

    def forward(self, pictures, ids):
        """Encode images and texts; returns two [B, D] tensors that are not normalised."""
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
    """Train the small CLIP on `data`, or resume an interrupted training from `folder`."""
    torch.manual_seed(seed)
    clip = small_clip()
    adopt_tower(clip.model, tower)
    learner, exercises = Learner(clip), Exercises(data, prompts)
    order = batches(len(data.truth), batch, seed)

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
    """Write the folder that `load_clip` reads: config, BPE merges and half-precision weights."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CONFIG).write_text(json.dumps({"model_cfg": clip.config}, indent=1))
    (folder / MERGES).write_bytes(clip.merges)
    save_file(
        {n: t.half().contiguous() for n, t in clip.model.state_dict().items()}, folder / WEIGHTS
    )
