"""Writes a stand-in in a benchmark's own file layout."""

import json
import multiprocessing
import random
import re
from collections.abc import Mapping
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
JPEG_QUALITY = 88
_SHARES = {"val": 0.1, "test": 0.3}  # of the identities; the rest is train
_CARD = """# A drawn stand-in for {title}

{images} pictures of {people} drawn people and {captions} captions in {title}'s own file layout,
made from seed {seed}. Every person is seen by {cameras} "cameras" that differ in view, distance,
cropping, colour cast, blur, resolution, noise and occlusion. People come in families of near-twins.
A caption names only what its picture shows, and about {errors:.0%} of the captions hold one
mistake.

**What it is for:** running, explaining and testing every step of the kit without any real person's
picture.
**What it is not:** it holds no real person and no data of {title}; no claim about real people, real
captions or the real benchmark follows from a number measured on it. Skin tone and build vary at
random and are never described.

`{truth}` holds what was drawn and what each caption claims, for study and tests; the pipeline does
not read it.
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
    """Draw the stand-in of a benchmark into the folder `root`, for the benchmark's own reader.

    Layout, ids, splits and captions per picture are the benchmark's. The same arguments write the
    same files on any machine with the same Pillow and NumPy.

    Args:
        name: rstp, cuhk, icfg or ufine.
        root: The folder; it is created.
        identities: How many people. A number is shared out 60/10/30 over train, val and test, or
            70/30 where the benchmark has no val split; a mapping gives the number of each split.
        seed: Another seed draws other people.
        images_per_id: Pictures per person, on average; None for the benchmark's own number.
        workers: Processes that draw.

    Raises:
        ValueError: The benchmark or a split is unknown, or a split has no identity or no picture.
    """
    character = _character(name)
    data = load_params(name).data
    each = data.images_per_id if images_per_id is None else images_per_id
    counts = _shares(identities, character.splits)
    if each < 1 or min(counts.values()) < 1:
        raise ValueError(
            f"every split needs at least one identity and one picture, not {counts} with {each} "
            "pictures each"
        )
    root = Path(root)
    (root / "imgs").mkdir(parents=True, exist_ok=True)
    # No two stand-ins show the same people.
    own = f"{name}-{seed}" if name != "rstp" else str(seed)
    people = draw_identities(sum(counts.values()), own, wardrobe=character.wardrobe)
    splits = [split for split in character.splits for _ in range(counts[split])]
    draw = partial(_draw_person, root=root, seed=own, each=each, character=character)
    records, truth = [], {}
    with ProcessPoolExecutor(workers, multiprocessing.get_context("fork")) as pool:
        drawn = pool.map(draw, range(len(people)), people, splits, chunksize=8)
        for shots in progress(drawn, f"drawing {data.title}", total=len(people)):
            records += [_record(shot, character, splits) for shot in shots]
            truth |= {Path(shot["img_path"]).name: shot for shot in shots}
    atomic_write(root / TRUTH, json.dumps({"people": people, "pictures": truth}))
    card = _CARD.format(
        title=data.title,
        images=len(records),
        people=len(people),
        seed=seed,
        truth=TRUTH,
        captions=len(records) * character.captions,
        errors=CAPTION_ERRORS,
        cameras=_SEEN_BY[name],
    )
    atomic_write(root / CARD, card)
    # The annotation comes last: where it is, all pictures are.
    atomic_write(root / data.annotation, json.dumps(records))


def _character(name: str) -> Character:
    if name in CHARACTERS:
        return CHARACTERS[name]
    close = nearest(name, CHARACTERS)
    hint = f": did you mean {close!r}?" if close else "."
    known = ", ".join(CHARACTERS)
    raise ValueError(f"there is no stand-in of {name!r}{hint} There is one of: {known}")


def _shares(identities: int | Mapping[str, int], splits: tuple[str, ...]) -> dict[str, int]:
    """Identities of each split."""
    if not isinstance(identities, Mapping):
        counts = {split: max(1, round(identities * _SHARES[split])) for split in splits[1:]}
        return {"train": identities - sum(counts.values()), **counts}
    if set(splits) != set(identities):
        wanted = ", ".join(splits)
        raise ValueError(
            f"identities must give a number for each of {wanted}, not {dict(identities)}"
        )
    return {split: int(identities[split]) for split in splits}


def _draw_person(
    number: int, person: dict, split: str, root: Path, seed: str, each: int, character: Character
) -> list[dict]:
    """Draw and save the pictures of one person; return what is known of each."""
    rng = random.Random(f"standin-{seed}-{number}")
    pid = number + character.first_id
    collection = character.collections[number % len(character.collections)]
    shots = []
    for k in range(max(1, each + collection.more)):
        camera = (number * collection.stride + k) % len(collection.cameras)
        picture, truth, seen, view = camera_shot(
            person, camera, rng, collection.cameras, collection.size
        )
        path = collection.name.format(
            pid=pid,
            split=split,
            camera=camera + 1,
            letter="ab"[camera % 2],
            number=k,
            query="test_query" if split == "test" else "train_query",
        )
        atomic_write(root / "imgs" / path, encoded(picture, path, JPEG_QUALITY))
        facts = [
            choose_facts(truth, seen, rng, errors=CAPTION_ERRORS, **character.facts)
            for _ in range(character.captions)
        ]
        shot = {
            "pid": pid,
            "img_path": path,
            "camera": camera,
            "view": view,
            "truth": {name: truth[name] for name in VALUES},
            "seen": sorted(seen),
            "facts": facts,
            "captions": [caption(claims, rng, character.grammar, view) for claims in facts],
        }
        shots.append(shot)
    return shots


def _record(shot: dict, character: Character, splits: list[str]) -> dict:
    """The benchmark's annotation record of one picture."""
    texts = shot["captions"]
    record = {
        "id": shot["pid"],
        character.path_key: shot["img_path"],
        "captions": texts,
        "split": splits[shot["pid"] - character.first_id],
    }
    if character.tokens:
        record["processed_tokens"] = [re.findall(r"[a-z0-9'-]+", text.lower()) for text in texts]
    return record
