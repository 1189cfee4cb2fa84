import json
import threading

import numpy as np
import pytest
from layouts import picture
from search_doubles import Knowing, Models, unit

from icl_lib.retrieval.gallery import Gallery
from icl_lib.search import record
from icl_lib.search.index import PictureIndex
from icl_lib.search.searcher import Searcher
from icl_lib.search.session import LONGEST, Session
from icl_lib.thi.evidence import Evidence


class Dead(Knowing):
    """An MLLM whose server has gone."""

    def p_yes(self, images, texts):
        raise ConnectionError("nobody listens at http://127.0.0.1:8000/v1")


@pytest.fixture
def session(tmp_path):
    names = [f"{k}.png" for k in range(4)]
    for seed, name in enumerate(names):
        picture(tmp_path / name, seed)
    vectors = unit(np.random.default_rng(0).normal(size=(4, 3)))
    paths = [str(tmp_path / name) for name in names]
    index = PictureIndex("mine", paths, names, [""] * 4, vectors, Gallery(vectors), [], "")
    models = Models(Knowing(paths[1]), Evidence(temperature=1.0), note=["<b>a note</b>"])
    models.backbone_name = "a backbone"
    return Session(Searcher(index, models), threading.Lock())


def test_a_dead_mllm_leaves_the_ranking_and_says_so(session):
    session.say("a man")
    session.searcher.models.mllm = Dead("0")
    before = session.ranking.columns.tolist()
    list(session.ask())
    assert session.failed and "nobody listens" in session.message and not session.working
    assert session.ranking.columns.tolist() == before
    session.judge(before[0], yes=False)
    assert session.ranking.columns.tolist() != before  # a person can go on


def test_what_is_too_long_or_empty_is_refused_and_loses_nothing(session):
    session.say("a man")
    for text in ("", "  ", "x" * (LONGEST + 1)):
        session.say(text)
        assert session.failed and session.dialogue.text == "a man."


def test_a_sentence_is_taken_back_and_all_is_forgotten(session):
    session.say("a man")
    session.say("he has a bag")
    session.take_back("he has a bag")
    assert session.dialogue.text == "a man."
    session.start_over()
    assert session.ranking is None and not session.dialogue.turns


def test_a_find_ends_the_search_until_something_more_is_said(session):
    session.say("a man")
    session.judge(2, yes=True, found=True)
    assert session.dialogue.found == 2
    session.undo()
    assert session.dialogue.found is None


def test_the_record_tells_the_dialogue_and_shows_html_as_text(session):
    session.say("<script>alert(1)</script>")
    list(session.ask())
    session.judge(0, yes=False)
    name, kind, text = record.as_json(session)
    told = json.loads(text)
    assert name.endswith(".json") and kind == "application/json"
    assert told["description"] == "<script>alert(1)</script>."
    assert told["dialogue"][-1] == {
        "by": "person",
        "picture": "0.png",
        "yes": False,
        "found": False,
    }
    assert len(told["ranking"]) == 4
    page = record.as_html(session)[2]
    assert "<script>" not in page and "<b>a note" not in page
    assert page.count("data:image/jpeg;base64,") >= 4


def test_a_find_while_the_mllm_is_being_asked_ends_the_search(session):
    session.say("a man")
    asking = session.ask()
    next(asking)  # the MLLM is about to be asked
    session.judge(2, yes=True, found=True)
    list(asking)
    assert session.dialogue.found == 2 and not session.dialogue.by_mllm
    assert not session.working
