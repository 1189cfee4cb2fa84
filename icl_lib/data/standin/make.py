"""Writes a stand-in in a benchmark's layout, and measures what a perfect reader of its captions could
reach.
"""

import json
import multiprocessing
import random
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from icl_lib.data.standin.attributes import VALUES, draw_identities
from icl_lib.data.standin.cameras import encoded
from icl_lib.data.standin.characters import CHARACTERS, Character
from icl_lib.data.standin.describe import caption
from icl_lib.data.standin.facts import choose_facts
from icl_lib.data.standin.truth import CARD, TRUTH
from icl_lib.data.standin.world import camera_shot
from icl_lib.params import load_params
from icl_lib.params.names import nearest
from icl_lib.results import atomic_write, progress

CAPTION_ERRORS = 0.05  # share of captions with one wrong fact, as people make them
_SHARES = {"val": 0.1, "test": 0.3}
_CARD = """# A drawn stand-in for {title}

{images} pictures of {people} drawn people and {captions} captions in {title}'s own file layout, made from seed {seed}.
Every person is seen by {cameras} "cameras" that differ in view, distance, cropping, colour cast, blur, resolution, noise and
occlusion. People come in families of near-twins. A caption names only what its picture shows, and about {errors:.0%} of the
captions hold one mistake.

**What it is for:** running, explaining and testing every step of the kit without any real person's picture.
**What it is not:** it holds no real person and no data of {title}; no claim about real people, real captions or the real
benchmark follows from a number measured on it. Skin tone and build vary at random and are never described.

`{truth}` holds what was drawn and what each caption claims, for study and tests; the pipeline does not read it.
"""
_SEEN_BY = {
    "rstp": "five",
    "cuhk": "the two cameras of one of five collections, all in all ten",
    "icfg": "some of fifteen",
    "ufine": "some of four",
}


def make_standin(
    name: str,
    root,
    identities: int | Mapping[str, int] = 200,
    seed: int = 0,
    images_per_id: int | None = None,
    workers: int = 2,
) -> None:
    """Draw the stand-in of benchmark `name` into the folder `root`, which the benchmark's own reader then
    reads.

    name: rstp, cuhk, icfg or ufine; each has its benchmark's layout, ids, splits, captions a picture and a
    character of its own (`characters`). identities: how many people; an int is shared out 60/10/30 over
    train/val/test, or 70/30 where the benchmark has no val split; a mapping gives each split's number.
    images_per_id: pictures a person, on average; by default the benchmark's own of params/datasets. The same
    arguments write the same pictures and captions on any machine with the same Pillow and NumPy. Raises
    ValueError for an unknown benchmark, split, or for too few identities.
    """
    if name not in CHARACTERS:
        close = nearest(name, CHARACTERS)
        hint = f": did you mean {close!r}?" if close else "."
        raise ValueError(
            f"there is no stand-in of {name!r}{hint} There is one of: {', '.join(CHARACTERS)}"
        )
    character, data = CHARACTERS[name], load_params(name).data
    each = data.images_per_id if images_per_id is None else images_per_id
    counts = _shares(identities, character.splits)
    if each < 1 or min(counts.values()) < 1:
        raise ValueError(
            f"every split needs at least one identity and one picture, not {counts} with {each} pictures each"
        )
    root = Path(root)
    (root / "imgs").mkdir(parents=True, exist_ok=True)
    own = f"{name}-{seed}" if name != "rstp" else str(seed)  # no two stand-ins show the same people
    people = draw_identities(sum(counts.values()), own, wardrobe=character.wardrobe)
    splits = [split for split in character.splits for _ in range(counts[split])]
    draw = partial(
        _person_files,
        people=people,
        splits=splits,
        root=root,
        seed=own,
        each=each,
        character=character,
    )
    records, truth = [], {}
    with ProcessPoolExecutor(workers, multiprocessing.get_context("fork")) as pool:
        drawn = progress(
            enumerate(pool.map(draw, range(len(people)), chunksize=8)),
            f"drawing {data.title}",
            total=len(people),
        )
        for number, shots in drawn:
            pid = number + character.first_id
            for shot in shots:
                path = shot["img_path"]
                record = {
                    "id": pid,
                    character.path_key: path,
                    "captions": shot["captions"],
                    "split": splits[number],
                }
                if character.tokens:
                    record["processed_tokens"] = [
                        re.findall(r"[a-z0-9'-]+", text.lower()) for text in shot["captions"]
                    ]
                records.append(record)
                truth[Path(path).name] = {"pid": pid, **shot}
    atomic_write(root / TRUTH, json.dumps({"people": people, "pictures": truth}))
    atomic_write(
        root / CARD,
        _CARD.format(
            title=data.title,
            images=len(records),
            people=len(people),
            seed=seed,
            truth=TRUTH,
            captions=len(records) * character.captions,
            errors=CAPTION_ERRORS,
            cameras=_SEEN_BY[name],
        ),
    )
    atomic_write(
        root / data.annotation, json.dumps(records)
    )  # last: its presence says that all pictures are there


def _shares(identities, splits: Sequence[str]) -> dict[str, int]:
    if isinstance(identities, Mapping):
        if set(splits) != set(identities):
            raise ValueError(
                f"identities must give a number for each of {', '.join(splits)}, not {dict(identities)}"
            )
        return {split: int(identities[split]) for split in splits}
    total = int(identities)
    counts = {split: max(1, round(total * _SHARES[split])) for split in splits[1:]}
    return {"train": total - sum(counts.values()), **counts}


def _person_files(
    number: int,
    people: list[dict],
    splits: list[str],
    root: Path,
    seed: str,
    each: int,
    character: Character,
) -> list[dict]:
    rng = random.Random(f"standin-{seed}-{number}")
    pid, split = number + character.first_id, splits[number]
    collection = character.collections[number % len(character.collections)]
    shots = []
    for k in range(max(1, each + collection.more)):
        camera = (number * collection.stride + k) % len(collection.cameras)
        picture, truth, seen, view = camera_shot(
            people[number], camera, rng, cameras=collection.cameras, size=collection.size
        )
        path = collection.name.format(
            pid=pid,
            split=split,
            camera=camera + 1,
            letter="ab"[camera % 2],
            number=k,
            query="test_query" if split == "test" else "train_query",
        )
        atomic_write(root / "imgs" / path, encoded(picture, path, 88))
        facts = [
            choose_facts(truth, seen, rng, errors=CAPTION_ERRORS, **character.facts)
            for _ in range(character.captions)
        ]
        shots.append(
            {
                "img_path": path,
                "camera": camera,
                "view": view,
                "truth": {n: truth[n] for n in VALUES},
                "seen": sorted(seen),
                "facts": facts,
                "captions": [caption(f, rng, character.grammar, view) for f in facts],
            }
        )
    return shots
