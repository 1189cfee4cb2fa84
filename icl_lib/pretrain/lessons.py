"""Second and third stage of the small Qwen2-VL: the language model learns the five tasks.

First the vision tower is frozen, then it learns too, so that its tokens come to hold what the tasks
need; meanwhile it goes on recognising attributes. Yes/No is not learned from the answers alone: the
model learns it once it also predicts the words of true captions in the same sequence.
"""

import random
import shutil
from pathlib import Path

import torch
from torch import nn

from icl_lib.mllm.prompts import Prompts
from icl_lib.mllm.qwen2vl_tower import patchify, picture_tokens
from icl_lib.pretrain.exercises import Exercises
from icl_lib.pretrain.loop import DEVICE, batches, train
from icl_lib.pretrain.pupil import Pupil
from icl_lib.pretrain.tower import (
    GRID,
    MERGE,
    PATCH,
    AttributeTower,
    attribute_loss,
    mean_accuracy,
)
from icl_lib.pretrain.world import GenericSet, augment, plain

PICTURES = 48  # different pictures in a batch; each is used in several exercises
# Exercises in a batch; what needs no picture is learned while the tower is frozen.
FROZEN = {"match": 64, "vqa": 28, "aggregate": 28, "decompose": 5, "rewrite": 6}
JOINT = {"match": 64, "vqa": 24, "aggregate": 8, "decompose": 2, "rewrite": 3}
AUGMENTED = 0.7  # share of the batches whose pictures are augmented
VQA, YES, MERGING = 3.0, 3.0, 10.0  # weights of the losses; captions' words and splitting have 1
ATTRIBUTES = 3.0  # weight of the attributes' loss while the tower learns


def teach(
    pupil: Pupil,
    data: GenericSet,
    prompts: Prompts,
    folder: Path,
    stage: str,
    steps: int,
    held_out: GenericSet,
    tower: AttributeTower | None,
    lr: float,
    seed: int = 0,
) -> None:
    """Train the pupil on all five tasks, or resume from the state in `folder`.

    Most words of a merged text are copied; the few on which caption and answers differ decide
    whether it is right. Its focal loss therefore has a large weight. Long because the loss of a
    step, a function inside, uses most of the arguments.

    Args:
        pupil: the model so far.
        data: generic pictures.
        prompts: wording of the tasks.
        folder: where state and log are kept.
        stage: name of the stage.
        steps: number of steps.
        held_out: pictures on which Yes/No is checked every tenth of the steps.
        tower: shares the pupil's vision tower, which then learns too, and wrong texts are hard;
            None leaves the vision tower as it is.
        lr: learning rate after the warm-up.
        seed: of the exercises.
    """
    exercises = Exercises(data, prompts)
    shares = JOINT if tower else FROZEN
    learner = (nn.ModuleList([pupil, tower]) if tower else pupil).to(DEVICE)
    if shutil.which("c++"):  # compiled, a step takes half the time
        pupil.model.model.language_model.compile(dynamic=True)
    visual = pupil.model.model.visual.requires_grad_(tower is not None)
    order, labels = batches(len(data.truth), PICTURES, seed), torch.from_numpy(data.labels())

    def drawn(task, i, rng):
        return (task, *getattr(exercises, task)(i, rng))

    def loss_of(step):
        rng, index = random.Random(f"{stage}-{seed}-{step}"), order(step).tolist()
        pixels = data.pictures[index]
        if rng.random() < AUGMENTED:
            x = augment(torch.from_numpy(pixels), torch.Generator().manual_seed(step))
        else:
            x = plain(pixels)
        with torch.set_grad_enabled(tower is not None):
            tokens = picture_tokens(visual, patchify(x.to(DEVICE), PATCH, MERGE), GRID)
        # Yes/No is learned sooner from texts that are plainly wrong.
        hard = 1.0 if tower else 0.0
        asked = [rng.randrange(PICTURES) for _ in range(shares["match"])]
        match = [("match", *exercises.match(index[i], rng, hard)) for i in asked]
        loss, numbers = pupil(match, tokens[asked], YES if tower else 1.0)
        described = rng.sample(range(PICTURES), shares["vqa"])
        vqa, _ = pupil([drawn("vqa", index[i], rng) for i in described], tokens[described])

        def some(*tasks):
            n = len(data.truth)
            return [drawn(t, rng.randrange(n), rng) for t in tasks for _ in range(shares[t])]

        merging, _ = pupil(some("aggregate"), None, focal=True)
        written, _ = pupil(some("decompose", "rewrite"), None)
        numbers |= {"vqa": vqa.item(), "merging": merging.item(), "written": written.item()}
        loss = loss + VQA * vqa + MERGING * merging + written
        if tower:
            named = attribute_loss(tower.read(tokens), labels[index].to(DEVICE))
            numbers["attributes"] = named.item()
            loss = loss + ATTRIBUTES * named
        return loss, numbers

    def check(_):
        seen = {"held_out_attributes": mean_accuracy(tower, held_out)} if tower else {}
        return _yes_no(pupil, held_out, prompts) | seen

    train(learner, loss_of, steps, lr, Path(folder), stage, check)
    learner.cpu().eval()


@torch.inference_mode()
def _yes_no(pupil: Pupil, data: GenericSet, prompts: Prompts, seed: int = 0) -> dict[str, float]:
    """Accuracy (%) and loss (nats) of Yes/No on one hard question about each picture of `data`."""
    exercises, rng = Exercises(data, prompts), random.Random(seed)
    visual, right, losses = pupil.model.model.visual, [], []
    for i in range(0, len(data.truth), 100):
        index = range(i, min(i + 100, len(data.truth)))
        pixels = patchify(plain(data.pictures[i : i + 100]).to(DEVICE), PATCH, MERGE)
        match = [("match", *exercises.match(j, rng)) for j in index]
        _, numbers = pupil(match, picture_tokens(visual, pixels, GRID), words=False)
        right.append(numbers["yes_no_accuracy"])
        losses.append(numbers["yes_no"])
    return {
        "held_out_accuracy": round(100 * sum(right) / len(right), 2),
        "held_out_yes_no": round(sum(losses) / len(losses), 4),
    }
