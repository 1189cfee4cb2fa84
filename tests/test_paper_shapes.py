"""Notebooks 04 and 05 in the paper profile, with its prompts, data types, names and geometry.

They run as a user runs them. Only sizes differ from params/profiles/paper.yaml: a ViT-B/16 of two
narrow layers (224 x 224 pictures, patches of 16 pixels, 77 of 49,408 words, QuickGELU), a Qwen2-VL
of two layers, one epoch. Both models have random weights. The benchmark has RSTPReid's files,
pictures of many sizes, fewer people than published and no truth.
"""

import shutil
from io import StringIO
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
import yaml
from paper_weights import MLLM, SIZES, WEIGHTS, narrow_sizes, write_models, write_published
from PIL import Image

from icl_lib import load_params, stages
from icl_lib.cli import notebooks
from icl_lib.cli.ticker import Ticker
from icl_lib.data.standin import make_standin
from icl_lib.params.paths import repo_root
from icl_lib.results import read_summary
from icl_lib.retrieval.metrics import per_query_metrics
from icl_lib.retrieval.models import RDE
from icl_lib.retrieval.weights import empty_clip

KIT = repo_root()
# What differs from the shipped profile, so that a CPU needs a minute; paths differ too.
SMALLER = {
    "backbone": {"epochs": 1, "warmup_epochs": 0, "batch_size": 8},
    "mllm": {"max_new_tokens": 12},
    "rda": {"rewrites": 1},
    "sft": {"epochs": 1, "pairs": 8},
}
# IPython runs this at the start of each kernel: before the first cell it sets the narrow model's
# sizes, and from then on it writes a line for every call of the MLLM.
STARTUP = """
def prepare(*_):
    get_ipython().events.unregister("pre_run_cell", prepare)
    import open_clip
    from icl_lib.mllm.local import LocalMLLM

    open_clip.add_model_config({config!r})
    for verb in ("p_yes", "write"):
        def told(self, *arguments, verb=verb, ask=getattr(LocalMLLM, verb)):
            with open({calls!r}, "a") as file:
                file.write(verb + "\\n")
            return ask(self, *arguments)
        setattr(LocalMLLM, verb, told)


get_ipython().events.register("pre_run_cell", prepare)
"""


def benchmark(root: Path) -> None:
    """RSTPReid's files with eleven people, pictures of any size, and no truth."""
    make_standin("rstp", root, {"train": 5, "val": 2, "test": 4}, images_per_id=3, workers=1)
    known = {"imgs", "data_captions.json"}
    for path in root.iterdir():
        if path.name not in known:
            path.unlink()
    rng = np.random.default_rng(0)
    for path in sorted((root / "imgs").rglob("*.jpg")):
        with Image.open(path) as picture:
            sized = picture.resize((int(rng.integers(60, 160)), int(rng.integers(150, 400))))
        sized.save(path)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A kit's folder whose paper profile points at the random models and the small benchmark."""
    home = tmp_path_factory.mktemp("paper")
    shutil.copytree(KIT / "params", home / "params")
    benchmark(home / "data" / "RSTPReid")
    write_models(home)
    profile = yaml.safe_load((KIT / "params/profiles/paper.yaml").read_text())
    for section, values in SMALLER.items():
        profile[section] |= values
    profile["backbone"]["weights"] = str(home / WEIGHTS)
    profile["mllm"]["model"] = str(home / MLLM)
    (home / "params/profiles/paper.yaml").write_text(yaml.safe_dump(profile))
    startup = home / "ipython" / "profile_default" / "startup" / "shapes.py"
    startup.parent.mkdir(parents=True)
    startup.write_text(STARTUP.format(config=str(home / SIZES), calls=str(home / "calls")))
    patch = pytest.MonkeyPatch()
    for name, value in {
        "ICL_HOME": home,
        "ICL_DATA": home / "data",
        "ICL_RESULTS": home / "results",
        "IPYTHONDIR": home / "ipython",
    }.items():
        patch.setenv(name, str(value))
    yield home
    patch.undo()


def run(name: str, **given) -> list:
    """Executes the kit's own notebook as `icl run NAME -p profile paper` does; its cells."""
    (job,) = notebooks.plan([KIT / "notebooks" / f"{name}.ipynb"], {"profile": "paper", **given})
    with Ticker(name, StringIO()) as ticker:
        notebooks.execute(job, ticker)
    return nbformat.read(job.output, 4).cells


def printed(cells) -> str:
    return "".join(output.get("text", "") for cell in cells for output in cell.get("outputs", []))


def calls(home: Path) -> list[str]:
    return (home / "calls").read_text().split() if (home / "calls").exists() else []


@pytest.fixture(scope="module")
def thi(home):
    return run("04_thi")


def test_notebook_04_runs_with_the_papers_shapes(home, thi):
    params, text = load_params("rstp", "paper"), printed(thi)
    assert "profile paper · RSTPReid · seed 0" in text and "stand-in" not in text
    assert {"p_yes", "write"} == set(calls(home))
    assert "replay equals Algorithm 1 written as loops on 24 queries: True" in text
    summary = read_summary(params)
    assert summary["thi"]["final"]["xi"] == 0.5 and summary["thi"]["final"]["lam"] == 0.8
    assert {"evidence", "evidence_all"} <= set(summary["thi"])
    table = pd.read_csv(params.results_dir / "tables" / "04_table6.csv")
    assert table["method"].tolist() == ["baseline", "+ RDA", "+ THI raw", "+ THI LoRA"]


def test_notebook_04_run_again_asks_and_makes_nothing(home, thi):
    before = calls(home)
    text = printed(run("04_thi"))
    assert calls(home) == before, "the MLLM was asked again"
    assert "found thi-test" in text and "made " not in text


def test_notebook_05_runs_without_the_stand_ins_truth(home, thi):
    params, text = load_params("rstp", "paper"), printed(run("05_failure_gallery"))
    untrue = [line for line in text.splitlines() if line.endswith(": False")]
    assert "every query is in one group: True" in text
    assert set(untrue) <= {"THI repairs more queries than it harms: False"}, (
        "which is chance with random weights"
    )
    found = pd.read_csv(params.results_dir / "tables" / "05_causes.csv")
    assert set(found["failure"]) == {"first picture wrong", "AP fell"}
    assert "caption fits others" not in set(found["cause"]) and "bad description" in set(
        found["cause"]
    )
    queries = pd.read_csv(params.results_dir / "tables" / "05_queries.csv")
    assert (queries["anchor"] >= 0).any() and (queries["anchor"] < 0).any(), (
        "both kinds of query are shown"
    )


def test_a_released_checkpoint_is_used_instead_of_training(home, thi):
    """A best.pth with RDE's names and 24 x 8 patches of ViT-B/16 replaces both backbones."""
    with narrow_sizes():
        model = RDE(empty_clip(load_params("rstp", "paper")))
        assert model.state_dict()["clip.visual.positional_embedding"].shape == (1 + 24 * 8, 64)
        write_published(model, home / "best.pth")
        params = load_params("rstp", "paper", checkpoint=str(home / "best.pth"))
        _, found, _ = stages.final(params)
        texts, paths = found.queries["caption"].tolist(), found.gallery["path"].tolist()
        expected = model.eval().encode_texts(texts) @ model.encode_images(paths).T
    np.testing.assert_allclose(found.sim, expected, atol=1e-5)
    assert (
        stages.measured(params, stages.baseline(params))["mAP"].tolist()
        == per_query_metrics(expected, *found.pids)["mAP"].tolist()
    )
    assert read_summary(params)["thi"]["final"]["selected_on"] == "whoever made best.pth"
