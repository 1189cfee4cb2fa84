"""The drawn stand-in: deterministic, in RSTPReid's own layout, honest about what a picture shows."""

import json
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from icl_lib.data import read_benchmark
from icl_lib.data.standin import make_standin, oracle, read_truth
from icl_lib.data.standin.attributes import IDENTITY_ATTRIBUTES, PICTURE_ATTRIBUTES, UNSPOKEN, VALUES, draw_identities, draw_scene, visible
from icl_lib.data.standin.cameras import CAMERAS
from icl_lib.data.standin.describe import GROUPS, answers, caption, choose_facts, merge_facts, merged, sentence, sentences
from icl_lib.data.standin.world import camera_shot, generic_shot


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    root = tmp_path_factory.mktemp("standin")
    make_standin("rstp", root, {"train": 4, "val": 2, "test": 3}, seed=5, workers=1)
    return root


def person(seed):
    rng = random.Random(seed)
    truth = {**draw_identities(8, seed)[0], **draw_scene(rng)}
    return truth, visible(truth, rng.choice(["front", "side", "back"])), rng


def test_rstpreids_own_layout(small):
    records = json.loads((small / "data_captions.json").read_text())
    assert len(records) == 9 * 5
    assert all(set(r) == {"id", "img_path", "captions", "split"} and len(r["captions"]) == 2 for r in records)
    manifest = read_benchmark("rstp", small, strict=True)
    assert manifest.groupby("split")["pid"].nunique().to_dict() == {"train": 4, "val": 2, "test": 3}
    assert manifest["image_id"].nunique() == 45 and len(manifest) == 90
    assert not any(manifest.attrs["report"].values())
    assert "no real person" in (small / "DATA_CARD.md").read_text()


def test_same_seed_same_bytes_other_seed_other_people(small, tmp_path):
    sizes = {"train": 4, "val": 2, "test": 3}
    make_standin("rstp", tmp_path / "again", sizes, seed=5, workers=2)
    make_standin("rstp", tmp_path / "other", sizes, seed=6, workers=1)
    for file in sorted(p.relative_to(small) for p in small.rglob("*") if p.is_file()):
        assert (small / file).read_bytes() == (tmp_path / "again" / file).read_bytes(), file
    assert (small / "data_captions.json").read_bytes() != (tmp_path / "other" / "data_captions.json").read_bytes()


def test_each_identity_is_seen_by_five_different_cameras(small):
    pictures = read_truth(small)["pictures"]
    for pid in range(9):
        assert sorted(p["camera"] for p in pictures.values() if p["pid"] == pid) == list(range(len(CAMERAS)))


def test_captions_say_only_what_the_picture_shows_but_for_a_few_mistakes(small):
    wrong = total = 0
    for picture in read_truth(small)["pictures"].values():
        for facts in picture["facts"]:
            assert set(facts) <= set(picture["seen"]) | {"sex"}
            total += 1
            wrong += any(picture["truth"][name] != value for name, value in facts.items())
    assert wrong <= .2 * total


def test_the_oracle_is_a_ceiling_below_certainty_and_above_chance(small):
    paths = [p for p in read_truth(small)["pictures"]]
    assert 100 / 9 < oracle(small, paths) <= 100


@pytest.mark.parametrize("bad, word", [(("cuhk2", 9), "cuhk2"), (("rstp", {"train": 1}), "val"), (("rstp", 1), "at least one")])
def test_bad_requests_say_what_is_wrong(tmp_path, bad, word):
    with pytest.raises(ValueError, match=word):
        make_standin(bad[0], tmp_path, bad[1])


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(["street", "generic"]))
def test_every_caption_is_a_nonempty_line_that_never_speaks_of_skin_or_build(seed, grammar):
    truth, seen, rng = person(seed)
    facts = choose_facts(truth, seen, rng)
    text = caption(facts, rng, grammar)
    assert text.strip() == text and "\n" not in text and "none" not in text and "  " not in text
    assert not any(word in text.lower().split() for word in ("skin", "slim", "fat", *UNSPOKEN))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6))
def test_canonical_language_keeps_every_attribute(seed):
    truth, seen, rng = person(seed)
    facts = merge_facts(choose_facts(truth, seen, rng), truth, seen)
    text, parts = merged(facts), sentences(facts)
    assert len(parts) == sum(any(n in facts for n in names) for names in GROUPS.values())
    for name in ("upper_colour", "lower_colour", "hair_colour", "bag_colour", "hat_colour", "scarf"):
        if name in facts:
            assert facts[name] in text and any(facts[name] in part for part in parts)
    assert len(answers(truth, seen)) == 15
    group = next(g for g, names in GROUPS.items() if any(n in facts for n in names))
    assert len({sentence(group, facts, random.Random(i)) for i in range(30)}) > 1


def test_merging_keeps_what_was_said_and_adds_no_scene():
    truth, _, _ = person(3)
    said = {"sex": truth["sex"], "upper_colour": "pink" if truth["upper_colour"] != "pink" else "red"}
    facts = merge_facts(said, truth, set(VALUES))
    assert facts["upper_colour"] == said["upper_colour"] and not set(facts) & set(PICTURE_ATTRIBUTES)


def test_families_share_most_attributes():
    people = draw_identities(16, 1)
    same = [[sum(a[n] == b[n] for n in IDENTITY_ATTRIBUTES) for b in people] for a in people]
    nearest = [sorted(row)[-2] for row in same]
    assert np.mean(nearest) > .5 * len(IDENTITY_ATTRIBUTES)


def test_shots_are_pictures_of_the_size_and_differ_between_worlds():
    someone = draw_identities(1, 2)[0]
    clean, _, _ = generic_shot(someone, random.Random(0))
    spoilt, _, seen, view = camera_shot(someone, 3, random.Random(0), outdoor=True)
    assert clean.size == spoilt.size == (64, 192) and clean.mode == spoilt.mode == "RGB"
    assert np.asarray(spoilt).mean() < np.asarray(clean).mean()  # camera 4 is a dark one
    assert "glasses" not in seen if view == "back" else "glasses" in seen
