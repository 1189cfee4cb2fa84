"""The attention sheet fades the patches that TSE does not keep."""

import numpy as np
import pytest

from icl_lib.figures.attention import attention_sheet


def test_the_patches_not_kept_are_faded(folder):
    attention = np.random.default_rng(0).random((3, 6, 2))
    paths = [folder / f"{number}.png" for number in range(3)]
    figure = attention_sheet(paths, attention, 0.3)
    assert len(figure.axes) == 6
    picture, faded = (figure.axes[place].images[0].get_array() for place in (0, 3))
    assert (picture == faded).all(-1).mean() == pytest.approx(3 / 12, abs=0.02)
