"""Which facts are stated, and how they are merged."""

from standin_fixtures import person

from icl_lib.data.standin.attributes import PICTURE_ATTRIBUTES, VALUES
from icl_lib.data.standin.facts import merge_facts


def test_merging_keeps_what_was_said_and_adds_no_scene():
    truth, _, _ = person(3)
    said = {
        "sex": truth["sex"],
        "upper_colour": "pink" if truth["upper_colour"] != "pink" else "red",
    }
    facts = merge_facts(said, truth, set(VALUES))
    assert facts["upper_colour"] == said["upper_colour"] and not set(facts) & set(
        PICTURE_ATTRIBUTES
    )
