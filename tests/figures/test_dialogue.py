"""Dialogues show the whole interaction, and no text of a caption or a model becomes markup."""

import base64
import re
from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from interactions import XI, interaction
from PIL import Image

from icl_lib.figures import Dialogue
from icl_lib.figures.dialogue import dialogue as dialogue_of
from icl_lib.thi import Trace, replay
from icl_lib.thi.evidence import Evidence

HOSTILE = "<script>alert('x')</script> | *bold* [link](http://x) `code` ![i](y)\n# head & $math$"


@pytest.fixture
def dialogue(tmp_path):
    paths = []
    for number in range(4):
        paths.append(tmp_path / f"{number}.png")
        Image.new("RGB", (20, 50), (60 * number, 90, 20)).save(paths[-1])
    sim, refined = np.array([[0.9, 0.8, 0.7, 0.1]]), np.array([[0.1, 0.2, 0.9, 0.1]])
    trace = Trace([[0, 1, 2]], [[0.2, 0.4, 0.9]])
    run = interaction([7], [1, 2, 7, 7], sim, refined, trace, paths)
    run.queries["caption"] = [HOSTILE]
    run = replace(run, answers=[{"hat": HOSTILE, "bag": None}], texts=[HOSTILE + " merged"])
    final, anchor = replay(sim, refined, trace, 3, 1.0, 0.2)
    assert anchor.tolist() == [2]
    return dialogue_of(run, 0, final, anchor, 3, 1.0, title=HOSTILE)


def test_a_dialogue_collects_what_happened(dialogue):
    assert (dialogue.before, dialogue.after, dialogue.anchor) == (3, 1, 2)
    assert [candidate["right"] for candidate in dialogue.candidates] == [False, False, True]


def test_a_dialogue_of_evidence_shows_what_its_policy_asked_and_no_anchor(run):
    asked = replace(run.trace, p_yes=np.where(np.arange(3) == 2, 0.9, np.full((8, 3), np.nan)))
    run = replace(run, trace=asked, evidence=Evidence(0.1), vectors=np.eye(4))
    final, anchor = run.replay(3, XI, 0.2)
    shown = dialogue_of(run, 1, final, anchor, 3, XI)
    assert shown.by_evidence and shown.anchor is None and shown.merged is None
    assert [np.isnan(candidate["p_yes"]) for candidate in shown.candidates] == [True, True, False]
    page = shown._repr_html_()
    assert page.count("not asked") == 2 and "Ranked by evidence." in page


def test_a_dialogue_shows_only_the_questions_of_algorithm_1(run):
    final, anchor = replay(run.sim, run.sim_refined, run.trace, 3, XI, 0.2)
    repaired = dialogue_of(run, 1, final, anchor, 3, XI)
    assert (repaired.anchor, repaired.before, repaired.after) == (2, 3, 1)
    assert repaired.merged == "caption 1"
    unasked = dialogue_of(run, 3, final, anchor, 3, XI)
    assert np.isnan(unasked.candidates[1]["p_yes"]), "the answer of a deeper trace"
    assert (unasked.anchor, unasked.answers, unasked.merged) == (None, None, None)


def test_html_holds_everything_and_no_foreign_markup(dialogue):
    html = dialogue._repr_html_()
    tags = {tag.lower() for tag in re.findall(r"<\s*/?\s*([a-zA-Z]+)", html)}
    assert tags <= {"div", "p", "b", "i", "table", "tr", "td", "br", "img", "span"}
    assert html.count("data:image/jpeg;base64,") == 3
    for words in ("No 0.20", "No 0.40", "Yes 0.90", "anchor", "(not readable)"):
        assert words in html
    assert "rank 3 before, rank 1 after" in html
    assert len(html) < 60_000, "small enough for a committed notebook"


def test_small_pictures_are_enlarged_by_the_page_and_not_in_the_file(dialogue, tmp_path):
    shown = re.findall(r"base64,([^']+)'", dialogue._repr_html_())
    assert {Image.open(BytesIO(base64.b64decode(one))).size for one in shown} == {(20, 50)}
    path = str(tmp_path / "large.png")
    Image.new("RGB", (400, 900)).save(path)
    html = Dialogue("q", [{"path": path, "p_yes": 0.1, "right": True}] * 10, 0.5)._repr_html_()
    (one, *_) = re.findall(r"base64,([^']+)'", html)
    assert Image.open(BytesIO(base64.b64decode(one))).size == (120, 270)
    assert "height:176px" in html, "ten of them fit beside each other"


def test_markdown_links_pictures_and_escapes_texts(dialogue, tmp_path):
    text = dialogue.markdown(tmp_path / "pictures", link="docs/pictures")
    assert "](docs/pictures/candidate_3.jpg)" in text
    assert (tmp_path / "pictures/candidate_3.jpg").is_file()
    for foreign in ("<script", "](http", "\n# head", "| *bold*", "`code`", "$math$"):
        assert foreign not in text
    assert r"&lt;script&gt;alert\('x'\)" in text
    assert re.search(r"\| Yes \(0\.90\) \|", text)
    assert "| 1 | 2 | 3, **anchor** |" in text


def test_questions_never_asked_are_not_shown_as_answers(dialogue, tmp_path):
    candidate = {**dialogue.candidates[0], "p_yes": float("nan")}
    unasked = Dialogue("q", [candidate], 0.5, before=4, after=4)
    html = unasked._repr_html_()
    assert "not asked" in html
    assert "nan" not in html
    assert "stays at rank 4" in html
    assert "Merged" not in html
    assert "candidate" not in unasked.markdown(tmp_path, "unused")


def test_a_person_who_is_not_in_the_gallery():
    assert "no picture of this person" in Dialogue("q", [], 0.5)._repr_html_()
