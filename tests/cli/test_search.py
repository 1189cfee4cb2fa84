"""`icl search` in the terminal, on a folder of pictures and models of the paper's shapes."""

import json
import sys

import pytest
from layouts import layout, picture, record
from paper_weights import MLLM, WEIGHTS


@pytest.fixture
def search(icl, files, tmp_path, monkeypatch):
    """A function that runs `icl search` in the paper profile; results and data are the test's."""
    monkeypatch.setenv("ICL_RESULTS", str(tmp_path / "results"))
    monkeypatch.setenv("ICL_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    settings = {"profile": "paper", "weights": files / WEIGHTS, "mllm__model": files / MLLM}

    def run(*arguments, **more):
        options = [
            part for name, value in (settings | more).items() for part in ("-p", name, value)
        ]
        return icl("search", *map(str, arguments), *map(str, options))

    return run


@pytest.fixture
def mine(tmp_path):
    for seed in range(6):
        picture(tmp_path / "mine" / f"{seed} gate.jpg", seed)
    (tmp_path / "mine" / "broken.jpg").write_text("no picture")
    return tmp_path / "mine"


def test_the_table_and_the_json_say_the_same(search, mine):
    words = (mine, "--text", "a man in a red coat", "--top", 6, "--ask", 6)
    code, table, err = search(*words)
    assert code == 0, err
    assert "6 pictures of mine" in err and "Not trained on RSTPReid" in err
    assert "left out: broken.jpg: not readable as a picture" in err
    code, out, err = search(*words, "--json")
    assert code == 0, err
    rows = json.loads(out)  # nothing else is on stdout
    assert [row["rank"] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert {row["path"] for row in rows} == {str(mine / f"{seed} gate.jpg") for seed in range(6)}
    scores = [row["score"] for row in rows]
    assert scores == sorted(scores, reverse=True)
    asked = [row["p_yes"] for row in rows if row["p_yes"] is not None]
    assert asked and all(0 < p < 1 for p in asked)
    shown = [f"{row['rank']} {row['score']:.4f} " for row in rows]
    shown = [
        f"{line}{'' if row['p_yes'] is None else format(row['p_yes'], '.4f') + ' '}{row['path']}"
        for line, row in zip(shown, rows, strict=True)
    ]
    header, *lines = table.strip().splitlines()
    assert header.split() == ["rank", "score", "P(Yes)", "path"]
    assert [" ".join(line.split()) for line in lines] == shown


def test_without_questions_similarity_ranks_and_no_column_is_shown(search, mine, files):
    code, table, err = search(mine, "--text", "a man", "--top", 2)
    assert code == 0, err
    assert table.split()[:3] == ["rank", "score", "path"] and len(table.splitlines()) == 3
    code, out, _ = search("mine", "--text", "a man", "--top", 2, "--json", mllm__model="nowhere")
    assert code == 0 and [row["p_yes"] for row in json.loads(out)] == [None, None]
    code, out, err = search(mine, "--text", "a man", "--ask", 1, mllm__model=files / "nowhere")
    assert code == 2 and "there is no MLLM to ask" in err and out == ""


def test_a_benchmark_is_searched_in_its_test_split(search, tmp_path):
    records = [record(f"{k}_c{k % 2}_.jpg", "test" if k > 2 else "train", k) for k in range(7)]
    folder = layout(tmp_path / "data", records)
    (tmp_path / "rstp").mkdir()  # a folder of that name is searched as ./rstp only
    code, out, err = search("rstp", "--text", "a man", "--json", mllm__model="nowhere")
    assert code == 0, err
    assert "4 pictures of RSTPReid" in err
    found = {row["path"] for row in json.loads(out)}
    assert found == {str(folder / "imgs" / f"{k}_c{k % 2}_.jpg") for k in range(3, 7)}
    code, _, err = search("./rstp", "--text", "a man")
    assert code == 2 and "There is no picture" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["mine", "--text", "  "], "--text is empty"),
        (["mine", "--json"], "--json prints the answers to a text"),
        (["mine", "--text", "a man", "--top", "0"], "0 is not in the range x>=1"),
        (["mine", "--text", "a man", "--ask", "-1"], "-1 is not in the range x>=0"),
        (["nowhere/x", "--text", "a man"], "No folder nowhere/x"),
        (["rtsp", "--text", "a man"], "neither a folder nor a data set: did you mean 'rstp'?"),
        (["empty", "--text", "a man"], "There is no picture (.bmp"),
        (["mine", "--text", "a man", "-p", "epoch", "1"], "unknown parameter 'epoch'"),
    ],
)
def test_bad_input_is_refused(search, mine, tmp_path, arguments, message):
    (tmp_path / "empty").mkdir()
    code, out, err = search(*arguments)
    assert code == 2 and message in err and out == ""
    assert not (tmp_path / "results").exists()


def test_without_gradio_the_page_says_how_to_get_it(search, mine, monkeypatch):
    monkeypatch.setitem(sys.modules, "gradio", None)
    code, _, err = search(mine)
    assert code == 2 and "pip install 'icl_lib[search]'" in err
