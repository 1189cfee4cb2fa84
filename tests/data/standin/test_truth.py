"""What a perfect reader of the stand-in reaches."""

from icl_lib.data.standin import oracle, read_truth


def test_the_oracle_is_a_ceiling_below_certainty_and_above_chance(drawn):
    paths = list(read_truth(drawn["rstp"])["pictures"])
    assert 100 / 9 < oracle(drawn["rstp"], paths) <= 100
