"""Second stage of the small CLIP: an open_clip model that starts from the attribute tower.

It is trained on generic captions with CLIP's own loss. Half of each batch are unrelated people, the
other half groups of people who look nearly the same: among strangers a caption's first words
decide, among near-twins every word counts.
"""

import gzip
import json
import random
from collections.abc import Callable
from pathlib import Path

import open_clip
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn

from icl_lib.mllm.prompts import Prompts
from icl_lib.pretrain.exercises import Exercises
from icl_lib.pretrain.loop import DEVICE, train
from icl_lib.pretrain.tower import PATCH, SIZE, AttributeTower
from icl_lib.pretrain.world import GenericSet, augment, plain
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


def small_clip(tower: AttributeTower, seed: int = 0) -> Clip:
    """Build the small CLIP: the image encoder from the tower, the rest with random weights."""
    torch.manual_seed(seed)
    clip = build_clip(small_config(512 + KEPT_MERGES + 2), cut_merges())
    _adopt_tower(clip.model, tower)
    return clip


def _adopt_tower(model: nn.Module, tower: AttributeTower) -> None:
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
        self.clip, self.clip_tokenizer = clip.model, clip.tokenizer

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
    target = torch.arange(len(logits), device=logits.device)
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


def mixed_batches(
    exercises: Exercises, batch: int, seed: int, group: int = 8
) -> Callable[[int], list[int]]:
    """Give a function from a step to `batch` pictures of different people, as indices.

    Half of them are strangers, the others come in groups: a person and the nearest of their
    look-alikes.

    Args:
        exercises: know the pictures and each person's look-alikes.
        batch: pictures per batch; at most the number of people.
        seed: of the draws.
        group: people in a group.
    """
    people = sorted(exercises.members)

    def at(step: int) -> list[int]:
        rng, chosen = random.Random(f"batch-{seed}-{step}"), {}
        while len(chosen) < batch // 2:
            person = rng.choice(people)
            chosen |= dict.fromkeys([person, *exercises.near[person][: group - 1]])
        order = list(chosen)[: batch // 2]
        strangers = [p for p in rng.sample(people, min(len(people), batch)) if p not in order]
        order += strangers[: batch - len(order)]
        return [rng.choice(exercises.members[person]) for person in order]

    return at


def train_clip(
    clip: Clip,
    data: GenericSet,
    prompts: Prompts,
    folder: Path,
    steps: int,
    held_out: GenericSet,
    stage: str = "clip",
    lr: float = 1e-3,
    batch: int = 128,
    seed: int = 0,
) -> None:
    """Train `clip` on `data`, or resume an interrupted training from `folder`.

    Every tenth of the steps the log has the Rank-1 of captions on `held_out`, in percent, and the
    model so far is saved in `snapshots(folder, stage)`.
    """
    learner, exercises = Learner(clip).to(DEVICE), Exercises(data, prompts)
    order = mixed_batches(exercises, batch, seed)

    def loss_of(step):
        rng, index = random.Random(f"clip-{seed}-{step}"), order(step)
        texts = [exercises.caption(exercises.facts(i, rng), rng) for i in index]
        pictures = augment(
            torch.from_numpy(data.pictures[index]), torch.Generator().manual_seed(step)
        )
        vectors = learner(pictures.to(DEVICE), trim(clip.tokenizer(texts)).to(DEVICE))
        loss = contrast(*vectors, clip.model.logit_scale.clamp(max=4.6).exp())
        return loss, {"info_nce": loss.item()}

    def check(step):
        save_clip(clip, snapshots(folder, stage) / str(step))
        return _rank1(learner, held_out, prompts)

    train(learner, loss_of, steps, lr, Path(folder), stage, check)


def snapshots(folder: Path, stage: str = "clip") -> Path:
    """Where `train_clip` leaves the model after every tenth of its steps, in folders so named."""
    return Path(folder) / f"{stage}_after"


@torch.inference_mode()
def _rank1(learner: Learner, data: GenericSet, prompts: Prompts, seed: int = 0) -> dict[str, float]:
    """Rank-1 in percent of one caption per picture of `data`, among all its pictures."""
    exercises, rng = Exercises(data, prompts), random.Random(seed)
    image, text = [], []
    for i in range(0, len(data.truth), 200):
        index = range(i, min(i + 200, len(data.truth)))
        texts = [exercises.caption(exercises.facts(j, rng), rng) for j in index]
        ids = trim(learner.clip_tokenizer(texts)).to(DEVICE)
        pair = learner(plain(data.pictures[i : i + 200]).to(DEVICE), ids)
        image.append(F.normalize(pair[0].float(), dim=-1))
        text.append(F.normalize(pair[1].float(), dim=-1))
    best = (torch.cat(text) @ torch.cat(image).T).argmax(1).cpu().numpy()
    return {"held_out_rank1": round(100 * float((data.person[best] == data.person).mean()), 2)}


def save_clip(clip: Clip, folder: Path) -> None:
    """Write the folder that `load_clip` reads: config, BPE merges and half-precision weights."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CONFIG).write_text(json.dumps({"model_cfg": clip.config}, indent=1))
    (folder / MERGES).write_bytes(clip.merges)
    save_file(
        {n: t.half().cpu().contiguous() for n, t in clip.model.state_dict().items()},
        folder / WEIGHTS,
    )
