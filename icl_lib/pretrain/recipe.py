"""The complete recipe of the two small models, with the settings that made the shipped weights."""

import csv
import os
import platform
from pathlib import Path

import torch

from icl_lib.mllm.prompts import load_prompts
from icl_lib.params.paths import repo_root
from icl_lib.pretrain.clip import save_clip, train_clip
from icl_lib.pretrain.lessons import LESSONS, average, go_on
from icl_lib.pretrain.qwen2vl import save_model, train_qwen2vl
from icl_lib.pretrain.tower import train_tower
from icl_lib.pretrain.world import GENERIC_SEED, generic_set
from icl_lib.results import atomic_write, versions, write_json

PEOPLE, EACH = 6000, 6  # generic identities, pictures of each
STEPS = {
    "tower": 2000,
    "clip": 450,
    "qwen2vl": 1800,
    "qwen2vl_open": 150,
    "qwen2vl_joint": 1000,
    "qwen2vl_merging": 750,
    "qwen2vl_deciding": 500,
    "qwen2vl_plain": 600,
    "qwen2vl_statements": 400,
    "qwen2vl_restart": 400,
}
QWEN2VL = (
    "tower",
    "qwen2vl",
    "qwen2vl_open",
    *(f"qwen2vl_{name}" for name in LESSONS),
)  # its stages, in order
HELD_OUT = (GENERIC_SEED + 1, 400, 4)  # seed, people, pictures of each: never trained on


def held_out(work: Path):
    """Draw the generic pictures that are never used for training."""
    seed, people, each = HELD_OUT
    return generic_set(work, people, each, seed)


def tower(work: Path, steps: int = STEPS["tower"], people: int = PEOPLE):
    """Run the common first stage in `work`; returns the generic set and the attribute tower."""
    data = generic_set(work, people, EACH)
    return data, train_tower(data, work, steps)


def pretrain_clip(work: Path, out: Path, steps: dict = STEPS, people: int = PEOPLE) -> None:
    """Make the small CLIP in `out`; an interrupted run resumes from the states in `work`."""
    data, first = tower(work, steps["tower"], people)
    _, clip = train_clip(data, first, _prompts(), work, steps["clip"])
    save_clip(clip, out)
    record(work, out, "small CLIP", {"tower": steps["tower"], "clip": steps["clip"]}, people)


def pretrain_qwen2vl(work: Path, out: Path, steps: dict = STEPS, people: int = PEOPLE) -> None:
    """Make the small Qwen2-VL in `out`; it shares the first stage in `work` with the small CLIP."""
    data, first = tower(work, steps["tower"], people)
    pupil = train_qwen2vl(
        data, first, _prompts(), work, steps["qwen2vl"], open_steps=steps["qwen2vl_open"]
    )
    for name in LESSONS:
        before = {part: weight.clone() for part, weight in pupil.model.state_dict().items()}
        go_on(pupil, data, _prompts(), work, name, steps[f"qwen2vl_{name}"])
    average(pupil.model, before)
    save_model(pupil, out)
    record(work, out, "small Qwen2-VL", {name: steps[name] for name in QWEN2VL}, people)


def record(
    work: Path, out: Path, title: str, stages: dict[str, int], people: int, note: str = ""
) -> None:
    """Write recipe.json, the logs of the stages and the model card into `out`.

    Args:
        work: folder with the logs of the stages.
        out: folder of the model.
        title: name of the model.
        stages: steps of each stage.
        people: number of generic people that it was trained on.
        note: what a reader should know about this particular run; it is added to the card.
    """
    logs = {stage: list(csv.DictReader((work / f"{stage}.csv").open())) for stage in stages}
    told = {
        "data_seed": GENERIC_SEED,
        "people": people,
        "pictures": people * EACH,
        "stages": {
            s: {
                "steps": stages[s],
                "seconds": float(log[-1]["seconds"]),
                "last": {k: float(v) for k, v in log[-1].items() if k not in ("step", "seconds")},
            }
            for s, log in logs.items()
        },
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, "
        f"{torch.backends.cpu.get_cpu_capability()}",
        "note": note,
        "versions": versions(),
    }
    write_json(out / "recipe.json", told)
    for stage in stages:
        atomic_write(out / f"log_{stage}.csv", (work / f"{stage}.csv").read_text())
    minutes = sum(s["seconds"] for s in told["stages"].values()) / 60
    atomic_write(
        out / "README.md",
        _CARD.format(
            title=title,
            pictures=told["pictures"],
            people=people,
            minutes=minutes,
            seed=GENERIC_SEED,
            stages=", ".join(f"{s} {n:,} steps" for s, n in stages.items()),
            machine=told["machine"],
        )
        + (f"- **Of this copy** {note}\n" if note else ""),
    )


_CARD = """# Model card: {title}

A few million parameters, stored in half precision. In the demo profile it takes the place of the
paper's OpenAI CLIP or Qwen2-VL-7B: a model that already knows pictures and language in general, and
has never seen the benchmark.

- **Trained on** {pictures:,} clean drawn pictures of {people:,} drawn people (the generic world of
  `icl_lib.pretrain.world`, seed {seed}) and texts written about them. It learned from the truth of
  the drawings; no real picture or text was used.
- **Never trained on** the stand-ins' identities, cameras or caption grammar.
- **Recipe** {stages}; {minutes:.0f} minutes on {machine}. `recipe.json` and the logs in this folder
  hold seeds, losses and versions; notebooks A1 and A2 explain the recipe and run it again.
- **Good for** running and explaining this kit on a CPU. **Not good for** real photographs: it knows
  drawings only, and nothing that it says about a real person means anything.
- **Licence** Apache-2.0, as the kit.
"""


def _prompts():
    return load_prompts("short", repo_root() / "params" / "prompts")
