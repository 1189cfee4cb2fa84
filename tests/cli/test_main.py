"""The `icl` command, run on small notebooks and small data sets."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from small_notebooks import write_notebook


def test_help_imports_nothing_that_is_slow_to_import():
    told = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "icl_lib.cli.main", "--help"],
        text=True,
        capture_output=True,
        check=True,
    )
    assert "Execute notebooks with parameters" in told.stdout
    loaded = {line.split("|")[-1].strip() for line in told.stderr.splitlines()}
    assert "click" in loaded
    assert not loaded & {
        "torch",
        "pandas",
        "papermill",
        "numpy",
        "pydantic",
        "transformers",
        "nbformat",
    }


def test_importing_the_package_loads_neither_torch_nor_pandas():
    code = (
        "import icl_lib, sys; icl_lib.load_params(); "
        "print(sorted({'torch', 'pandas'} & set(sys.modules)))"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"


def test_run_writes_into_the_results_folder_and_lists_what_it_made(icl, home):
    old = home / "results" / "demo" / "rstp" / "figures" / "old.png"
    old.parent.mkdir(parents=True)
    old.write_bytes(b"png")
    os.utime(old, (1, 1))
    code, out, err = icl("run", "03_hello", "-p", "K", "3")
    executed = home / "results" / "demo" / "rstp" / "03_hello.ipynb"
    assert code == 0, err
    assert "K is 3 on rstp" in out and "  half a line\n" in out
    assert str(executed) in out and str(executed.with_suffix(".html")) in out
    assert "curve.png" in out and "old.png" not in out
    assert f"interpreter {sys.executable}" in out
    cells = nbformat.read(executed, 4).cells
    assert "K is 3 on rstp" in cells[-1].outputs[0].text
    assert "K is 3 on rstp" in executed.with_suffix(".html").read_text()


def test_parameters_mean_what_they_mean_to_papermill(icl, home, tmp_path):
    (tmp_path / "more.yaml").write_text("K: 1\nlam: 0.25\n")
    code, out, err = icl(
        "run",
        "03",
        "-p",
        "K",
        "2",
        "-y",
        "{K: 7, dataset: cuhk}",
        "-f",
        str(tmp_path / "more.yaml"),
        "-p",
        "figures",
        str(tmp_path / "elsewhere"),
    )
    assert code == 0, err
    assert "K is 2 on cuhk" in out  # -p over -y over -f
    executed = nbformat.read(home / "results" / "demo" / "cuhk" / "03_hello.ipynb", 4)
    assert "lam = 0.25" in executed.cells[2].source


def test_a_failed_cell_shows_its_error_and_exits_with_1(icl, home):
    code, out, err = icl("run", "04_broken", "03_hello")
    assert code == 1
    assert "04_broken: cell In [3] failed:" in err and "ZeroDivisionError: division by zero" in err
    assert "so far" in out and "03_hello" not in out  # the next one is not begun
    assert "\x1b[" not in err and str(home / "results" / "demo" / "rstp" / "04_broken.ipynb") in err


def test_a_dead_kernel_is_reported_with_the_cell_it_died_at(icl, home):
    write_notebook(home / "notebooks" / "05_dies.ipynb", "import os; os.kill(os.getpid(), 9)")
    code, _, err = icl("run", "05_dies")
    assert code == 1 and "the kernel died at cell 1/1" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["03_helo"],
            "no notebook '03_helo': did you mean '03_hello'? Valid: 03_hello, 04_broken, 04_plain.",
        ),
        (["04"], "'04' begins 2 notebooks: 04_broken, 04_plain"),
        (
            ["03", "-p", "lamda", "1"],
            "unknown parameter 'lamda' for 03_hello: did you mean 'lam'? Valid: K",
        ),
        (["04_plain", "-p", "K", "1"], "unknown parameter 'K' for 04_plain. Valid: none."),
        (["03", "-p", "dataset", "rtsp"], "unknown dataset 'rtsp': did you mean 'rstp'"),
        (["03", "-p", "profile", "papers"], "unknown profile 'papers': did you mean 'paper'"),
        (["03", "-p", "K", "five"], "thi.K = 'five': Input should be a valid integer"),
        (["03", "-y", "- 1"], "should hold `name: value`, not list"),
        (["03", "-f", "nowhere.yaml"], "no parameter file nowhere.yaml"),
    ],
)
def test_bad_input_is_refused_before_anything_runs(icl, home, arguments, message):
    code, out, err = icl("run", *arguments)
    assert code == 2 and message in err and out == ""
    assert not (home / "results").exists()


def test_another_kernel_named_python3_is_not_used(icl, home, monkeypatch, tmp_path):
    foreign = tmp_path / "jupyter" / "kernels" / "python3"
    foreign.mkdir(parents=True)
    (foreign / "kernel.json").write_text(
        json.dumps({"argv": ["/nowhere/python"], "display_name": "x"})
    )
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    code, out, err = icl("run", "04_plain")
    assert code == 0 and "42" in out, err
    assert os.environ["JUPYTER_PATH"] == str(tmp_path / "jupyter")


def test_list_shows_titles_and_parameters(icl, home):
    code, out, _ = icl("list")
    assert code == 0
    assert (
        "03_hello" in out and "03 · Hello" in out and "-p K 5" in out and '-p dataset "rstp"' in out
    )


@pytest.mark.parametrize("name", ["rtsp", "rst"])
def test_data_commands_refuse_unknown_names(icl, name, tmp_path):
    for command in ("check", "standin"):
        code, _, err = icl("data", command, name, str(tmp_path))
        assert code == 2 and "'rstp'" in err and "Traceback" not in err


def test_data_check_of_an_empty_folder_says_what_was_looked_for(icl, tmp_path):
    code, _, err = icl("data", "check", "rstp", str(tmp_path))
    assert code == 2 and "data_captions.json" in err and str(tmp_path) in err


@pytest.mark.parametrize(
    ("name", "title", "published"),
    [
        ("rstp", "RSTPReid", "3701"),
        ("cuhk", "CUHK-PEDES", "11003"),
        ("icfg", "ICFG-PEDES", "3102"),
        ("ufine", "UFine6926", "4926"),
    ],
)
def test_a_stand_in_is_drawn_and_checked(icl, tmp_path, name, title, published):
    code, out, err = icl("data", "standin", name, str(tmp_path), "--identities", "5", "--seed", "3")
    assert code == 0, err
    assert f"drew {title}" in out
    code, out, err = icl("data", "check", title, str(tmp_path), "--pictures")
    assert code == 0, err
    for word in (
        "identities",
        published,
        "differs",
        "captions read, 0 skips",
        "tokens per caption",
        "none is cut off",
        "captions shared by identities",
        "identities in two splits",
        "unreadable pictures",
        "picture width, pixels",
        "paths that leave the folder",
        "168 tokens" if name == "ufine" else "77 tokens",
    ):
        assert word in out


def test_data_check_names_what_was_skipped(icl, tmp_path):
    icl("data", "standin", "rstp", str(tmp_path), "--identities", "5")
    file = tmp_path / "data_captions.json"
    records = json.loads(file.read_text())
    records[0]["img_path"], records[1]["captions"] = "../../outside.jpg", []
    (tmp_path / "imgs" / records[2]["img_path"]).write_bytes(b"no picture")
    file.write_text(json.dumps(records))
    code, out, err = icl("data", "check", "rstp", str(tmp_path))
    assert code == 0, err
    assert (
        "record 0: img_path" in out
        and "record 1: no caption is left" in out
        and "record 2: imgs/" in out
    )
    assert "3 skips of any kind" in out and "refused" in out and "Traceback" not in err
    code, _, err = icl("data", "check", "rstp", str(tmp_path), "--strict")
    assert code == 2 and "record 0" in err


def test_data_check_reads_caption_all_and_a_folder_of_your_own(icl, tmp_path):
    icl("data", "standin", "cuhk", str(tmp_path), "--identities", "5")
    records = json.loads((tmp_path / "reid_raw.json").read_text())
    flat = [
        {"file_path": r["file_path"], "id": r["id"], "captions": text}
        for r in records
        for text in r["captions"]
    ]
    (tmp_path / "caption_all.json").write_text(json.dumps(flat))
    code, out, err = icl("data", "check", "cuhk", str(tmp_path), "--annotation", "caption_all.json")
    assert code == 0, err
    assert (
        "names no split and has one record per caption" in out
        and f"{len(flat)} captions read, 0 skips" in out
    )
    code, out, err = icl("data", "check", "folder", str(tmp_path / "imgs"))
    assert code == 0, err
    assert "0 captions read, 0 skips" in out and "picture width, pixels" in out
    assert icl("data", "check", "folder", str(tmp_path), "--annotation", "x.json")[0] == 2


def test_ctrl_c_stops_the_kernel_too_and_says_that_nothing_is_lost(home):
    write_notebook(
        home / "notebooks" / "06_long.ipynb", "import os, time; print(os.getpid()); time.sleep(100)"
    )
    running = subprocess.Popen(
        [sys.executable, "-m", "icl_lib.cli.main", "run", "06"],
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # A shell's background job, as these tests may be, ignores Ctrl+C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert running.stdout.readline().startswith("06_long")
    kernel = Path("/proc") / running.stdout.readline().strip()
    running.send_signal(signal.SIGINT)
    _, told = running.communicate(timeout=60)
    assert running.returncode == 130 and told.startswith("stopped; what was finished is kept")
    assert not kernel.exists()
