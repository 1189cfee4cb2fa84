"""The later stages of the small Qwen2-VL, after `train_qwen2vl`."""

import random
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from icl_lib.data.standin.attributes import VALUES
from icl_lib.mllm.prompts import Prompts
from icl_lib.mllm.qwen2vl_tower import patchify, picture_tokens
from icl_lib.pretrain.exercises import Exercises
from icl_lib.pretrain.loop import batches, train
from icl_lib.pretrain.qwen2vl import Pupil
from icl_lib.pretrain.tower import GRID, MERGE, PATCH
from icl_lib.pretrain.world import GenericSet, augment, plain

# The attributes that count where Yes/No is trained on the gist of a caption.
GIST = ("sex", "upper", "upper_colour", "lower", "lower_colour")


@dataclass(frozen=True)
class Lesson:
    """The exercises of a later stage, and the weight of each kind's loss.

    Attributes:
        pictures: distinct pictures per batch.
        asked: exercises of Yes/No per batch.
        vqa: exercises of T_vqa per batch.
        texts: groups of tasks without a picture, each with the exercises per task, the weight of
            the group's loss, and whether it is the focal loss (see `Pupil.forward`).
        vqa_weight: weight of T_vqa's loss.
        yes_weight: weight of Yes/No relative to the words of captions.
        statements: whether Yes/No is asked about one thing at a time instead of whole captions.
        counted: attributes that must be right for a Yes.
        hard: as in `Exercises.match`.
        words: whether the words of true captions are predicted in addition to their Yes.
        augmented: share of batches with augmented pictures.
        tower: whether the vision tower is trained as well.
    """

    pictures: int
    asked: int
    vqa: int
    texts: tuple[tuple[dict[str, int], float, bool], ...]
    vqa_weight: float = 2.0
    yes_weight: float = 1.0
    statements: bool = False
    counted: tuple[str, ...] = tuple(VALUES)
    hard: float = 1.0
    words: bool = False
    augmented: float = 0.6
    tower: bool = False


# joint: the tower learns from the language model's tasks, so that its tokens hold what they need.
# merging, deciding: which source to trust where caption and answers differ. Most of a merged text
# is copied, so the few words that differ get a large weight; Yes/No is trained on the gist.
# plain, statements: Yes/No about single statements on plain pictures, as a general model has it.
# The adapter learns to judge whole captions against surveillance pictures.
_DECIDE = (({"aggregate": 48}, 20.0, True), ({"decompose": 3, "rewrite": 4}, 1.0, False))
LESSONS = {
    "joint": Lesson(
        48,
        56,
        28,
        (({"aggregate": 16, "decompose": 5, "rewrite": 6}, 1.0, False),),
        3.0,
        0.5,
        words=True,
        tower=True,
    ),
    "merging": Lesson(
        32,
        32,
        16,
        (({"aggregate": 48}, 4.0, False), ({"decompose": 4, "rewrite": 5}, 1.0, False)),
        counted=GIST,
    ),
    "deciding": Lesson(24, 24, 12, _DECIDE, counted=GIST),
    "plain": Lesson(24, 24, 12, _DECIDE, counted=GIST, hard=0.0, augmented=0.0),
    "statements": Lesson(24, 24, 12, _DECIDE, statements=True, augmented=0.0),
}


def go_on(
    pupil: Pupil,
    data: GenericSet,
    prompts: Prompts,
    folder: Path,
    name: str,
    steps: int,
    lesson: Lesson | None = None,
    lr: float = 6e-4,
    seed: int = 0,
) -> Pupil:
    """Train a later stage of `steps` steps with a cosine schedule; resumes from `folder`.

    Each step encodes the lesson's pictures, and each picture is used in several exercises. Long
    because the loss of a step, a function inside, uses most of the arguments.

    Args:
        pupil: the model so far.
        data: generic pictures.
        prompts: wording of the tasks.
        folder: where state and log are kept.
        name: name of the stage.
        steps: number of steps.
        lesson: the exercises; by default those of `name` in LESSONS.
        lr: learning rate after the warm-up.
        seed: of the exercises.
    """
    lesson = lesson or LESSONS[name]
    exercises = Exercises(data, prompts)
    visual = pupil.model.model.visual.requires_grad_(lesson.tower)
    order = batches(len(data.truth), lesson.pictures, seed)

    def loss_of(step):
        rng, index = random.Random(f"{seed}-{name}-{step}"), order(step).tolist()
        pixels = data.pictures[index]
        changed = rng.random() < lesson.augmented
        x = (
            augment(torch.from_numpy(pixels), torch.Generator().manual_seed(step))
            if changed
            else plain(pixels)
        )
        with torch.set_grad_enabled(lesson.tower):
            tokens = picture_tokens(visual, patchify(x, PATCH, MERGE), GRID)
        asked = [rng.randrange(lesson.pictures) for _ in range(lesson.asked)]
        described = rng.sample(range(lesson.pictures), lesson.vqa)
        said = exercises.statement if lesson.statements else exercises.facts
        match = [
            ("match", *exercises.match(index[i], rng, lesson.hard, lesson.counted, said))
            for i in asked
        ]
        loss, numbers = pupil(match, tokens[asked], lesson.yes_weight, lesson.words)
        vqa, _ = pupil(
            [("vqa", *exercises.vqa(index[i], rng)) for i in described], tokens[described]
        )
        loss, numbers = loss + lesson.vqa_weight * vqa, {**numbers, "vqa": vqa.item()}
        for counts, weight, focal in lesson.texts:
            texts = [
                (task, *getattr(exercises, task)(rng.randrange(len(data.truth)), rng))
                for task, n in counts.items()
                for _ in range(n)
            ]
            written, _ = pupil(texts, None, focal=focal)
            loss, numbers = loss + weight * written, {**numbers, next(iter(counts)): written.item()}
        return loss, numbers

    train(pupil, loss_of, steps, lr, Path(folder), f"qwen2vl_{name}", warmup=20, save_every=200)
    return pupil.eval()


@torch.no_grad()
def average(model: nn.Module, other: dict[str, torch.Tensor]) -> None:
    """Average the weights with `other`, in place (Izmailov et al. 2018)."""
    for name, weight in model.state_dict().items():
        weight.copy_((weight + other[name]) / 2)


# Repeats the last stage from the full rate; the model is the mean of the weights before and after.
LESSONS["restart"] = LESSONS["statements"]
