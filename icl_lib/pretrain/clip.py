"""Stage 2b: a small CLIP of open_clip's class, its image side begun from the attribute tower, trained on generic captions.

The loss is CLIP's symmetric InfoNCE with two helps: half of a batch are near-twins, so that details count, and a caption
that happens to fit another picture of the batch too is not held against that picture.
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

from ..data.standin import describe
from ..mllm.prompts import Prompts
from ..retrieval.clip import encode_image_tokens, encode_text_tokens, trim
from ..retrieval.clip_files import CONFIG, MERGES, WEIGHTS, Clip, build_clip
from .loop import train
from .qwen2vl import Exercises
from .tower import PATCH, SIZE, AttributeTower, attribute_loss
from .world import HEADS, GenericSet, augment

KEPT_MERGES = 3500  # the first ones of OpenAI's 48,894: BPE merges are listed by how often they pay


def cut_merges(count: int = KEPT_MERGES) -> bytes:
    """OpenAI's BPE file with its first `count` merges only, gzipped; open_clip's SimpleTokenizer reads it."""
    source = Path(open_clip.__file__).parent / "bpe_simple_vocab_16e6.txt.gz"
    lines = gzip.decompress(source.read_bytes()).decode().split("\n")
    return gzip.compress("\n".join(lines[:count + 1]).encode(), mtime=0)


def small_config(vocabulary: int) -> dict:
    """open_clip's model config of the small CLIP."""
    return {"embed_dim": 192, "quick_gelu": False,
            "vision_cfg": {"image_size": [SIZE[1], SIZE[0]], "layers": 6, "width": 160, "head_width": 32, "patch_size": PATCH, "no_ln_pre": True},
            "text_cfg": {"context_length": 77, "vocab_size": vocabulary, "width": 160, "heads": 5, "layers": 4}}


def small_clip() -> Clip:
    """The small CLIP with random weights."""
    return build_clip(small_config(512 + KEPT_MERGES + 2), cut_merges())


def adopt_tower(model: nn.Module, tower: AttributeTower) -> None:
    """Begin the image side from the attribute tower; positions, which rotary embeddings held there, start near zero."""
    visual, source = model.visual, tower.visual.state_dict()
    visual.conv1.weight.data.copy_(source["patch_embed.proj.weight"].sum(2))
    names = {"norm1": "ln_1", "norm2": "ln_2", "attn.qkv.weight": "attn.in_proj_weight", "attn.qkv.bias": "attn.in_proj_bias",
             "attn.proj": "attn.out_proj", "mlp.fc1": "mlp.c_fc", "mlp.fc2": "mlp.c_proj"}
    own = visual.state_dict()
    for name, value in source.items():
        if name.startswith("blocks."):
            _, layer, rest = name.split(".", 2)
            for old, new in names.items():
                if rest.startswith(old):
                    own[f"transformer.resblocks.{layer}.{rest.replace(old, new, 1)}"].copy_(value)
    nn.init.normal_(visual.positional_embedding, std=.02)


class Learner(nn.Module):
    """The CLIP in training, with attribute classifiers on its class token and EOT token that are thrown away later."""

    def __init__(self, clip: Clip):
        super().__init__()
        self.clip = clip.model
        d = clip.config["embed_dim"]
        self.image_heads = nn.ModuleList([nn.Linear(d, len(v)) for v in HEADS.values()])
        self.text_heads = nn.ModuleList([nn.Linear(d, len(v)) for v in HEADS.values()])

    def forward(self, pictures, ids):
        """Embeddings before normalisation: images [B, D] and texts [B, D]."""
        image, _ = encode_image_tokens(self.clip, pictures)
        text, _ = encode_text_tokens(self.clip, ids)
        return image[:, 0], text[torch.arange(len(ids)), ids.argmax(1)]


def contrast(image: torch.Tensor, text: torch.Tensor, scale: torch.Tensor, also_fits: torch.Tensor) -> torch.Tensor:
    """Symmetric InfoNCE over [B, D]; pairs (text, picture) in `also_fits` [B, B] bool, the diagonal apart, are left out."""
    logits = scale * F.normalize(text.float(), dim=-1) @ F.normalize(image.float(), dim=-1).T  # [B, B] text x image
    off = ~torch.eye(len(logits), dtype=torch.bool)
    logits = logits.masked_fill(also_fits & off, -1e4)
    target = torch.arange(len(logits))
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


def train_clip(data: GenericSet, tower: AttributeTower, prompts: Prompts, folder: Path, steps: int, batch: int = 128, lr: float = 1e-3,
               seed: int = 0) -> tuple[Learner, Clip]:
    """Train (or go on training) the small CLIP on `data`; its state and log lie in `folder`."""
    torch.manual_seed(seed)
    clip = small_clip()
    adopt_tower(clip.model, tower)
    learner, exercises, labels = Learner(clip), Exercises(data, prompts), torch.from_numpy(data.labels())
    values = {name: {v: i for i, v in enumerate(v_)} for name, v_ in HEADS.items()}

    def loss_of(step):
        rng = random.Random(f"clip-{seed}-{step}")
        index, people = [], len(exercises.members)
        while len(index) < batch:
            person = rng.randrange(people)
            for p in [person, *rng.sample(exercises.near[person], 3)]:
                index.append(rng.choice(exercises.members[p]))
        index = index[:batch]
        facts = [exercises.facts(i, rng) for i in index]
        ids = trim(clip.tokenizer([exercises.caption(f, rng) for f in facts]))
        said = torch.tensor([[values[n].get(f[n], -100) if n in f else -100 for n in HEADS] for f in facts])
        shown = labels[index]
        conflict = ((said[:, None] != shown[None]) & (said[:, None] >= 0) & (shown[None] >= 0)).any(-1)
        pictures = augment(torch.from_numpy(data.pictures[index]), torch.Generator().manual_seed(step))
        image, text = learner(pictures, ids)
        loss = contrast(image, text, clip.model.logit_scale.clamp(max=4.6).exp(), ~conflict)
        sight = attribute_loss([h(image) for h in learner.image_heads], shown)
        read = attribute_loss([h(text) for h in learner.text_heads], said)
        return loss + sight + read, {"info_nce": loss.item(), "seen": sight.item(), "read": read.item()}

    train(learner, loss_of, steps, lr, Path(folder), "clip")
    return learner.eval(), clip


def save_clip(clip: Clip, folder: Path) -> None:
    """Write the folder that `load_clip` reads: config, BPE merges, weights as half-precision safetensors."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CONFIG).write_text(json.dumps({"model_cfg": clip.config}, indent=1))
    (folder / MERGES).write_bytes(clip.merges)
    save_file({n: t.half().contiguous() for n, t in clip.model.state_dict().items()}, folder / WEIGHTS)
