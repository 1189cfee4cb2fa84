"""Settings: the paper's values, overrides, errors that name the nearest valid name, and hashes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icl_lib import load_params
from icl_lib.params.paths import available, repo_root

DATASETS = ["cuhk", "icfg", "rstp", "ufine"]


@pytest.mark.parametrize("profile", ["demo", "paper"])
@pytest.mark.parametrize("dataset", DATASETS)
def test_every_dataset_and_profile_sets_every_field(dataset, profile):
    params = load_params(dataset, profile)
    assert (params.dataset, params.profile, params.seed) == (dataset, profile, 0)
    assert params.data.standin == (profile == "demo")


@pytest.mark.parametrize(
    ("dataset", "xi", "lr", "length"),
    [
        ("cuhk", 0.5, 1e-5, 77),
        ("icfg", 0.55, 1e-5, 77),
        ("rstp", 0.5, 1e-5, 77),
        ("ufine", 0.5, 5e-5, 168),
    ],
)
def test_the_paper_profile_has_the_papers_values(dataset, xi, lr, length):
    params = load_params(dataset, "paper")
    b, m, s, t = params.backbone, params.mllm, params.sft, params.thi
    assert (t.K, t.lam, t.xi) == (5, 0.8, xi)
    assert (m.model, m.max_pixels, m.temperature) == ("Qwen/Qwen2-VL-7B-Instruct", 50176, 0.01)
    assert (s.r, s.alpha, s.lr, s.epochs, s.top_k) == (8, 16, 5e-5, 2, 10)
    assert s.batch_size * s.accumulation == 4 * 16
    assert (b.lr, b.context_length, b.image_size, b.clip) == (
        lr,
        length,
        (384, 128),
        "ViT-B-16-quickgelu",
    )
    assert (b.tau, b.margin, b.select_ratio, b.embed_tse) == (0.015, 0.1, 0.3, 1024)
    assert (b.epochs, b.batch_size, b.warmup_epochs, b.warmup_factor, b.final_lr) == (
        60,
        64,
        5,
        0.1,
        0.0,
    )
    assert (b.bias_lr_factor, b.tse_lr, b.text_position_lr_factor, b.weight_decay) == (
        2,
        1e-3,
        5,
        4e-5,
    )
    assert (b.text_mask, b.text_mask_split, b.erase_scale, b.pad) == (
        0.2,
        (0.6, 0.2, 0.2),
        (0.02, 0.4),
        10,
    )
    assert (b.rda_weight_slope, b.rda_weight_floor, b.select_on) == (0.03, 0.1, "val")


@pytest.mark.parametrize(
    ("dataset", "ids", "images"),
    [
        ("cuhk", (11003, 1000, 1000), (34054, 3078, 3074)),
        ("icfg", (3102, 0, 1000), (34674, 0, 19848)),
        ("rstp", (3701, 200, 200), (18505, 1000, 1000)),
        ("ufine", (4926, 0, 2000), (18577, 0, 7629)),
    ],
)
def test_a_dataset_has_its_published_counts(dataset, ids, images):
    expected = load_params(dataset).data.expected
    assert (expected.ids, expected.images) == (ids, images)


def test_a_setting_is_overridden_by_its_name_with_its_section_or_inside_its_section():
    params = load_params(
        K=3, lam=0.7, backbone__epochs=2, **{"sft.epochs": 1}, thi={"xi": "0.4"}, seed=7
    )
    assert (params.thi.K, params.thi.lam, params.thi.xi) == (3, 0.7, 0.4)
    assert (params.backbone.epochs, params.sft.epochs, params.seed) == (2, 1, 7)


def test_none_keeps_the_default_and_auto_sets_null():
    assert load_params(profile="paper", K=None, xi=None) == load_params(profile="paper")
    assert load_params(profile="paper", xi="auto").thi.xi is None
    assert load_params(precision="auto").backbone.precision == "auto"


@pytest.mark.parametrize(
    ("given_name", "meant"),
    [
        ("lamda", "lam"),
        ("rewrite", "rewrites"),
        ("thi__xii", "thi__xi"),
        ("clp", "clip"),
        ("Margin", "margin"),
    ],
)
def test_an_unknown_parameter_is_refused_with_the_nearest_name(given_name, meant):
    with pytest.raises(
        ValueError, match=f"unknown parameter '{given_name}': did you mean '{meant}'"
    ):
        load_params(**{given_name: 1})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dataset": "RSTPReid"}, "unknown dataset 'RSTPReid': did you mean 'rstp'"),
        ({"dataset": "cukh"}, "did you mean 'cuhk'"),
        ({"profile": "papper"}, "unknown profile 'papper': did you mean 'paper'"),
        ({"dataset": None}, "unknown dataset None"),
        ({"epochs": 3}, "ambiguous: say backbone__epochs or sft__epochs"),
        ({"K": "five"}, "thi.K = 'five': Input should be a valid integer"),
        ({"lam": 1.5}, "thi.lam = 1.5: Input should be less than or equal to 1"),
        ({"seed": -1}, "seed = -1"),
        ({"limit_ids": 0}, "data.limit_ids = 0: Input should be greater than or equal to 1"),
        ({"limit_ids": -5}, "data.limit_ids = -5: Input should be greater than or equal to 1"),
        ({"loss": "tall"}, "backbone.loss = 'tall': .*did you mean 'tal'"),
        ({"K": 12}, "set k_max=12 too"),
        ({"text_mask_split": [0.5, 0.2, 0.2]}, "must sum to 1"),
        ({"thi": 5}, "'thi' is a section"),
        ({"thi": {"KK": 5}}, "unknown parameter 'thi.KK': did you mean 'thi__K'"),
    ],
)
def test_a_wrong_name_or_value_is_refused_with_the_reason(arguments, message):
    with pytest.raises(ValueError, match=message):
        load_params(**arguments)


def test_settings_cannot_be_changed():
    with pytest.raises(ValueError, match="frozen"):
        load_params().thi.K = 3


def test_the_hash_depends_on_what_can_change_a_result_and_on_nothing_else():
    plain = load_params()
    assert plain.hash() == load_params().hash() and len(plain.hash()) == 12
    assert load_params(K=4).hash("thi") != plain.hash("thi")
    assert load_params(K=4).hash("backbone", "sft") == plain.hash("backbone", "sft")
    assert load_params(seed=1).hash("backbone") != plain.hash("backbone")
    assert load_params("cuhk").hash("backbone") != plain.hash("backbone")
    assert (
        load_params(root="/elsewhere", eval_batch=8, url="http://127.0.0.1:1/v1").hash()
        == plain.hash()
    )
    with pytest.raises(ValueError, match="unknown section 'backbon': did you mean 'backbone'"):
        plain.hash("backbon")


def test_a_servers_model_names_enter_the_hash_only_where_the_server_is_used():
    at = {"backend": "server", "url": "http://127.0.0.1:1/v1"}
    assert (
        load_params(concurrency=1, served_model="a").hash()
        == load_params().hash()
        != load_params(**at).hash()
    )
    assert load_params(**at, timeout=1, key_variable="KEY").hash() == load_params(**at).hash()
    assert load_params(**at, served_model="a").hash() != load_params(**at).hash()
    assert load_params(**at, served_model="a").hash("mllm") == load_params(**at).hash("mllm")


@given(K=st.integers(0, 10), lam=st.floats(0, 1), seed=st.integers(0, 2**31))
def test_equal_settings_hash_equally_whatever_the_order(K, lam, seed):
    one = load_params(K=K, lam=lam, seed=seed)
    other = load_params(seed=seed, **{"thi.lam": lam, "thi__K": K})
    assert one == other and one.hash() == other.hash()


def test_a_profile_of_your_own_is_found_and_checked(monkeypatch, tmp_path):
    for kind in ("datasets", "profiles"):
        (tmp_path / "params" / kind).mkdir(parents=True)
        for path in (repo_root() / "params" / kind).glob("*.yaml"):
            (tmp_path / "params" / kind / path.name).write_text(path.read_text())
    mine = tmp_path / "params" / "profiles" / "mine.yaml"
    monkeypatch.setenv("ICL_HOME", str(tmp_path))
    mine.write_text(
        (tmp_path / "params/profiles/demo.yaml").read_text().replace("pad: 4", "padd: 4")
    )
    with pytest.raises(
        ValueError, match=r"(?s)backbone.pad: missing.*backbone.padd: unknown parameter"
    ):
        load_params(profile="mine")
    mine.write_text("thi: [")
    with pytest.raises(ValueError, match=r"mine.yaml is not readable as YAML"):
        load_params(profile="mine")
    assert available("profiles") == ["demo", "mine", "paper"]


def test_a_limit_of_people_changes_the_hash_and_the_results_folder_only_where_it_is_set():
    plain, limited = load_params(), load_params(limit_ids=50)
    assert "limit_ids" not in plain.key("data")["data"]
    assert limited.key("data")["data"]["limit_ids"] == 50
    assert plain.hash() == load_params(limit_ids=None).hash() != limited.hash()
    assert (plain.results_dir.name, limited.results_dir.name) == ("rstp", "rstp-50ids")
    assert limited.cache_dir.parent == limited.results_dir


def test_a_filter_that_is_off_changes_no_hash():
    plain, off, on = load_params(), load_params(drop="auto"), load_params(drop=0.2)
    assert "drop" not in plain.key("rda")["rda"] and on.key("rda")["rda"]["drop"] == 0.2
    assert plain.hash() == off.hash() != on.hash()
    with pytest.raises(ValueError, match="drop"):
        load_params(drop=1.5)
