"""Dialogues: the whole interaction is there, and no text of a caption or a model becomes markup."""

import base64
import re
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from icl_lib.figures import Dialogue
from icl_lib.thi import Trace, replay

HOSTILE = "<script>alert('x')</script> | *bold* [link](http://x) `code` ![i](y)\n# head & $math$"


@pytest.fixture
def dialogue(tmp_path):
    paths = []
    for number in range(4):
        paths.append(tmp_path / f"{number}.png")
        Image.new("RGB", (20, 50), (60 * number, 90, 20)).save(paths[-1])
    sim = np.array([[0.9, 0.8, 0.7, 0.1]])
    refined = np.array([[0.1, 0.2, 0.9, 0.1]])
    trace = Trace([[0, 1, 2]], [[0.2, 0.4, 0.9]])
    final, anchor = replay(sim, refined, trace, 3, 1.0, 0.2)
    answers, merged = [{"hat": HOSTILE, "bag": None}], [HOSTILE + " merged"]
    assert anchor.tolist() == [2]
    return Dialogue.of(
        0,
        [HOSTILE],
        trace,
        answers,
        merged,
        paths,
        sim,
        final,
        anchor,
        [7],
        [1, 2, 7, 7],
        title=HOSTILE,
    )


def test_of_collects_what_happened(dialogue):
    assert (dialogue.before, dialogue.after, dialogue.anchor) == (3, 1, 2)
    assert [candidate["right"] for candidate in dialogue.candidates] == [False, False, True]


def test_html_holds_everything_and_no_foreign_markup(dialogue):
    html = dialogue._repr_html_()
    tags = {tag.lower() for tag in re.findall(r"<\s*/?\s*([a-zA-Z]+)", html)}
    assert tags <= {"div", "p", "b", "i", "table", "tr", "td", "br", "img", "span"}
    assert html.count("data:image/jpeg;base64,") == 3
    for word in (
        "No 0.20",
        "No 0.40",
        "Yes 0.90",
        "anchor",
        "rank 3 before, rank 1 after",
        "(not readable)",
    ):
        assert word in html
    assert len(html) < 60_000, "small enough for a committed notebook"


def test_small_pictures_are_enlarged_by_the_page_and_not_in_the_file(dialogue, tmp_path):
    shown = re.findall(r"base64,([^']+)'", dialogue._repr_html_())
    assert {Image.open(BytesIO(base64.b64decode(one))).size for one in shown} == {(20, 50)}
    Image.new("RGB", (400, 900)).save(tmp_path / "large.png")
    large = Dialogue(
        "q", [{"path": str(tmp_path / "large.png"), "p_yes": 0.1, "right": True}] * 10, 0.5
    )
    html = large._repr_html_()
    (one, *_) = re.findall(r"base64,([^']+)'", html)
    assert Image.open(BytesIO(base64.b64decode(one))).size == (120, 270)
    assert "height:176px" in html, "ten of them fit beside each other"


def test_markdown_links_pictures_and_escapes(dialogue, tmp_path):
    text = dialogue.markdown(tmp_path / "pictures", link="docs/pictures")
    assert (
        "](docs/pictures/candidate_3.jpg)" in text
        and (tmp_path / "pictures/candidate_3.jpg").is_file()
    )
    for foreign in ("<script", "](http", "\n# head", "| *bold*", "`code`", "$math$"):
        assert foreign not in text
    assert r"&lt;script&gt;alert\('x'\)" in text
    assert re.search(r"\| Yes \(0\.90\) \|", text)


def test_questions_never_asked_are_not_shown_as_answers(dialogue):
    unasked = Dialogue(
        "q", [{**dialogue.candidates[0], "p_yes": float("nan")}], 0.5, before=4, after=4
    )
    html = unasked._repr_html_()
    assert "not asked" in html and "nan" not in html and "stays at rank 4" in html
    assert "Merged" not in html and "candidate" not in unasked.markdown("unused")


def test_person_who_is_not_in_the_gallery():
    assert "no picture of this person" in Dialogue("q", [], 0.5)._repr_html_()
