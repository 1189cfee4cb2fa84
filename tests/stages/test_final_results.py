"""The last stage makes all that it needs, once, and replays a variant if it is told to."""

import numpy as np
import pytest

from icl_lib import stages
from icl_lib.mllm.local import LocalMLLM
from icl_lib.results import read_summary


def test_the_last_stage_alone_makes_all_it_needs(params, done):
    point, run, values = done
    assert point["K"] == 3 and 0 <= point["lam"] <= 1
    assert run.sim.shape == run.sim_refined.shape == (40, 20) and len(values["rank1"]) == 40
    stages_made = {"baseline", "rda", "adapter", "backbone", "thi-val", "thi-test"}
    assert stages_made <= {path.name.rsplit("-", 1)[0] for path in params.cache_dir.iterdir()}
    summary = read_summary(params)
    assert summary["profile"] == "demo" and summary["thi"]["final"]["ci95"]["rank1"]
    assert summary["cost"]["questions"] <= summary["cost"]["released_questions"]
    assert set(summary["seconds"]) >= stages_made | {"data"}


def test_a_second_run_makes_and_asks_nothing(params, done, monkeypatch, capsys):
    def never(*_, **__):
        raise AssertionError("the MLLM was asked again")

    monkeypatch.setattr(LocalMLLM, "p_yes", never)
    monkeypatch.setattr(LocalMLLM, "write", never)
    point, run, _ = stages.final(params)
    assert point == done[0] and np.array_equal(run.sim_refined, done[1].sim_refined)
    assert "made " not in capsys.readouterr().out


@pytest.mark.parametrize("name", ["argmax", "second_look", "adding"])
def test_a_variant_replays_the_final_run_and_is_off_by_default(params, tiny, done, name):
    varied = tiny(variant=name)
    point, run, values = stages.final(varied)
    assert point == done[0] and read_summary(varied)["thi"]["final"]["variant"] == name
    assert np.array_equal(run.replay(**point)[1], values["anchor"]) and run.change is not None
    same = np.array_equal(run.trace.p_yes, done[1].trace.p_yes, equal_nan=True)
    assert same, "the trace stays Algorithm 1's"
    stages.final(params)
    assert "variant" not in read_summary(params)["thi"]["final"] and done[1].change is None
