"""Writes a stand-in in a benchmark's layout, and measures what a perfect reader of its captions could reach."""

import json
import multiprocessing
import random
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np

from icl_lib.results import atomic_write, progress

from .attributes import VALUES, draw_identities
from .cameras import CAMERAS, jpeg
from .describe import caption, choose_facts
from .world import camera_shot

TRUTH, CARD = "standin_truth.json", "DATA_CARD.md"
LAYOUTS = {"rstp": ("RSTPReid", "data_captions.json", 2)}  # short name -> title, annotation file, captions a picture
SPLITS = ("train", "val", "test")
CAPTION_ERRORS = .05  # share of captions with one wrong fact, as people make them
_CARD = """# A drawn stand-in for {title}

{images} pictures of {people} drawn people and {captions} captions in {title}'s own file layout, made from seed {seed}.
Every person is seen by five "cameras" that differ in view, distance, cropping, colour cast, blur, resolution, noise and
occlusion. People come in families of near-twins. A caption names only what its picture shows, and about {errors:.0%} of the
captions hold one mistake.

**What it is for:** running, explaining and testing every step of the kit without any real person's picture.
**What it is not:** it holds no real person and no data of {title}; no claim about real people, real captions or the real
benchmark follows from a number measured on it. Skin tone and build vary at random and are never described.

`{truth}` holds what was drawn and what each caption claims, for study and tests; the pipeline does not read it.
"""


def make_standin(name: str, root, identities: int | Mapping[str, int] = 200, seed: int = 0, images_per_id: int = 5, workers: int = 2) -> None:
    """Draw the stand-in of benchmark `name` into the folder `root`, which the benchmark's own reader then reads.

    identities: how many people; an int is shared out 60/10/30 over train/val/test, a mapping gives each split's number.
    The same arguments write the same pictures and captions on any machine with the same Pillow and NumPy.
    Raises ValueError for a benchmark without a stand-in or for too few identities.
    """
    if name not in LAYOUTS:
        raise ValueError(f"there is no stand-in of {name!r}; there is one of: {', '.join(LAYOUTS)}")
    counts = _shares(identities)
    if images_per_id < 1 or min(counts.values()) < 1:
        raise ValueError(f"every split needs at least one identity and one picture, not {counts} with {images_per_id} pictures each")
    root = Path(root)
    (root / "imgs").mkdir(parents=True, exist_ok=True)
    title, annotation, captions_each = LAYOUTS[name]
    people = draw_identities(sum(counts.values()), seed)
    splits = [split for split in SPLITS for _ in range(counts[split])]
    draw = partial(_person_files, people=people, root=root, seed=seed, each=images_per_id, captions=captions_each)
    records, truth = [], {}
    with ProcessPoolExecutor(workers, multiprocessing.get_context("fork")) as pool:
        for pid, shots in progress(enumerate(pool.map(draw, range(len(people)), chunksize=8)), f"drawing {title}", total=len(people)):
            for shot in shots:
                records.append({"id": pid, "img_path": shot["img_path"], "captions": shot["captions"], "split": splits[pid]})
                truth[shot.pop("img_path")] = {"pid": pid, **shot}
    atomic_write(root / TRUTH, json.dumps({"people": people, "pictures": truth}))
    atomic_write(root / CARD, _CARD.format(title=title, images=len(records), people=len(people), seed=seed, truth=TRUTH,
                                           captions=len(records) * captions_each, errors=CAPTION_ERRORS))
    atomic_write(root / annotation, json.dumps(records))  # last: its presence says that all pictures are there


def _shares(identities) -> dict[str, int]:
    if isinstance(identities, Mapping):
        unknown = set(identities) - set(SPLITS)
        if unknown or set(SPLITS) - set(identities):
            raise ValueError(f"identities must give a number for each of {', '.join(SPLITS)}, not {dict(identities)}")
        return {split: int(identities[split]) for split in SPLITS}
    total = int(identities)
    val, test = max(1, round(total * .1)), max(1, round(total * .3))
    return {"train": total - val - test, "val": val, "test": test}


def _person_files(pid: int, people: list[dict], root: Path, seed: int, each: int, captions: int) -> list[dict]:
    rng = random.Random(f"standin-{seed}-{pid}")
    shots = []
    for k in range(each):
        camera = k % len(CAMERAS)
        picture, truth, seen, view = camera_shot(people[pid], camera, rng)
        path = f"{pid:04d}_c{camera + 1}_{k:04d}.jpg"
        atomic_write(root / "imgs" / path, jpeg(picture, 88))
        facts = [choose_facts(truth, seen, rng, errors=CAPTION_ERRORS) for _ in range(captions)]
        shots.append({"img_path": path, "camera": camera, "view": view, "truth": {n: truth[n] for n in VALUES}, "seen": sorted(seen),
                      "facts": facts, "captions": [caption(f, rng, "street") for f in facts]})
    return shots


def read_truth(root) -> dict:
    """The ground truth of a stand-in: {"people": [...], "pictures": {img_path: {pid, camera, view, truth, seen, facts}}}."""
    return json.loads((Path(root) / TRUTH).read_text())


def oracle(root, image_paths: list[str]) -> float:
    """Expected Rank-1, in percent, of a perfect reader: it knows everything that was drawn and all that each caption says.

    A picture's score is the number of the caption's facts that hold for it; among the best-scoring pictures it picks at
    random. image_paths: the gallery (file names below imgs/); its own captions are the queries.
    """
    pictures = read_truth(root)["pictures"]
    gallery = [pictures[Path(p).name] for p in image_paths]
    code = {name: {v: i for i, v in enumerate(VALUES[name][0])} | {"none": -2} for name in VALUES}
    drawn = np.array([[code[n][p["truth"][n]] for n in VALUES] for p in gallery])  # [G, attributes]
    pids, hits = np.array([p["pid"] for p in gallery]), []
    for picture in gallery:
        for facts in picture["facts"]:
            said = np.array([code[n][facts[n]] if n in facts else -1 for n in VALUES])
            score = ((drawn == said) & (said != -1)).sum(1)
            best = score == score.max()
            hits.append((pids[best] == picture["pid"]).mean())
    return 100 * float(np.mean(hits))
