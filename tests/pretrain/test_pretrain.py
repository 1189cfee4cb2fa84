"""The recipes of the small models on a few pictures: they can be loaded, and training resumes."""

import random
from dataclasses import replace

import numpy as np
import pytest
import torch

from icl_lib.data.standin.phrases import GROUPS
from icl_lib.mllm.prompts import load_prompts
from icl_lib.mllm.qwen2vl_tower import patchify, picture_tokens
from icl_lib.params.paths import repo_root
from icl_lib.pretrain.clip import KEPT_MERGES, adopt_tower, save_clip, small_clip, train_clip
from icl_lib.pretrain.exercises import SHARES, Exercises, contradictions
from icl_lib.pretrain.lessons import GIST, LESSONS, average, go_on
from icl_lib.pretrain.pupil import Pupil, positions
from icl_lib.pretrain.qwen2vl import (
    GRID,
    MERGE,
    PATCH,
    make_model,
    make_processor,
    make_tokenizer,
    save_model,
    train_qwen2vl,
)
from icl_lib.pretrain.tower import AttributeTower, attribute_accuracy, train_tower, vision_config
from icl_lib.pretrain.world import HEADS, augment, generic_set, plain


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


def test_an_interrupted_training_resumes_to_the_same_weights(world, tmp_path, monkeypatch):
    straight = train_tower(world, tmp_path / "a", steps=4, batch=6)
    from icl_lib.pretrain import tower as module

    real, seen = module.attribute_loss, []

    def dies(*args):
        seen.append(1)
        if len(seen) == 3:
            raise KeyboardInterrupt
        return real(*args)

    monkeypatch.setattr(module, "attribute_loss", dies)
    monkeypatch.setattr(
        module.train, "__defaults__", (0.02, 200, 1, True)
    )  # keep the state after every step
    with pytest.raises(KeyboardInterrupt):
        train_tower(world, tmp_path / "b", steps=4, batch=6)
    monkeypatch.setattr(module, "attribute_loss", real)
    resumed = train_tower(world, tmp_path / "b", steps=4, batch=6)
    for a, b in zip(straight.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(a, b)
    accuracy = attribute_accuracy(resumed, world)
    assert set(accuracy) == set(HEADS) and all(
        0 <= v <= 100 or np.isnan(v) for v in accuracy.values()
    )


def test_augmentation_depends_only_on_its_generator(world):
    pictures = torch.from_numpy(np.array(world.pictures[:4]))
    a, b = (augment(pictures, torch.Generator().manual_seed(1)) for _ in range(2))
    assert torch.equal(a, b) and a.shape == plain(world.pictures[:4]).shape
    assert not torch.equal(a, augment(pictures, torch.Generator().manual_seed(2)))


def test_small_clip_begins_from_the_tower_and_loads_again(world, exercises, tmp_path):
    from icl_lib.params import load_params
    from icl_lib.retrieval import load_backbone

    tower = AttributeTower(vision_config())
    clip = small_clip()
    adopt_tower(clip.model, tower)
    assert torch.equal(
        clip.model.visual.transformer.resblocks[3].attn.in_proj_weight,
        tower.visual.blocks[3].attn.qkv.weight,
    )
    assert len(clip.tokenizer.encoder) == 512 + KEPT_MERGES + 2
    _, trained = train_clip(world, tower, exercises.prompts, tmp_path / "state", steps=1, batch=8)
    save_clip(trained, tmp_path / "small")
    vectors = load_backbone(load_params("rstp", weights=str(tmp_path / "small"))).encode_texts(
        ["a man in red", "a lady in blue"]
    )
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-4)


def test_exercises_are_true(exercises, world):
    rng = random.Random(0)
    answers = [exercises.match(i % 30, rng)[1] for i in range(300)]
    assert 0.3 < answers.count("Yes") / 300 < 0.7
    assert contradictions({"sex": "man"}, {"sex": "woman"}, {"sex"}) == 1
    assert contradictions({"glasses": "none"}, {"glasses": "sunglasses"}, set()) == 0
    for task in SHARES:
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


def test_the_last_steps_have_a_constant_rate_and_a_second_call_trains_nothing(tmp_path):
    data = generic_set(tmp_path, 40, 3, workers=1)
    tower = AttributeTower(vision_config()).eval()
    prompts = load_prompts("short", repo_root() / "params" / "prompts")

    def make():
        return train_qwen2vl(
            data, tower, prompts, tmp_path, steps=2, open_steps=2, open_lr=8e-4, compiled=False
        )

    def rate(state):
        return state["optimiser"]["param_groups"][0]["lr"]

    made = make()
    annealed, still_open = (
        torch.load(tmp_path / f"{stage}.pt", weights_only=True)
        for stage in ("qwen2vl", "qwen2vl_open")
    )
    assert rate(still_open) == pytest.approx(8e-4 * 3 / 10), (
        "still in its warm-up of ten steps, and undecayed"
    )
    assert rate(annealed) < 1.5e-3 * 3 / 200, "decayed within its warm-up of 200"
    assert any(
        not torch.equal(a, b)
        for a, b in zip(annealed["model"].values(), still_open["model"].values(), strict=True)
    )
    again = make()
    assert all(
        torch.equal(a, b) for a, b in zip(made.parameters(), again.parameters(), strict=True)
    )


@pytest.mark.parametrize("name", LESSONS)
def test_a_later_stage_trains_the_tower_only_where_it_says_so_and_only_once(tmp_path, name):
    data = generic_set(tmp_path, 40, 3, workers=1)
    prompts = load_prompts("short", repo_root() / "params" / "prompts")
    tokenizer = make_tokenizer(Exercises(data, prompts))
    few = replace(
        LESSONS[name],
        pictures=6,
        asked=4,
        vqa=2,
        texts=tuple(({next(iter(counts)): 2}, *rest) for counts, *rest in LESSONS[name].texts),
    )

    def make():
        pupil = Pupil(make_model(tokenizer), tokenizer)
        return go_on(pupil, data, prompts, tmp_path, name, 2, few)

    before, made = make_model(tokenizer).state_dict(), make()
    changed = {
        part
        for part, value in made.model.state_dict().items()
        if not torch.equal(value, before[part])
    }
    assert any("language_model" in part for part in changed)
    assert any("visual" in part for part in changed) == few.tower
    again = make()
    assert all(
        torch.equal(a, b) for a, b in zip(made.parameters(), again.parameters(), strict=True)
    )


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


def test_yes_by_the_gist_is_never_stricter(exercises):
    looser = 0
    for i in range(60):
        strict, gist = (
            exercises.match(i % 20, random.Random(i)),
            exercises.match(i % 20, random.Random(i), counted=GIST),
        )
        assert strict[0] == gist[0] and (gist[1] == "Yes" or strict[1] == "No")
        looser += strict[1] != gist[1]
    assert looser > 0


def test_a_statement_is_about_one_thing_that_is_seen(exercises):
    for i in range(30):
        facts = exercises.statement(i, random.Random(i))
        others = set(facts) - {"sex"}
        assert others and any(others <= set(group) for group in GROUPS.values())
        assert all(facts[name] == exercises.data.truth[i][name] for name in facts)


def test_an_average_lies_in_the_middle(exercises):
    model = make_model(make_tokenizer(exercises))
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    average(model, {name: weight + 1 for name, weight in before.items()})
    assert all(
        torch.allclose(weight, before[name] + 0.5) for name, weight in model.state_dict().items()
    )
