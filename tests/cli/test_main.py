"""The `icl` command, on small notebooks of its own and, where a test says so, on the kit's."""

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest
from click.testing import CliRunner

from icl_lib import load_params
from icl_lib.cli import main, notebooks
from icl_lib.cli import ticker as ticker_cli
from icl_lib.params.paths import repo_root

KIT = repo_root()
HELLO = """from pathlib import Path
print("K is", repr(K), "on", dataset)
print("half", end="")
import sys; sys.stdout.flush(); print(" a line")
print("interpreter", sys.executable)
folder = Path(figures)
folder.mkdir(parents=True, exist_ok=True)
_ = (folder / "curve.png").write_bytes(b"png")"""


def write_notebook(path, *code, heading="# A small story", parameters=None):
    cells = [nbformat.v4.new_markdown_cell(heading + "\nand its text")]
    if parameters is not None:
        cells.append(nbformat.v4.new_code_cell(parameters, metadata={"tags": ["parameters"]}))
    cells += [nbformat.v4.new_code_cell(source) for source in code]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), path)


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A kit's folder with the real params and three small notebooks."""
    shutil.copytree(KIT / "params", tmp_path / "params")
    figures = tmp_path / "results" / "demo" / "rstp" / "figures"
    usual = 'dataset = "rstp"  # short name\nprofile = "demo"\nseed = 0\n'
    write_notebook(
        tmp_path / "notebooks" / "03_hello.ipynb",
        HELLO,
        heading="# 03 · Hello",
        parameters=usual + f"K = 5\nlam = None\nfigures = {str(figures)!r}",
    )
    write_notebook(
        tmp_path / "notebooks" / "04_broken.ipynb", "print('so far')", "1 / 0", parameters=usual
    )
    write_notebook(tmp_path / "notebooks" / "04_plain.ipynb", "print(6 * 7)")
    monkeypatch.setenv("ICL_HOME", str(tmp_path))
    monkeypatch.delenv("ICL_RESULTS", raising=False)
    return tmp_path


def icl(*arguments):
    """Exit code, stdout and stderr of the command, run in this process."""
    done = CliRunner().invoke(_as_command, arguments)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stdout, done.stderr


@main.click.command(context_settings={"ignore_unknown_options": True, "help_option_names": []})
@main.click.argument("arguments", nargs=-1, type=main.click.UNPROCESSED)
def _as_command(arguments):
    before, sys.argv = sys.argv, ["icl", *arguments]
    try:
        main.main()
    finally:
        sys.argv = before


def test_help_is_quick_and_imports_nothing_heavy():
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


def test_importing_the_package_is_light():
    code = "import icl_lib, sys; icl_lib.load_params(); print(sorted({'torch', 'pandas'} & set(sys.modules)))"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"


def test_run_fills_in_the_output_and_tells_what_it_made(home):
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


def test_values_mean_what_they_mean_to_papermill(home, tmp_path):
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


def test_type_inference_is_papermills():
    from papermill.cli import _resolve_type

    for text in [
        "True",
        "False",
        "None",
        "3",
        "-3",
        "1_000",
        "3.5",
        "5e-5",
        "inf",
        "true",
        "",
        "rstp",
    ]:
        assert repr(notebooks.infer_type(text)) == repr(_resolve_type(text))


def test_a_failed_cell_shows_its_error_and_exits_1(home):
    code, out, err = icl("run", "04_broken", "03_hello")
    assert code == 1
    assert "04_broken: cell In [3] failed:" in err and "ZeroDivisionError: division by zero" in err
    assert "so far" in out and "03_hello" not in out  # the next one is not begun
    assert "\x1b[" not in err and str(home / "results" / "demo" / "rstp" / "04_broken.ipynb") in err


def test_a_dead_kernel_is_told_in_words(home):
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
def test_bad_input_is_refused_before_anything_runs(home, arguments, message):
    code, out, err = icl("run", *arguments)
    assert code == 2 and message in err and out == ""
    assert not (home / "results").exists()


def test_several_notebooks_each_get_the_parameters_they_have(home):
    jobs = notebooks.plan(
        [notebooks.find("03"), notebooks.find("04_plain")], {"K": 3, "dataset": "icfg"}
    )
    assert [job.given for job in jobs] == [{"K": 3, "dataset": "icfg"}, {}]
    assert jobs[0].output == home / "results" / "demo" / "icfg" / "03_hello.ipynb"
    assert jobs[1].output == home / "results" / "demo" / "04_plain.ipynb"


def test_a_trial_run_goes_into_a_folder_of_its_own():
    every = notebooks.available()
    jobs = notebooks.plan(every, {"profile": "paper", "limit_ids": 50})
    assert len(jobs) == len(every) and all(job.given["limit_ids"] == 50 for job in jobs)
    assert {job.output.parent for job in jobs} == {
        load_params("rstp", "paper", limit_ids=50).results_dir
    }


def test_find_takes_names_paths_and_beginnings(home):
    here = home / "notebooks" / "03_hello.ipynb"
    assert {notebooks.find(name) for name in ["03_hello", "03_hello.ipynb", "03", str(here)]} == {
        here
    }


def test_a_foreign_kernel_of_the_same_name_is_not_used(home, monkeypatch, tmp_path):
    foreign = tmp_path / "jupyter" / "kernels" / "python3"
    foreign.mkdir(parents=True)
    (foreign / "kernel.json").write_text(
        json.dumps({"argv": ["/nowhere/python"], "display_name": "x"})
    )
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    code, out, err = icl("run", "04_plain")
    assert code == 0 and "42" in out, err
    assert os.environ["JUPYTER_PATH"] == str(tmp_path / "jupyter")


def test_list(home):
    code, out, _ = icl("list")
    assert code == 0
    assert (
        "03_hello" in out and "03 · Hello" in out and "-p K 5" in out and '-p dataset "rstp"' in out
    )


def test_ticker_on_a_terminal_keeps_one_live_line_below_the_output():
    screen = io.StringIO()
    screen.isatty = lambda: True
    with ticker_cli.Ticker("04_thi", screen) as ticker:
        ticker.at(3, 20)
        ticker.write("made trace in")
        ticker.write(" 3 s\nfound")
        time.sleep(1.2)
    text = screen.getvalue()
    assert "04_thi  cell 3/20  0:00" in text and "04_thi  cell 3/20  0:01" in text
    assert "\x1b[2K  made trace in 3 s\n" in text and "  found\n" in text
    assert text.endswith("\r\x1b[2K")


def test_clock():
    assert [ticker_cli.clock(s) for s in (0, 59.9, 72.4, 3600)] == ["0:00", "0:59", "1:12", "60:00"]


@pytest.mark.parametrize("name", ["rtsp", "rst"])
def test_data_commands_refuse_unknown_names(name, tmp_path):
    for command in ("check", "standin"):
        code, _, err = icl("data", command, name, str(tmp_path))
        assert code == 2 and "'rstp'" in err and "Traceback" not in err


def test_data_check_of_an_empty_folder_says_what_was_looked_for(tmp_path):
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
def test_standin_is_drawn_and_checked(tmp_path, name, title, published):
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
        "tokens a caption",
        "none is cut off",
        "captions shared by identities",
        "identities in two splits",
        "unreadable pictures",
        "picture width, pixels",
        "paths that leave the folder",
        "168 tokens" if name == "ufine" else "77 tokens",
    ):
        assert word in out


def test_data_check_names_what_was_skipped(tmp_path):
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


def test_data_check_of_caption_all_and_of_a_folder_of_ones_own(tmp_path):
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
        "names no split and has one record a caption" in out
        and f"{len(flat)} captions read, 0 skips" in out
    )
    code, out, err = icl("data", "check", "folder", str(tmp_path / "imgs"))
    assert code == 0, err
    assert "0 captions read, 0 skips" in out and "picture width, pixels" in out
    assert icl("data", "check", "folder", str(tmp_path), "--annotation", "x.json")[0] == 2


def test_every_notebook_of_the_kit_has_a_title_and_the_usual_parameters():
    for path in sorted((Path(KIT) / "notebooks").glob("*.ipynb")):
        assert notebooks.title(path) != "(no title)", path.name
        if path.stem[:1].isdigit():
            assert {"dataset", "profile", "seed"} <= set(notebooks.parameters_of(path)), path.name


def test_ctrl_c_stops_the_kernel_too_and_says_that_nothing_is_lost(home):
    write_notebook(
        home / "notebooks" / "06_long.ipynb", "import os, time; print(os.getpid()); time.sleep(100)"
    )
    running = subprocess.Popen(
        [sys.executable, "-m", "icl_lib.cli.main", "run", "06"],
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert running.stdout.readline().startswith("06_long")
    kernel = Path("/proc") / running.stdout.readline().strip()
    running.send_signal(signal.SIGINT)
    _, told = running.communicate(timeout=60)
    assert running.returncode == 130 and told.startswith("stopped; what was finished is kept")
    assert not kernel.exists()
