"""What several tests of figures need."""

import matplotlib
import pytest
from interactions import run  # noqa: F401
from PIL import Image


@pytest.fixture
def texts():
    """The texts of a figure that are not empty."""

    def read(figure):
        found = [text.get_text() for text in figure.findobj(matplotlib.text.Text)]
        return [text for text in found if text]

    return read


@pytest.fixture
def folder(tmp_path):
    """A folder with twelve pictures: 0.png to 11.png."""
    for number in range(12):
        Image.new("RGB", (20, 50), (20 * number, 90, 200)).save(tmp_path / f"{number}.png")
    return tmp_path
