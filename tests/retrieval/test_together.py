"""Two processes over gloo, started by accelerate, against one: the same training."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from icl_lib import load_params, stages
from icl_lib.retrieval import together
from icl_lib.retrieval.train import train_backbone

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 600  # seconds: two processes on a busy machine

TRAINED = """
import sys
sys.path.insert(0, {root!r})
import pandas as pd, torch
torch.set_num_threads(1)
from icl_lib import load_params
from icl_lib.retrieval import together, train
together.start()
assert together.world() == 2
if together.rank() > 0:
    train.follow()
else:
    table = pd.read_csv({table!r})
    texts = {texts!r}
    for method, backbone in {backbones!r}.items():
        params = load_params("rstp", "demo", backbone=backbone)
        train.train_backbone(params, table, {folder!r} + "/" + method, texts)
    train.dismiss()
"""


def launched(*arguments, well: bool = True, **environment) -> str:
    """What two processes of `accelerate launch` printed, and whether they ended well."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # --multi_gpu is accelerate's name for several processes; without a GPU they meet over gloo.
    command = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2",
               "--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port",
               str(port), *map(str, arguments)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)} | environment
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=PATIENCE)
    assert (done.returncode == 0) == well, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_two_processes_train_as_one(tiny, benchmark_table, tmp_path):
    texts = {int(c): [[f"{word} clothes", f"dressed in {word}"] for word in text.split()[-3:]]
             for c, text in zip(benchmark_table["caption_id"], benchmark_table["caption"])}
    # 40 pairs in batches of 9: shares of 4 and 5, and a last batch of 4.
    some = {"batch_size": 9, "lr": 1e-4, "epochs": 2}
    every = {"rde": tiny(backbone=some | {"accumulation": 2}),
             "irra": tiny(backbone=some | {"method": "irra", "warmup_epochs": 0})}
    benchmark_table.to_csv(tmp_path / "table.csv", index=False)
    script = tmp_path / "trained.py"
    backbones = {name: params.backbone.model_dump(mode="json") for name, params in every.items()}
    script.write_text(TRAINED.format(root=str(ROOT), table=str(tmp_path / "table.csv"), texts=texts,
                                     folder=str(tmp_path / "two"), backbones=backbones))
    launched(script)
    for name, params in every.items():
        train_backbone(params, benchmark_table, tmp_path / "one" / name, texts)
        one, two = (pd.read_csv(tmp_path / number / name / "log.csv") for number in ("one", "two"))
        np.testing.assert_allclose(two["loss"], one["loss"], rtol=1e-4, atol=1e-4)
        np.testing.assert_array_equal(two[["clean", "lr"]], one[["clean", "lr"]])
        assert not (tmp_path / "two" / name / "last.pt").exists()
        if one["rank1"].idxmax() == two["rank1"].idxmax():
            alone, shared = (load_file(tmp_path / number / name / "model.safetensors") for number in ("one", "two"))
            for key, tensor in alone.items():
                # Adam's steps have size lr however small a gradient: where it is 0 but for rounding (the keys'
                # biases), the direction is chance. So the median, not the worst.
                assert (tensor - shared[key]).float().abs().median() < 1e-6, key


NORMALISED = """
import sys
sys.path.insert(0, {root!r})
import torch
from torch import nn
from icl_lib.retrieval import together
together.start()
rank, bn = together.rank(), nn.BatchNorm1d(5)
whole = torch.load({data!r})
x = whole[:3] if rank == 0 else whole[3:]
x = x.clone().requires_grad_()
seen = together.gathered({{"out": [together.batch_norm(x, bn)]}})["out"][0]
(seen.square() * torch.linspace(1, 2, 35).view(7, 5)).sum().div(2).backward()
together.sum_gradients(bn.parameters())
torch.save({{"seen": seen.detach(), "grad": x.grad, "weight": bn.weight.grad, "mean": bn.running_mean,
             "var": bn.running_var, "total": together.total(len(x)), "told": together.from_first(rank + 7)}},
           {folder!r} + "/" + str(rank) + ".pt")
"""


def test_launch_trains_where_notebook_03_finds_it(small_folder, tmp_path, monkeypatch):
    sizes = {"ids_train": 6, "ids_val": 2, "ids_test": 2, "images_per_id": 2}
    tiny = {"weights": str(small_folder), "image_size": [48, 16], "context_length": 40, "embed_tse": 16,
            "epochs": 1, "batch_size": 8, "precision": "fp32", "rda": False}
    given = ["-y", json.dumps({"data": sizes, "backbone": tiny})]
    folders = {"ICL_DATA": str(tmp_path / "data"), "ICL_RESULTS": str(tmp_path / "results")}
    told = launched("-m", "icl_lib.launch", "rstp", "--profile", "demo", *given, **folders)
    assert "trained in 2 process(es)" in told
    for name, value in folders.items():
        monkeypatch.setenv(name, value)
    folder = stages.baseline(load_params("rstp", "demo", data=sizes, backbone=tiny))
    assert str(folder) in told and len(pd.read_csv(folder / "log.csv")) == 1
    again = launched("-m", "icl_lib.launch", "rstp", "--profile", "demo", *given, **folders)
    assert f"found {folder.name}" in again


def test_launch_refuses_bad_input_in_one_paragraph():
    from click.testing import CliRunner

    from icl_lib.launch import app

    with pytest.raises(ValueError, match="did you mean 'epochs'"):
        CliRunner().invoke(app, ["rstp", "-p", "backbone.epoch", "3"], catch_exceptions=False)


def test_batch_norm_and_gathering_have_the_whole_batchs_gradients(tmp_path):
    x = torch.randn(7, 5, generator=torch.Generator().manual_seed(0)) * 3 + 1
    torch.save(x, tmp_path / "data.pt")
    script = tmp_path / "normalised.py"
    script.write_text(NORMALISED.format(root=str(ROOT), data=str(tmp_path / "data.pt"), folder=str(tmp_path)))
    launched(script)
    bn, x = nn.BatchNorm1d(5), x.requires_grad_()
    expected = bn(x)
    (expected.square() * torch.linspace(1, 2, 35).view(7, 5)).sum().backward()
    parts = [torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1)]
    assert torch.allclose(torch.cat([part["grad"] for part in parts]), x.grad, atol=1e-5)
    for part in parts:
        assert torch.allclose(part["seen"], expected, atol=1e-5)
        assert torch.allclose(part["weight"], bn.weight.grad, rtol=1e-4, atol=1e-4)
        assert torch.allclose(part["mean"], bn.running_mean) and torch.allclose(part["var"], bn.running_var)
        assert part["total"] == 7 and part["told"] == 7


def test_alone_everything_is_as_it_was(monkeypatch):
    tensor = torch.randn(4, 3)
    assert together.world() == 1 and together.rank() == 0 and together.total(5) == 5
    assert together.gathered(tensor) is tensor and together.from_first(tensor) is tensor
    assert list(together.share(range(5))) == list(range(5))
    bn, same = nn.BatchNorm1d(3), nn.BatchNorm1d(3)
    assert torch.equal(together.batch_norm(tensor, bn), same(tensor))
    assert torch.equal(together.batch_norm(tensor[:1], bn), same.eval()(tensor[:1]))  # no variance


def test_shares_are_contiguous_and_all_there(monkeypatch):
    for world in (1, 2, 3, 7):
        monkeypatch.setattr(together, "world", lambda: world)
        for items in (7, 20, 64):
            parts = []
            for rank in range(world):
                monkeypatch.setattr(together, "rank", lambda: rank)
                parts.append(list(together.share(list(range(items)))))
            assert sum(parts, []) == list(range(items)) and min(map(len, parts)) >= items // world
