"""Hashes of settings, and hints to the nearest valid name."""

import pytest

from icl_lib.params.names import did_you_mean, digest, known, nearest


def test_a_digest_ignores_the_order_of_keys_and_is_the_same_on_every_machine():
    assert digest({"K": 5, "lam": 0.7}) == digest({"lam": 0.7, "K": 5}) == "a0d4b05bfd78"
    assert digest({"K": 5, "lam": 0.8}) != digest({"K": 5, "lam": 0.7})


def test_the_nearest_name_is_found_whatever_its_case():
    assert nearest("04_thy", ["04_thi", "01_rda"]) == "04_thi"
    assert nearest("rstpreid", ["RSTPReid", "CUHK-PEDES"]) == "RSTPReid"
    assert nearest("zzz", ["04_thi", "01_rda"]) is None


def test_a_hint_is_given_only_if_a_name_is_similar():
    assert did_you_mean("rtsp", ["rstp", "cuhk"]) == ": did you mean 'rstp'?"
    assert did_you_mean("zzz", ["rstp", "cuhk"]) == ""


def test_an_unknown_name_is_refused_with_all_valid_names():
    assert known("loss", "tal", ["tal", "sdm"]) == "tal"
    with pytest.raises(ValueError, match=r"unknown loss 'tall': did you mean 'tal'\? Valid: tal, "):
        known("loss", "tall", ["tal", "sdm"])
    with pytest.raises(ValueError, match=r"unknown loss 'zzz'\. Valid: tal, sdm\."):
        known("loss", "zzz", ["tal", "sdm"])
