"""Drawn people for tests: random facts, the small stand-ins, and one woman in two pictures."""

import json
import random

import pytest

from icl_lib.data.standin import make_standin
from icl_lib.data.standin.attributes import (
    VALUES,
    draw_identities,
    draw_scene,
    draw_value,
    settle,
    visible,
)

SIZES = {  # identities of each split
    "rstp": {"train": 4, "val": 2, "test": 3},
    "cuhk": {"train": 5, "val": 5, "test": 5},
    "icfg": {"train": 3, "test": 2},
    "ufine": {"train": 4, "test": 3},
}
EACH = {"icfg": 4}  # pictures an identity, where the benchmark's own number makes the tests slow
PERSON = {
    "sex": "woman",
    "hair_length": "long",
    "hair_colour": "brown",
    "upper": "t-shirt",
    "upper_colour": "grey",
    "sleeves": "short",
    "pattern": "striped",
    "lower": "jeans",
    "lower_colour": "blue",
    "lower_length": "long",
    "shoes": "sneakers",
    "shoes_colour": "white",
    "bag": "backpack",
    "bag_colour": "red",
    "hat": "none",
    "hat_colour": "none",
    "glasses": "glasses",
    "scarf": "none",
    "held": "nothing",
    "belt": "black",
    "action": "walking",
    "background": "park",
    "bystanders": "nobody",
}


def random_facts(rng):
    """A value for every attribute, with no person behind them."""
    return settle({name: draw_value(name, rng) for name in VALUES})


def person(seed):
    """(truth of a picture, visible attributes, the generator after drawing them)."""
    rng = random.Random(seed)
    truth = {**draw_identities(8, seed)[0], **draw_scene(rng)}
    return truth, visible(truth, rng.choice(["front", "side", "back"])), rng


def write_truth(folder, truth, seen):
    """Write the truth of pictures of one person; seen: file name -> visible attributes."""
    pictures = {
        name: {"pid": 1, "truth": truth, "seen": sorted(own), "facts": []}
        for name, own in seen.items()
    }
    content = {"people": [truth], "pictures": pictures}
    (folder / "standin_truth.json").write_text(json.dumps(content))
    return folder


@pytest.fixture(scope="session")
def drawn(tmp_path_factory):
    """{short name: folder} of a small stand-in of each benchmark."""
    root = tmp_path_factory.mktemp("standins")
    for name, sizes in SIZES.items():
        make_standin(name, root / name, sizes, seed=5, images_per_id=EACH.get(name), workers=2)
    return {name: root / name for name in SIZES}


@pytest.fixture
def two_pictures(tmp_path):
    """A stand-in of two pictures of PERSON: a.jpg shows all, b.jpg neither shoes nor glasses."""
    seen = set(VALUES)
    return write_truth(
        tmp_path, PERSON, {"a.jpg": seen, "b.jpg": seen - {"shoes", "shoes_colour", "glasses"}}
    )
