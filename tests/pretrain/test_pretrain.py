"""The recipes of the small models on a few pictures: they can be loaded, and training resumes."""

import json
import random

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from icl_lib.data.standin.characters import CHARACTERS
from icl_lib.data.standin.phrases import GROUPS
from icl_lib.mllm.prompts import load_prompts
from icl_lib.mllm.qwen2vl_tower import patchify, picture_tokens
from icl_lib.params.paths import repo_root
from icl_lib.pretrain import lessons, recipe
from icl_lib.pretrain.clip import (
    KEPT_MERGES,
    mixed_batches,
    small_clip,
    snapshots,
)
from icl_lib.pretrain.exercises import TASKS, Exercises, contradictions
from icl_lib.pretrain.loop import train
from icl_lib.pretrain.pupil import Pupil, positions
from icl_lib.pretrain.qwen2vl import (
    GRID,
    MERGE,
    PATCH,
    make_model,
    make_processor,
    make_tokenizer,
    save_model,
)
from icl_lib.pretrain.surveillance import CAMERAS
from icl_lib.pretrain.tower import AttributeTower, vision_config
from icl_lib.pretrain.world import HEADS, augment, generic_set, plain
from icl_lib.retrieval.weights import SMALL


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return generic_set(tmp_path_factory.mktemp("world"), 10, 3, workers=1)


@pytest.fixture(scope="module")
def exercises(world):
    return Exercises(world, load_prompts("short", repo_root() / "params" / "prompts"))


def test_labels_hide_what_is_not_visible(world):
    labels = world.labels()
    assert labels.shape == (30, len(HEADS))
    for i in range(30):
        for j, (name, values) in enumerate(HEADS.items()):
            if labels[i, j] >= 0:
                assert name in world.seen[i] and values[labels[i, j]] == world.truth[i][name]


def test_tower_on_a_batch_equals_transformers_own_forward():
    config = vision_config(width=64, depth=2, heads=2, hidden=48)
    tower = AttributeTower(config).eval().visual
    pictures = torch.randn(3, 3, 144, 48)
    patches = patchify(pictures, PATCH, MERGE)
    twice = (
        patches.view(3, 48, 3, 1, PATCH, PATCH).expand(-1, -1, -1, 2, -1, -1).reshape(3 * 48, -1)
    )
    theirs = tower(twice, grid_thw=torch.tensor([[1, *GRID]] * 3)).pooler_output
    assert torch.allclose(picture_tokens(tower, patches, GRID).flatten(0, 1), theirs, atol=1e-5)
    assert torch.allclose(
        picture_tokens(tower, twice.view(3, 48, -1), GRID).flatten(0, 1), theirs, atol=1e-5
    )


class Line(torch.nn.Module):
    """A model of one matrix inside a block (for Muon) and one bias (for AdamW)."""

    def __init__(self):
        super().__init__()
        self.blocks = torch.nn.ModuleList([torch.nn.Linear(4, 4)])


def fit_line(folder, steps=4, dies_at=None, check=None):
    torch.manual_seed(0)
    model = Line()

    def loss_of(step):
        if step == dies_at:
            raise KeyboardInterrupt
        x = torch.randn(8, 4, generator=torch.Generator().manual_seed(step))
        return (model.blocks[0](x) - x).square().mean(), {"step_seen": step}

    train(model, loss_of, steps, 1e-2, folder, "line", check, save_every=1)
    return model


def test_an_interrupted_training_resumes_to_the_same_weights_and_log(tmp_path):
    straight = fit_line(tmp_path / "a")
    with pytest.raises(KeyboardInterrupt):
        fit_line(tmp_path / "b", dies_at=2)
    log = tmp_path / "b" / "line.jsonl"
    log.write_text(json.dumps({"stage": "line", "step": 3, "seconds": 1.0}) + "\n")
    resumed = fit_line(tmp_path / "b")
    for a, b in zip(straight.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(a, b)
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    assert [row["step"] for row in rows] == [4], "the line after the saved state was dropped"
    assert rows[0]["step_seen"] == 2.5, "the mean of the steps since the resumption"
    assert fit_line(tmp_path / "b").blocks[0].weight.equal(resumed.blocks[0].weight)


def test_the_log_has_the_numbers_on_held_out_data(tmp_path):
    fit_line(tmp_path, check=lambda step: {"held_out": 7.0})
    assert json.loads((tmp_path / "line.jsonl").read_text())["held_out"] == 7.0


def test_a_batch_is_half_look_alikes_and_shows_nobody_twice(world, exercises):
    at = mixed_batches(exercises, 8, seed=0, group=3)
    for step in range(20):
        index = at(step)
        people = world.person[index].tolist()
        assert len(index) == 8 and len(set(people)) == 8
        assert set(people[1:3]) <= set(exercises.near[people[0]])
    assert at(3) == at(3) and at(3) != at(4)


def test_augmentation_depends_only_on_its_generator(world):
    pictures = torch.from_numpy(np.array(world.pictures[:4]))
    a, b = (augment(pictures, torch.Generator().manual_seed(1)) for _ in range(2))
    assert torch.equal(a, b) and a.shape == plain(world.pictures[:4]).shape
    assert not torch.equal(a, augment(pictures, torch.Generator().manual_seed(2)))


def test_small_clip_begins_from_the_tower():
    tower = AttributeTower(vision_config())
    clip = small_clip(tower)
    assert torch.equal(
        clip.model.visual.transformer.resblocks[3].attn.in_proj_weight,
        tower.visual.blocks[3].attn.qkv.weight,
    )
    assert len(clip.tokenizer.encoder) == 512 + KEPT_MERGES + 2


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """All models by the whole recipe, with two steps a stage on 130 people."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recipe, "HELD_OUT", (20, 2, 1))
        patch.setattr(lessons, "PICTURES", 6)
        for shares in ("FROZEN", "JOINT"):
            patch.setattr(lessons, shares, dict.fromkeys(TASKS, 2))
        patch.setattr(lessons.shutil, "which", lambda name: None)
        folder = tmp_path_factory.mktemp("recipe")
        for name in recipe.STAGES:
            recipe.pretrain(name, folder, folder / name, dict.fromkeys(recipe.STEPS, 2), 130)
    return folder


@pytest.mark.parametrize("name", ["clip", "reid"])
def test_the_recipe_makes_a_clip_that_loads(made, name):
    from icl_lib.params import load_params
    from icl_lib.retrieval import load_backbone

    vectors = load_backbone(load_params("rstp", weights=str(made / name))).encode_texts(
        ["a man in red", "a lady in blue"]
    )
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-4)
    assert [path.name for path in snapshots(made, name).iterdir()] == ["2"]


def test_the_reid_recipe_goes_on_from_the_shipped_clip(made):
    shipped, trained = (load_file(f / "model.safetensors") for f in (SMALL, made / "reid"))
    assert shipped.keys() == trained.keys()
    change = [(shipped[k].float() - trained[k].float()).abs().max().item() for k in shipped]
    assert 0 < max(change) < 0.1


def test_the_fifth_world_is_no_stand_in():
    used = {
        c for world in CHARACTERS.values() for place in world.collections for c in place.cameras
    }
    assert not used & set(CAMERAS)


def test_the_recipe_makes_a_qwen2vl_that_loads(made, world):
    from PIL import Image

    from icl_lib.mllm import load_mllm
    from icl_lib.params import load_params

    mllm = load_mllm(load_params("rstp", mllm__model=str(made / "qwen2vl")))
    p = mllm.p_yes([Image.fromarray(np.asarray(world.pictures[0]))], ["a man in red"])
    assert 0 < p[0] < 1


def test_the_recipe_writes_its_card_log_and_numbers(made):
    for name, stages in recipe.STAGES.items():
        log = (made / name / "log.jsonl").read_text().splitlines()
        assert [json.loads(line)["stage"] for line in log] == list(stages)
        assert all(any(key.startswith("held_out") for key in json.loads(line)) for line in log)
        told = json.loads((made / name / "recipe.json").read_text())
        assert told["people"] == 130 and list(told["stages"]) == list(stages)
        card = (made / name / "README.md").read_text()
        assert recipe.TITLES[name] in card and f"icl pretrain {name}" in card


def test_the_joint_stage_trains_the_tower_and_its_attributes_too(made):
    tower, language, joint = (
        torch.load(made / f"{stage}.pt", weights_only=True)["model"]
        for stage in ("tower", "language", "joint")
    )
    part = "visual.blocks.0.attn.qkv.weight"
    assert torch.equal(tower[part], language[f"model.model.{part}"])
    assert not torch.equal(tower[part], joint[f"0.model.model.{part}"])
    assert torch.equal(joint[f"1.{part}"], joint[f"0.model.model.{part}"])  # one and the same
    assert not torch.equal(tower["query"], joint["1.query"])
    assert "attributes" in json.loads((made / "joint.jsonl").read_text())


def test_exercises_are_true(exercises, world):
    rng = random.Random(0)
    answers = [exercises.match(i % 30, rng)[1] for i in range(300)]
    assert 0.3 < answers.count("Yes") / 300 < 0.7
    assert contradictions({"sex": "man"}, {"sex": "woman"}, {"sex"}) == 1
    assert contradictions({"glasses": "none"}, {"glasses": "sunglasses"}, set()) == 0
    for task in TASKS:
        prompt, answer = getattr(exercises, task)(7, rng)
        assert prompt and answer and "{" not in prompt


def test_the_pupils_sequences_are_the_chat_templates(exercises, world, tmp_path):
    from PIL import Image
    from transformers import AutoModelForImageTextToText, AutoProcessor

    tokenizer = make_tokenizer(exercises, size=400)
    pupil = Pupil(make_model(tokenizer), tokenizer)
    prompt, answer = exercises.match(0, random.Random(1))
    loss, numbers = pupil([("match", prompt, answer)] * 2, torch.randn(2, 12, 192))
    loss.backward()
    assert torch.isfinite(loss) and 0 <= numbers["yes_no_accuracy"] <= 1
    save_model(pupil, tmp_path)
    processor = AutoProcessor.from_pretrained(tmp_path)
    model = AutoModelForImageTextToText.from_pretrained(tmp_path, dtype=torch.float32)
    text = processor.apply_chat_template(
        [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": prompt}]}],
        add_generation_prompt=True,
    )
    picture = Image.fromarray(np.asarray(world.pictures[0])).resize((64, 192))
    inputs = processor(text=[text], images=[picture], return_tensors="pt")
    ids = inputs["input_ids"][0].tolist()
    assert ids == pupil.open + pupil.seen + tokenizer(prompt)["input_ids"] + pupil.turn
    theirs, _ = model.model.get_rope_index(
        inputs["input_ids"],
        inputs["mm_token_type_ids"],
        image_grid_thw=inputs["image_grid_thw"],
        attention_mask=inputs["attention_mask"],
    )
    assert torch.equal(theirs, positions(len(pupil.open), len(ids), 1, True))
    assert make_processor(tokenizer).image_processor.patch_size == PATCH


def test_the_loss_has_the_requested_parts(exercises):
    tokenizer = make_tokenizer(exercises)
    pupil = Pupil(make_model(tokenizer), tokenizer)
    said = [
        ("match", exercises.prompts.ask_match("a man in red"), answer) for answer in ("Yes", "No")
    ]
    tokens = torch.randn(2, (GRID[0] // MERGE) * (GRID[1] // MERGE), 192)
    with torch.autocast("cpu", torch.bfloat16):
        whole, numbers = pupil(said, tokens)
        words, _ = pupil(said, tokens, 0.0)
        answers, without = pupil(said, tokens, words=False)
        focal, _ = pupil(said, tokens, 0.0, focal=True)
    assert words.item() == pytest.approx(numbers["caption_words"], abs=1e-4)
    assert whole.item() == pytest.approx(numbers["caption_words"] + numbers["yes_no"], abs=1e-3)
    assert "caption_words" not in without and answers.item() == pytest.approx(
        numbers["yes_no"], abs=1e-3
    )
    assert (
        0 < focal.item() < words.item()
    )  # an untrained model knows no word: nearly all count in full


def test_a_statement_is_about_one_thing_that_is_seen(exercises):
    for i in range(30):
        facts = exercises.statement(i, random.Random(i))
        others = set(facts) - {"sex"}
        assert others and any(others <= set(group) for group in GROUPS.values())
        assert all(facts[name] == exercises.data.truth[i][name] for name in facts)
