"""The reader as witness: answers, buttons, and what is shown without a kernel."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from icl_lib.analysis.witness import Game
from icl_lib.figures import by_hand
from icl_lib.thi.cards import FACETS, VALUES, Facet
from icl_lib.thi.evidence import Evidence
from icl_lib.thi.telling import Belief

SEX, BAG = FACETS.index(Facet("sex", "sex")), FACETS.index(Facet("bag", "there"))


@pytest.fixture
def searching(tmp_path):
    """A search among four pictures that differ in sex and bag; the person is in the last one."""
    cards = np.full((4, len(FACETS)), -1)
    cards[:, SEX], cards[:, BAG] = [0, 0, 1, 1], [0, 1, 0, 1]
    paths = []
    for number in range(4):
        paths.append(str(tmp_path / f"{number}.png"))
        Image.new("RGB", (20, 50), (60 * number, 90, 20)).save(paths[-1])

    class Run:
        gallery = pd.DataFrame({"path": paths})
        queries = pd.DataFrame({"path": [paths[3]], "caption": ["A <b>person</b>."]})

    sim, open_ = np.array([[0.3, 0.2, 0.1, 0.0]]), np.ones((1, len(FACETS)), bool)
    belief = Belief.of(cards, 0.95)
    game = Game(sim, np.eye(4), Evidence(1.0), cards, belief, open_, np.array([3]), np.arange(4))
    return by_hand.ByHand(game, Run(), 0)


def test_true_answers_lead_to_the_person_and_can_be_taken_back(searching):
    assert "rank 4." in searching._repr_html_()
    for _ in range(2):
        facet = FACETS.index(searching.question.facet)
        searching.answer(VALUES[facet][1])
    assert {facet for facet, _ in searching.turns} == {SEX, BAG}
    assert "rank 1." in searching._repr_html_()
    assert searching.question is None
    with pytest.raises(ValueError, match="no question is open"):
        searching.answer(None)
    searching.undo()
    searching.undo()
    assert "rank 4." in searching._repr_html_()
    searching.undo()
    assert searching.turns == []


def test_a_wrong_word_is_refused_and_not_sure_changes_no_rank(searching):
    with pytest.raises(ValueError, match="'perhaps' is none of"):
        searching.answer("perhaps")
    asked = searching.question.facet
    searching.answer(None)
    assert searching.question.facet != asked
    assert "rank 4." in searching._repr_html_() and "not sure" in searching._repr_html_()


def test_buttons_answer_and_go_back(searching):
    page, row = searching.buttons().children
    assert "&lt;b&gt;person" in page.value
    *options, unsure, back = row.children
    assert unsure.description == "not sure" and back.disabled
    before = page.value
    options[-1].click()
    assert len(searching.turns) == 1 and page.value != before
    row.children[-1].click()
    assert searching.turns == [] and page.value == before


def test_without_a_reader_the_present_state_is_shown(searching, monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", shown.append)
    monkeypatch.setattr(by_hand, "watched", lambda: False)
    searching._ipython_display_()
    assert shown[0].data == searching._repr_html_()
