"""Finding models, and what a server calls them."""

import re

import pytest
from PIL import Image

from icl_lib import load_params
from icl_lib.mllm.weights import SMALL_MODEL, limit_pixels, load_model, model_folder, served


def test_max_pixels_caps_the_area(tiny_folder, params, pictures):
    _, processor = load_model(params, tiny_folder)
    limit_pixels(processor, 1024)
    grid = processor.image_processor(images=[Image.open(pictures[0])], return_tensors="pt")[
        "image_grid_thw"
    ][0]
    assert int(grid.prod()) * 64 <= 1024


def test_a_model_that_is_nowhere_is_explained(params):
    nowhere = load_params(model="Nobody/No-Such-VL-7B", prompts="full")
    with pytest.raises(FileNotFoundError) as error:
        model_folder(nowhere)
    for part in (
        "Nobody/No-Such-VL-7B",
        "Hugging Face cache",
        "Nothing is downloaded by itself",
        "hf download",
    ):
        assert part in str(error.value)


def test_names_of_models_and_folders(tmp_path, monkeypatch):
    server = {"backend": "server", "url": "http://127.0.0.1:1/v1"}
    model, name = served(load_params(**server))
    assert model == str(SMALL_MODEL) and re.fullmatch(r"qwen2vl@[0-9a-f]{12}", name)
    assert served(load_params(profile="paper", **server))[0] == "Qwen/Qwen2-VL-7B-Instruct"
    assert served(load_params(served_model="a/b", **server)) == ("a/b", "a/b")
    with pytest.raises(ValueError, match=r"trains no adapter.*--lora-modules.*served_adapter"):
        served(load_params(**server), adapter=True)
    assert served(load_params(served_adapter="icl", **server), adapter=True) == ("icl", "icl")
    for url in ({}, {"url": "127.0.0.1:8000"}):
        with pytest.raises(ValueError, match="backend server needs the server's address"):
            load_params(backend="server", **url)
