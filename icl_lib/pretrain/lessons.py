"""The later stages of the small Qwen2-VL: what each goes on with, after `train_qwen2vl`."""

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

GIST = (
    "sex",
    "upper",
    "upper_colour",
    "lower",
    "lower_colour",
)  # all that counts where Yes/No is taught by the gist


@dataclass(frozen=True)
class Lesson:
    """What a later stage goes on with: exercises a batch, and what each kind's loss weighs.

    statements: Yes/No about one thing at a time, not about captions; counted: attributes that must be right for a Yes; hard: as in
    `Exercises.match`; words: whether the words of true captions are taught beside their Yes. texts: (exercises of each task without a
    picture, weight, focal) for each group of tasks whose words are averaged together; focal: words that are known already hardly
    count (see `Pupil.forward`).
    """

    pictures: int
    asked: int
    vqa: int
    texts: tuple[tuple[dict[str, int], float, bool], ...]
    vqa_weight: float = 2.0
    yes_weight: float = 1.0  # of Yes/No beside the captions' words
    statements: bool = False
    counted: tuple[str, ...] = tuple(VALUES)
    hard: float = 1.0
    words: bool = False
    augmented: float = 0.6  # share of the batches whose pictures are augmented
    tower: bool = False  # whether the vision tower learns too


# joint: the tower goes on learning, from what the language model is asked; its few tokens come to hold what answers need.
# merging: whom to believe where caption and answers differ. Most of a merged text is copied, so its few decisions need weight;
# from "deciding" on they are nearly all that counts. Yes/No is taught by the gist meanwhile, and last of all on single statements
# about plain pictures, as a general model has it: to weigh a whole caption, seen by a surveillance camera, is what the adapter is
# for.
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
    """A later stage of `steps`, annealed: `lesson`, else the one of that name in LESSONS. Resumes from `folder`.

    Each step encodes the lesson's pictures; each picture serves several exercises.
    """
    lesson = lesson or LESSONS[name]
    exercises, visual = (
        Exercises(data, prompts),
        pupil.model.model.visual.requires_grad_(lesson.tower),
    )
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
    """Each weight becomes the mean of itself and `other`'s: two ends of one training often agree better than either
    (stochastic weight averaging, Izmailov et al. 2018).
    """
    for name, weight in model.state_dict().items():
        weight.copy_((weight + other[name]) / 2)


LESSONS["restart"] = LESSONS[
    "statements"
]  # from its end at the full rate again; the mean of both ends is the model
