"""Six captions of three images, in a benchmark's folder."""

import pandas as pd
import pytest
from PIL import Image


@pytest.fixture
def captions(tmp_path):
    folder = tmp_path / "RSTPReid" / "imgs"
    folder.mkdir(parents=True)
    rows = []
    for image in range(3):
        path = folder / f"{image:04d}_c1.jpg"
        Image.new("RGB", (4, 8), (60 * image, 0, 0)).save(path)
        rows += [
            ("train", image // 2, image, str(path), 2 * image + k, f"Caption {image} {k}.")
            for k in (0, 1)
        ]
    table = pd.DataFrame(
        rows, columns=["split", "pid", "image_id", "path", "caption_id", "caption"]
    )
    table.attrs["root"] = str(tmp_path / "RSTPReid")
    return table
