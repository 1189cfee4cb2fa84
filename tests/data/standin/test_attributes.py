"""Identities: families of near-twins."""

import numpy as np

from icl_lib.data.standin.attributes import IDENTITY_ATTRIBUTES, draw_identities


def test_families_share_most_attributes():
    people = draw_identities(16, 1)
    same = [[sum(a[n] == b[n] for n in IDENTITY_ATTRIBUTES) for b in people] for a in people]
    nearest = [sorted(row)[-2] for row in same]
    assert np.mean(nearest) > 0.5 * len(IDENTITY_ATTRIBUTES)
