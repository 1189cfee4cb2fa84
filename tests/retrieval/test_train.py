import itertools
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from icl_lib.retrieval import train
from icl_lib.retrieval.evaluate import epoch_score, similarity
from icl_lib.retrieval.load import load_backbone, new_backbone
from icl_lib.retrieval.losses import tal
from icl_lib.retrieval.metrics import retrieval_metrics
from icl_lib.retrieval.run_folder import run_key
from icl_lib.retrieval.schedule import lr_factor, parameter_groups, rda_weight
from icl_lib.retrieval.train import train_backbone


def test_schedule_agrees_with_the_released_code(golden):
    expected = golden["schedule.lr_by_epoch"].numpy()
    found = [1e-5 * lr_factor(epoch, 60, 5, 0.1) for epoch in range(60)]
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-12)


def test_schedule_is_smooth_and_ends_where_it_should():
    values = [lr_factor(step / 100, 60, 5, 0.1, final=0.2) for step in range(6001)]
    assert max(abs(a - b) for a, b in itertools.pairwise(values)) < 0.002
    assert values[0] == pytest.approx(0.1) and max(values) == 1 and values[-1] == pytest.approx(0.2)
    assert lr_factor(0, 6, 0, 0.1) == 1  # no warm-up


def test_rda_weight():
    assert [rda_weight(epoch) for epoch in (0, 10, 30, 59)] == pytest.approx([1, 0.7, 0.1, 0.1])


def test_groups_have_the_papers_rates(tiny):
    params = tiny(backbone={"lr": 1e-5, "tse_lr": 1e-3, "context_length": 60})
    model = new_backbone(params)
    rate = {}
    for group in parameter_groups(model, params.backbone):
        for parameter in group["params"]:
            rate[parameter] = (group["lr"], group["weight_decay"])
    names = dict(model.named_parameters())
    assert rate[names["clip.visual.conv1.weight"]] == (1e-5, 4e-5)
    assert rate[names["clip.transformer.resblocks.0.attn.in_proj_bias"]] == (2e-5, 0)
    assert rate[names["clip.positional_embedding"]] == (5e-5, 4e-5)  # resized
    assert rate[names["clip.visual.positional_embedding"]] == (1e-5, 4e-5)
    assert rate[names["tse_text.mlp.layers.0.weight"]] == (1e-3, 4e-5)
    assert rate[names["tse_image.linear.bias"]] == (1e-3, 0)
    assert set(names.values()) - set(rate) == {names["clip.logit_scale"]}
    unresized = tiny()
    model = new_backbone(unresized)
    group = parameter_groups(model, unresized.backbone)[0]
    assert any(parameter is model.clip.positional_embedding for parameter in group["params"])


@pytest.fixture
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def train_with(params, table, folder, **options):
    train_backbone(params, table, folder, **options)
    return load_file(Path(folder) / "model.safetensors")


def augmented_for(table):
    return {
        int(c): [[f"{word} clothes", f"dressed in {word}"] for word in text.split()[-3:]]
        for c, text in zip(table["caption_id"], table["caption"], strict=True)
    }


@pytest.fixture(scope="module")
def fitted(tiny_params, benchmark_table, tmp_path_factory):
    """Params and folder of a backbone fitted to the tiny train split, and its metrics before.

    It is trained without augmentation.
    """
    plain = {"text_mask": 0.0, "erase_scale": [0, 0], "pad": 0, "ccd": False}
    params = tiny_params(
        backbone=plain | {"epochs": 20, "lr": 1e-3, "tse_lr": 3e-3, "warmup_epochs": 0}
    )
    folder = tmp_path_factory.mktemp("fitted")
    before = retrieval_metrics(*similarity(new_backbone(params), benchmark_table, "train"))
    train_backbone(params, benchmark_table[benchmark_table["split"] == "train"], folder)
    return params, folder, before


def test_training_learns(fitted, benchmark_table):
    params, folder, before = fitted
    after = retrieval_metrics(*similarity(load_backbone(params, folder), benchmark_table, "train"))
    assert after["mAP"] > 90 > 60 > before["mAP"]
    log = pd.read_csv(folder / "log.csv")
    assert log["loss"].iloc[-1] < log["loss"].iloc[0] / 3


def test_the_best_epoch_on_val_is_kept(tiny, benchmark_table, tmp_path):
    params = tiny(backbone={"epochs": 4, "lr": 1e-3, "warmup_epochs": 0})
    done = train_backbone(params, benchmark_table, tmp_path, augmented_for(benchmark_table))
    log = pd.read_csv(tmp_path / "log.csv")
    assert list(log["epoch"]) == list(range(4))
    best = log.loc[(log["rank1"] + log["mAP"]).idxmax()]
    assert done["best"]["epoch"] == best["epoch"] and done["selected_on"] == "val" and done["rda"]
    val = retrieval_metrics(*similarity(load_backbone(params, tmp_path), benchmark_table, "val"))
    for name in ("rank1", "mAP"):
        assert val[name] == pytest.approx(best[name], abs=1e-3)
    assert not (tmp_path / "last.pt").exists()


def test_a_finished_folder_is_left_as_it_is_and_another_run_refused(
    tiny, benchmark_table, tmp_path
):
    params = tiny(backbone={"epochs": 1})
    first = train_backbone(params, benchmark_table, tmp_path)
    stamp = (tmp_path / "model.safetensors").stat().st_mtime_ns
    assert train_backbone(params, benchmark_table, tmp_path) == first
    assert (tmp_path / "model.safetensors").stat().st_mtime_ns == stamp
    with pytest.raises(ValueError, match="other settings, data or texts"):
        train_backbone(tiny(backbone={"epochs": 2}), benchmark_table, tmp_path)


def test_run_key_knows_what_weights_depend_on(tiny, benchmark_table):
    table = benchmark_table
    keys = {
        run_key(tiny(), table),
        run_key(tiny(seed=1), table),
        run_key(tiny(), table.iloc[:-1]),
        run_key(tiny(backbone={"lr": 1e-3}), table),
        run_key(tiny(), table, {}),
        run_key(tiny(), table, {0: [["a"]]}),
    }
    assert len(keys) == 6
    moved = table.assign(path="elsewhere")
    assert run_key(tiny(), moved) == run_key(tiny(), table)


def test_an_interrupted_run_ends_with_the_same_weights(
    tiny, benchmark_table, tmp_path, monkeypatch, one_thread
):
    params, texts = tiny(), augmented_for(benchmark_table)
    whole = train_with(params, benchmark_table, tmp_path / "whole", augmented=texts)
    step, calls = train.Training._batch_loss, []

    def dies(self, *arguments):
        calls.append(1)
        if len(calls) == 12:  # in the third of three epochs
            raise KeyboardInterrupt
        return step(self, *arguments)

    monkeypatch.setattr(train.Training, "_batch_loss", dies)
    with pytest.raises(KeyboardInterrupt):
        train_backbone(params, benchmark_table, tmp_path / "cut", texts)
    monkeypatch.undo()
    assert (tmp_path / "cut" / "last.pt").exists()
    torch.rand(3)  # the global generator's state must not matter
    again = train_with(params, benchmark_table, tmp_path / "cut", augmented=texts)
    assert whole.keys() == again.keys() and all(
        torch.equal(whole[name], again[name]) for name in whole
    )
    logs = [
        pd.read_csv(tmp_path / name / "log.csv").drop(columns="seconds")
        for name in ("whole", "cut")
    ]
    pd.testing.assert_frame_equal(*logs)


def test_killed_after_every_epoch_it_ends_with_the_same_weights(
    tiny, benchmark_table, tmp_path, one_thread
):
    params, texts = tiny(backbone={"accumulation": 2}), augmented_for(benchmark_table)
    whole = train_with(params, benchmark_table, tmp_path / "whole", augmented=texts)
    lengths = []

    def dies(rows):
        lengths.append(len(rows))
        raise KeyboardInterrupt

    for _ in range(params.backbone.epochs):
        with pytest.raises(KeyboardInterrupt):
            train_backbone(params, benchmark_table, tmp_path / "cut", texts, on_epoch=dies)
    assert lengths == [1, 2, 3]
    again = train_with(params, benchmark_table, tmp_path / "cut", augmented=texts)
    assert whole.keys() == again.keys() and all(
        torch.equal(whole[name], again[name]) for name in whole
    )


KILLED = """
import sys
sys.path.insert(0, {root!r})
import pandas as pd, torch
torch.set_num_threads(1)
from icl_lib import load_params
from icl_lib.retrieval.train import train_backbone
params = load_params("rstp", "demo", backbone={backbone!r})
train_backbone(params, pd.read_csv({table!r}), {folder!r})
"""


def test_kill_9_and_again_is_bit_for_bit_the_same(tiny, benchmark_table, tmp_path, one_thread):
    params = tiny(backbone={"epochs": 6})
    benchmark_table.to_csv(tmp_path / "table.csv", index=False)
    script = tmp_path / "killed.py"
    script.write_text(
        KILLED.format(
            root=str(Path(__file__).resolve().parents[2]),
            table=str(tmp_path / "table.csv"),
            folder=str(tmp_path / "cut"),
            backbone=params.backbone.model_dump(mode="json"),
        )
    )
    victim = subprocess.Popen([sys.executable, script], env=os.environ | {"OMP_NUM_THREADS": "1"})
    deadline = time.monotonic() + 300
    while not (tmp_path / "cut" / "last.pt").exists():
        assert victim.poll() is None and time.monotonic() < deadline, (
            "it ended before it could be killed"
        )
        time.sleep(0.001)
    victim.send_signal(signal.SIGKILL)
    assert victim.wait() == -signal.SIGKILL
    assert not (tmp_path / "cut" / "training.json").exists()
    cut, whole = (train_with(params, benchmark_table, tmp_path / name) for name in ("cut", "whole"))
    assert all(torch.equal(whole[name], cut[name]) for name in whole)


def test_an_epochs_state_is_loadable_without_pickled_code(
    tiny, benchmark_table, tmp_path, monkeypatch
):
    monkeypatch.setattr(train.Training, "_finish", lambda self: {})
    train_backbone(tiny(backbone={"epochs": 1}), benchmark_table, tmp_path)
    last = torch.load(tmp_path / "last.pt", weights_only=True)
    assert last["next_epoch"] == 1 and last["rows"][0]["epoch"] == 0


def test_the_loss_sums_both_branches_and_both_texts(tiny, benchmark_table, tmp_path):
    params = tiny(backbone={"ccd": False, "tau": 0.015})
    run = train.Training(params, benchmark_table, tmp_path, augmented_for(benchmark_table), "key")
    run.model.eval()
    batch = next(iter(run.views.loader(0, 8)))
    clean = torch.tensor([True] * 7 + [False])
    with torch.no_grad():
        found = run._batch_loss(batch, clean, 0.3)
        images = run.model.image_branches(batch["pixels"])
        expected = 0.0
        for ids, weight in ((batch["ids"], 1.0), (batch["rda_ids"], 0.3)):
            texts = run.model.text_branches(ids)
            for name in ("bge", "tse"):
                pids = run.pids[batch["pair"]]
                expected += weight * tal(texts[name] @ images[name].T, pids, 0.015, 0.1)[:7].sum()
    assert float(found) == pytest.approx(float(expected), abs=1e-3)


def test_ccd_removes_wrong_captions(tiny, fitted, benchmark_table, tmp_path):
    """A model that fits the right captions finds the swapped ones by their loss."""
    table = benchmark_table.copy()
    rows = table.index[table["split"] == "train"]
    wrong = rows[[1, 9, 17, 25]]
    table.loc[wrong, "caption"] = table.loc[np.roll(wrong, 1), "caption"].to_numpy()
    run = train.Training(tiny(backbone={"batch_size": 20}), table, tmp_path, None, "key")
    run.model = load_backbone(*fitted[:2])
    clean = run.clean(0)
    assert not clean[[1, 9, 17, 25]].any()
    assert clean.sum() > 30


def test_a_benchmark_without_val_keeps_the_last_epoch(tiny, benchmark_table, tmp_path):
    table = benchmark_table[benchmark_table["split"] == "train"]
    done = train_backbone(tiny(backbone={"epochs": 2}), table, tmp_path)
    assert done["selected_on"] == "last epoch" and done["best"]["epoch"] == 1
    assert "rank1" not in pd.read_csv(tmp_path / "log.csv")


def test_an_empty_train_split_is_reported(tiny, benchmark_table, tmp_path):
    with pytest.raises(ValueError, match="train split has 0 captions"):
        train_backbone(tiny(), benchmark_table[benchmark_table["split"] == "val"], tmp_path)


def test_a_loss_that_is_no_number_stops_the_run(tiny, benchmark_table, tmp_path, monkeypatch):
    monkeypatch.setattr(train.Training, "_batch_loss", lambda self, *rest: torch.tensor(math.nan))
    with pytest.raises(ValueError, match=r"loss became nan.*backbone.lr"):
        train_backbone(tiny(), benchmark_table, tmp_path)


@pytest.mark.parametrize("loss", ["trl", "sdm", "info_nce"])
def test_other_losses_train_too(tiny, benchmark_table, tmp_path, loss):
    done = train_backbone(tiny(backbone={"epochs": 1, "loss": loss}), benchmark_table, tmp_path)
    assert math.isfinite(done["best"]["loss"])


def test_accumulated_gradients_are_those_of_their_batches(tiny, benchmark_table, tmp_path):
    """A step of two batches moves the weights by the sum of both batches' gradients."""
    plain = {"ccd": False, "epochs": 1, "batch_size": 20, "accumulation": 2, "warmup_epochs": 0}
    run = train.Training(tiny(backbone=plain), benchmark_table, tmp_path, None, "key")
    other = train.Training(tiny(backbone=plain), benchmark_table, tmp_path, None, "key")
    run._epoch(0)
    clean = torch.ones(20, dtype=torch.bool)
    other.model.train()
    losses = [other._batch_loss(batch, clean, 1.0) for batch in other.views.loader(0, 20)]
    assert len(losses) == 2
    sum(losses).backward()
    other.optimiser.step()
    state = other.model.state_dict()
    for name, tensor in run.model.state_dict().items():
        assert torch.allclose(tensor, state[name], atol=2e-5), name
    assert run.optimiser.state[run.optimiser.param_groups[0]["params"][0]]["step"] == 1


def test_wrong_pairs_are_counted_in_the_log(tiny, benchmark_table, tmp_path):
    from icl_lib.data.noise import apply_noise

    params = tiny(backbone={"noise": 0.5, "epochs": 2})
    train_backbone(params, benchmark_table, tmp_path)
    log = pd.read_csv(tmp_path / "log.csv")
    assert {"clean", "clean_precision", "clean_recall"} <= set(log)
    run = train.Training(params, benchmark_table, tmp_path, None, "key")
    noisy, truth = apply_noise(benchmark_table, 0.5, params.seed)
    assert truth.mean() == 0.5 and (run.truth == truth).all()
    believed = np.random.default_rng(0).random(len(truth)) < 0.3
    row = run._clean_shares(believed)
    assert row["clean"] == believed.mean()
    assert row["clean_precision"] == pytest.approx(truth[believed].mean())
    assert row["clean_recall"] == pytest.approx(believed[truth].mean())
    pids = noisy.loc[noisy["split"] == "train", "pid"].to_numpy()
    assert (run.pids.numpy() == pids).all() and (
        pids != benchmark_table["pid"].head(len(pids))
    ).any()
    plain = train.Training(tiny(), benchmark_table, tmp_path, None, "key")
    assert plain._clean_shares(believed).keys() == {"clean"}


def test_a_noise_index_is_part_of_the_run(tiny, benchmark_table, tmp_path):
    index, path = np.arange(40), tmp_path / "noise.npy"
    params = tiny(backbone={"noise_index": str(path)})
    with pytest.raises(FileNotFoundError, match=r"noise.npy.*backbone.noise"):
        run_key(params, benchmark_table)
    keys = set()
    for swapped in ((0, 1), (8, 39)):
        index[list(swapped)] = index[list(swapped[::-1])]
        np.save(path, index)
        keys.add(run_key(params, benchmark_table))
    assert len(keys) == 2
    run = train.Training(params, benchmark_table, tmp_path, None, "key")
    assert list(np.flatnonzero(~run.truth)) == [8, 39]  # 0 and 1 are captions of one picture
    with pytest.raises(ValueError, match="set only one of them"):
        tiny(backbone={"noise_index": str(path), "noise": 0.2})


@pytest.mark.parametrize("loss", ["tal", "trl", "sdm", "info_nce"])
def test_a_batch_without_negatives_trains_and_stays_finite(tiny, benchmark_table, tmp_path, loss):
    """With one identity TAL and TRL have nothing to push away, so their loss is 0."""
    table = benchmark_table[benchmark_table["pid"] == 0]
    done = train_backbone(
        tiny(backbone={"epochs": 1, "loss": loss, "batch_size": 4}), table, tmp_path
    )
    assert math.isfinite(done["best"]["loss"]) and (
        loss not in ("tal", "trl") or done["best"]["loss"] == 0
    )
    state = load_file(tmp_path / "model.safetensors")
    assert all(tensor.isfinite().all() for tensor in state.values() if tensor.is_floating_point())


def test_a_batch_of_one_is_refused_or_left_out(tiny, benchmark_table, tmp_path):
    with pytest.raises(ValueError, match="batch_size 1 leaves a pair without a negative"):
        tiny(backbone={"batch_size": 1})
    run = train.Training(tiny(backbone={"batch_size": 13}), benchmark_table, tmp_path, None, "key")
    assert [len(batch["pair"]) for batch in run.views.loader(0, 13)] == [13, 13, 13]  # of 40
    found = run._batch_loss(
        {
            "pair": torch.tensor([0]),
            "pixels": torch.from_numpy(run.images[0])[None],
            "ids": run.ids[:1],
        },
        torch.ones(1, dtype=torch.bool),
        1.0,
    )
    assert found == 0


def test_an_empty_split_to_select_on_keeps_the_last_epoch(tiny, benchmark_table, tmp_path):
    done = train_backbone(
        tiny(backbone={"epochs": 2, "select_on": "test"}), benchmark_table, tmp_path
    )
    assert done["selected_on"] == "last epoch" and done["best"]["epoch"] == 1


def test_pictures_without_a_caption_are_no_pairs(tiny, benchmark_table, tmp_path):
    table = benchmark_table.copy()
    table.loc[[1, 3], ["caption_id", "caption"]] = [-1, ""]
    run = train.Training(tiny(), table, tmp_path, None, "key")
    assert len(run.ids) == 38


def test_on_val_an_epoch_is_not_kept_for_a_single_query():
    lucky, better = {"rank1": 55.3, "mAP": 53.7}, {"rank1": 55.2, "mAP": 57.0}
    assert epoch_score(better, "val") > epoch_score(lucky, "val")
    assert epoch_score(better, "test") < epoch_score(lucky, "test")  # the released code's way


@pytest.mark.skipif(torch.cuda.is_available(), reason="a machine with CUDA has fp16")
def test_fp16_without_cuda_is_refused_before_any_picture_is_read(tiny, benchmark_table, tmp_path):
    table = benchmark_table.assign(path="nowhere.png")
    with pytest.raises(ValueError, match="fp16 needs a CUDA device"):
        train_backbone(tiny(backbone={"precision": "fp16"}), table, tmp_path)
