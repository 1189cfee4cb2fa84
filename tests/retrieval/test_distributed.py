"""Two processes over gloo, started by accelerate, against one: the same training."""

import json
import os
import socket
import subprocess
import sys
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from icl_lib import load_params, stages
from icl_lib.retrieval import distributed, run_folder
from icl_lib.retrieval.evaluate import epoch_score
from icl_lib.retrieval.load import load_backbone
from icl_lib.retrieval.train import train_backbone

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 900  # seconds: several processes on a busy machine

# What each process runs: a little BatchNorm, gathered; then two whole trainings.
SCRIPT = """
import sys
sys.path.insert(0, {root!r})
import pandas as pd, torch
torch.set_num_threads(1)
from torch import nn
from icl_lib import load_params
from icl_lib.retrieval import distributed as together, train
together.start()
assert together.world() == 2
rank, bn = together.rank(), nn.BatchNorm1d(5)
whole = torch.load({folder!r} + "/data.pt")
x = (whole[:3] if rank == 0 else whole[3:]).clone().requires_grad_()
seen = together.gathered({{"out": [together.batch_norm(x, bn)]}})["out"][0]
(seen.square() * torch.linspace(1, 2, 35).view(7, 5)).sum().div(2).backward()
together.sum_gradients(bn.parameters())
torch.save({{"seen": seen.detach(), "grad": x.grad, "weight": bn.weight.grad,
             "mean": bn.running_mean, "var": bn.running_var,
             "total": together.total(len(x)), "told": together.from_first(rank + 7)}},
           {folder!r} + "/" + str(rank) + ".pt")
if rank > 0:
    train.follow()
else:
    table = pd.read_csv({folder!r} + "/table.csv")
    for method, backbone in {backbones!r}.items():
        params = load_params("rstp", "demo", backbone=backbone)
        train.train_backbone(params, table, {folder!r} + "/two/" + method, {texts!r})
    train.dismiss()
together.end()
"""


def launched(*arguments, **environment) -> str:
    """What two processes of `accelerate launch` printed; both have to end well."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # --multi_gpu is accelerate's name for several processes; without a GPU they meet over gloo.
    command = [
        sys.executable,
        "-m",
        "accelerate.commands.launch",
        "--multi_gpu",
        "--num_processes",
        "2",
        "--num_machines",
        "1",
        "--mixed_precision",
        "no",
        "--dynamo_backend",
        "no",
        "--main_process_port",
        str(port),
        *map(str, arguments),
    ]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)} | environment
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=PATIENCE
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def two(tiny_params, benchmark_table, tmp_path_factory):
    """The folder of what two processes made, the settings of each training, and RDA's texts."""
    folder = tmp_path_factory.mktemp("together")
    texts = {
        int(c): [[f"{word} clothes", f"dressed in {word}"] for word in text.split()[-3:]]
        for c, text in zip(benchmark_table["caption_id"], benchmark_table["caption"], strict=True)
    }
    # 40 pairs in batches of 9: shares of 4 and 5, and a last batch of 4.
    some = {"batch_size": 9, "lr": 1e-4, "epochs": 2}
    every = {
        "rde": tiny_params(backbone=some | {"accumulation": 2}),
        "irra": tiny_params(backbone=some | {"method": "irra", "warmup_epochs": 0}),
    }
    benchmark_table.to_csv(folder / "table.csv", index=False)
    torch.save(
        torch.randn(7, 5, generator=torch.Generator().manual_seed(0)) * 3 + 1, folder / "data.pt"
    )
    backbones = {name: params.backbone.model_dump(mode="json") for name, params in every.items()}
    script = folder / "script.py"
    script.write_text(
        SCRIPT.format(root=str(ROOT), folder=str(folder), texts=texts, backbones=backbones)
    )
    launched(script)
    return folder, every, texts


@pytest.mark.parametrize("method", ["rde", "irra"])
def test_two_processes_train_as_one(two, benchmark_table, tmp_path, method):
    folder, every, texts = two
    train_backbone(every[method], benchmark_table, tmp_path, texts)
    one, both = pd.read_csv(tmp_path / "log.csv"), pd.read_csv(folder / "two" / method / "log.csv")
    assert len(one) == 2
    np.testing.assert_allclose(both["loss"], one["loss"], rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(both[["clean", "lr"]], one[["clean", "lr"]])
    np.testing.assert_allclose(both["mAP"], one["mAP"], atol=0.5)
    assert not (folder / "two" / method / "last.pt").exists()
    if epoch_score(one, "val").idxmax() == epoch_score(both, "val").idxmax():
        # Vectors, not weights: the gradient of a bias before BatchNorm is rounding alone, but Adam
        # makes steps of it all the same.
        alone, shared = (
            load_backbone(every[method], place).encode_texts(benchmark_table["caption"].tolist())
            for place in (tmp_path, folder / "two" / method)
        )
        np.testing.assert_allclose(shared, alone, atol=2e-3)


def test_batch_norm_and_gathering_have_the_whole_batchs_gradients(two):
    folder, _, _ = two
    bn, x = nn.BatchNorm1d(5), torch.load(folder / "data.pt").requires_grad_()
    expected = bn(x)
    (expected.square() * torch.linspace(1, 2, 35).view(7, 5)).sum().backward()
    parts = [torch.load(folder / f"{rank}.pt") for rank in (0, 1)]
    assert torch.allclose(torch.cat([part["grad"] for part in parts]), x.grad, atol=1e-5)
    for part in parts:
        assert torch.allclose(part["seen"], expected, atol=1e-5)
        assert torch.allclose(part["weight"], bn.weight.grad, rtol=1e-4, atol=1e-4)
        assert torch.allclose(part["mean"], bn.running_mean) and torch.allclose(
            part["var"], bn.running_var
        )
        assert part["total"] == 7 and part["told"] == 7


def test_launch_trains_where_notebook_03_finds_it(small_folder, tmp_path, monkeypatch):
    sizes = {"ids_train": 6, "ids_val": 2, "ids_test": 2, "images_per_id": 2}
    tiny = {
        "weights": str(small_folder),
        "image_size": [48, 16],
        "context_length": 40,
        "embed_tse": 16,
        "epochs": 1,
        "batch_size": 8,
        "precision": "fp32",
        "rda": False,
    }
    folders = {"ICL_DATA": str(tmp_path / "data"), "ICL_RESULTS": str(tmp_path / "results")}
    told = launched(
        "-m",
        "icl_lib.cli.launch",
        "rstp",
        "--profile",
        "demo",
        "-y",
        json.dumps({"data": sizes, "backbone": tiny}),
        **folders,
    )
    assert "trained in 2 process(es)" in told
    for name, value in folders.items():
        monkeypatch.setenv(name, value)
    folder = stages.baseline(load_params("rstp", "demo", data=sizes, backbone=tiny))
    assert str(folder) in told and len(pd.read_csv(folder / "log.csv")) == 1


def test_launch_refuses_bad_input_before_it_starts():
    from click.testing import CliRunner

    from icl_lib.cli.launch import app

    with pytest.raises(ValueError, match="did you mean 'backbone__epochs'"):
        CliRunner().invoke(app, ["rstp", "-p", "backbone.epoch", "3"], catch_exceptions=False)


def test_a_single_process_changes_nothing():
    tensor = torch.randn(4, 3)
    assert distributed.world() == 1 and distributed.rank() == 0 and distributed.total(5) == 5
    assert distributed.gathered(tensor) is tensor and distributed.from_first(tensor) is tensor
    assert list(distributed.share(range(5))) == list(range(5))
    bn, same = nn.BatchNorm1d(3), nn.BatchNorm1d(3)
    assert torch.equal(distributed.batch_norm(tensor, bn), same(tensor))
    assert torch.equal(
        distributed.batch_norm(tensor[:1], bn), same.eval()(tensor[:1])
    )  # no variance


def test_shares_are_contiguous_and_all_there(monkeypatch):
    for world in (1, 2, 3, 7):
        monkeypatch.setattr(distributed, "world", lambda world=world: world)
        for items in (7, 20, 64):
            parts = []
            for rank in range(world):
                monkeypatch.setattr(distributed, "rank", lambda rank=rank: rank)
                parts.append(distributed.share(list(range(items))))
            assert [*chain(*parts)] == list(range(items)) and min(map(len, parts)) >= items // world


def test_more_processes_than_pairs_in_a_batch_are_refused(monkeypatch):
    monkeypatch.setattr(distributed, "world", lambda: 9)
    with pytest.raises(ValueError, match="9 processes cannot share out"):
        run_folder.check_trainable(pairs=40, batch_size=8)
