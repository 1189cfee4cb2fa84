"""The complete recipe of the two small models, which makes what the kit ships.

It also makes a third: the small CLIP trained further on surveillance pictures of people, which
takes the place of a ReID-domain pre-training.
"""

import json
import os
import platform
import subprocess
from pathlib import Path

import torch
from safetensors.torch import load_file

from icl_lib.mllm.prompts import Prompts, load_prompts
from icl_lib.params import load_params
from icl_lib.params.paths import repo_root
from icl_lib.pretrain.clip import save_clip, small_clip, train_clip
from icl_lib.pretrain.lessons import teach
from icl_lib.pretrain.qwen2vl import new_pupil, save_model
from icl_lib.pretrain.surveillance import SURVEILLANCE_SEED, surveillance_shot
from icl_lib.pretrain.tower import train_tower
from icl_lib.pretrain.world import GENERIC_SEED, generic_set
from icl_lib.results import atomic_write, locked, versions, write_json
from icl_lib.retrieval.weights import load_clip

PEOPLE, EACH = 10_000, 6  # generic identities, pictures of each
HELD_OUT = (400, 4, GENERIC_SEED + 1)  # people, pictures of each, seed: never trained on
STEPS = {"tower": 5000, "clip": 2000, "language": 900, "joint": 3000, "reid": 1500}
SHIPPED = ("clip", "qwen2vl")
STAGES = {
    "clip": ("tower", "clip"),
    "qwen2vl": ("tower", "language", "joint"),
    "reid": ("reid",),
}
TITLES = {
    "clip": "small CLIP",
    "qwen2vl": "small Qwen2-VL",
    "reid": "small CLIP, pre-trained on surveillance pictures of people",
}
STANDS_FOR = {
    "clip": "OpenAI CLIP ViT-B/16: a model that already knows pictures and language in general",
    "qwen2vl": "Qwen2-VL-7B-Instruct: a model that already knows pictures and language in general",
    "reid": "MLLM4Text-ReID's weights: a CLIP that already knows surveillance pictures of people",
}
GENERIC = (
    "clean ones of the generic world\n  (`icl_lib.pretrain.world`), spoilt at random as photography"
)
WORLDS = {
    "clip": f"{GENERIC} spoils pictures",
    "qwen2vl": f"{GENERIC} spoils pictures",
    "reid": "by the six cameras of a fifth world\n  (`icl_lib.pretrain.surveillance`), which came "
    "after all that the shipped small CLIP has seen",
}
RANKED = "{held_out_rank1:.1f}% of captions rank their person first among {pictures:,} pictures"
HELD_OUT_TOLD = {
    "clip": RANKED,
    "reid": RANKED,
    "qwen2vl": "{held_out_accuracy:.1f}% of hard Yes/No questions are answered rightly",
}


def pretrain(name: str, work: Path, out: Path, steps: dict = STEPS, people: int = PEOPLE) -> None:
    """Make a small model in `out`; an interrupted run resumes from the states in `work`.

    "clip" and "qwen2vl" share the first stage, so the second one finds it done. "reid" goes on
    from the CLIP that ships with the kit.

    Args:
        name: a key of STAGES.
        work: folder of the drawn pictures, states and logs.
        out: folder of the finished model.
        steps: steps of each stage.
        people: number of people drawn to learn from.
    """
    prompts = load_prompts("short", repo_root() / "params" / "prompts")
    if name == "reid":
        data, held_out = (
            generic_set(work, *counts, shot=surveillance_shot)
            for counts in (
                (people, EACH, SURVEILLANCE_SEED),
                (*HELD_OUT[:2], SURVEILLANCE_SEED + 1),
            )
        )
        clip = load_clip(load_params("rstp"))  # the shipped one
        train_clip(clip, data, prompts, work, steps["reid"], held_out, "reid", lr=5e-4)
        save_clip(clip, out)
    else:
        _from_nothing(name, work, out, steps, people, prompts)
    record(name, work, out, steps, people)


def _from_nothing(
    name: str, work: Path, out: Path, steps: dict, people: int, prompts: Prompts
) -> None:
    """Make a model that ships with the kit; the arguments are those of `pretrain`."""
    data = generic_set(work, people, EACH)
    held_out = generic_set(work, *HELD_OUT)
    with locked(work / "tower", "waiting for the tower, which another process trains"):
        tower = train_tower(data, work, steps["tower"], held_out)
    if name == "clip":
        clip = small_clip(tower)
        train_clip(clip, data, prompts, work, steps["clip"], held_out)
        save_clip(clip, out)
    else:
        pupil = new_pupil(data, tower, prompts)
        for stage, learns, lr in (("language", None, 1.5e-3), ("joint", tower, 4e-4)):
            teach(pupil, data, prompts, work, stage, steps[stage], held_out, learns, lr)
        save_model(pupil, out)


def record(name: str, work: Path, out: Path, steps: dict, people: int) -> None:
    """Write recipe.json, log.jsonl and the model card into `out`.

    Args:
        name: a key of STAGES.
        work: folder with the logs of the stages.
        out: folder of the model.
        steps: steps of each stage.
        people: number of people that it was trained on.
    """
    logs = {stage: (work / f"{stage}.jsonl").read_text() for stage in STAGES[name]}
    last = {stage: json.loads(log.splitlines()[-1]) for stage, log in logs.items()}
    seed = SURVEILLANCE_SEED if name == "reid" else GENERIC_SEED
    told = {
        "parameters": sum(x.numel() for x in load_file(out / "model.safetensors").values()),
        "data_seed": seed,
        "people": people,
        "pictures": people * EACH,
        "stages": last,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, "
        f"{torch.cuda.get_device_name() if torch.cuda.is_available() else 'no GPU'}",
        "commit": _commit(),
        "versions": versions(),
    }
    write_json(out / "recipe.json", told)
    atomic_write(out / "log.jsonl", "".join(logs.values()))
    minutes = sum(row["seconds"] for row in last.values()) / 60
    atomic_write(
        out / "README.md",
        _CARD.format(
            title=TITLES[name],
            parameters=told["parameters"] / 1e6,
            stands_for=STANDS_FOR[name],
            held_out=HELD_OUT_TOLD[name].format(
                pictures=HELD_OUT[0] * HELD_OUT[1], **last[STAGES[name][-1]]
            ),
            name=name,
            pictures=told["pictures"],
            people=people,
            minutes=minutes,
            seed=seed,
            world=WORLDS[name],
            stages=", ".join(f"{s} {steps[s]:,} steps" for s in STAGES[name]),
            machine=told["machine"],
        ),
    )


def _commit() -> str | None:
    """The commit of the code that runs, None outside a git checkout."""
    command = ["git", "-C", str(repo_root()), "rev-parse", "--short=12", "HEAD"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or None


_CARD = """# Model card: {title}

{parameters:.1f} million parameters, stored in half precision. In the demo profile it takes the
place of {stands_for},
and has never seen the benchmark.

- **Trained on** {pictures:,} drawn pictures of {people:,} drawn people (seed {seed}) and on texts
  written about them; the pictures are {world}.
  It learned from the truth of the drawings; no real picture or text was used.
- **Never trained on** the stand-ins' identities, cameras or caption grammar.
- **Recipe** {stages}; {minutes:.0f} minutes of wall-clock time on {machine}.
  `icl pretrain {name}` runs it again. `recipe.json` and `log.jsonl` in this folder hold seeds,
  losses and versions, and notebooks A1, A2 and 08 explain the stages.
- **On people held out of training** {held_out}.
- **Good for** running and explaining this kit on a CPU. **Not good for** real photographs: it knows
  drawings only, and nothing that it says about a real person means anything.
- **Licence** Apache-2.0, as the kit.
"""
