"""Models and features of other repositories, in the place of a backbone."""

import numpy as np
import pytest
import torch

from icl_lib.retrieval.plug_in import rank_from, rank_with

TEXTS = ["a man in red", "a woman  in blue", "a man in red"]
PATHS = ["/data/imgs/a/1.jpg", "/data/imgs/b/1.jpg"]


class Own:
    """A model with fixed unit vectors."""

    def __init__(self, length=1.0, dims=3):
        self.length, self.dims = length, dims

    def _vectors(self, items, dims=3):
        rows = [np.random.default_rng(len(item)).normal(size=dims) for item in items]
        return np.stack([self.length * row / np.linalg.norm(row) for row in rows])

    def encode_images(self, paths):
        return self._vectors(paths)

    def encode_texts(self, texts):
        return self._vectors(texts, self.dims)


@pytest.fixture
def folder(tmp_path):
    """Features of more captions and pictures than asked for, in an order of their own."""
    (tmp_path / "captions.txt").write_text("nobody\na woman in blue\na man in red\n")
    (tmp_path / "images.txt").write_text("b/1.jpg\nc/1.jpg\na/1.jpg\n")
    rng = np.random.default_rng(0)
    np.save(tmp_path / "text_features.npy", rng.normal(size=(3, 4)))
    torch.save(torch.tensor(rng.normal(size=(3, 4))), tmp_path / "image_features.pt")
    return tmp_path


def test_a_model_of_ones_own_ranks_by_the_inner_product():
    found = rank_with(Own(), TEXTS, PATHS)
    assert found.sim == pytest.approx(Own().encode_texts(TEXTS) @ Own().encode_images(PATHS).T)
    assert found.vectors.shape == (2, 3) and found.encode_texts(["new"]).shape == (1, 3)
    assert found.name == rank_with(Own(), TEXTS, PATHS).name


@pytest.mark.parametrize(
    ("model", "message"),
    [(Own(length=2), "row 0 has length 2"), (Own(length=np.nan), "unit"), (Own(dims=5), "5 dim")],
)
def test_vectors_that_are_not_unit_vectors_of_one_width_are_refused(model, message):
    with pytest.raises(ValueError, match=message):
        rank_with(model, TEXTS, PATHS)


def test_a_model_that_loses_items_is_refused():
    model = Own()
    model.encode_images = lambda paths: np.ones((1, 1))
    with pytest.raises(ValueError, match=r"encode_images must return \[2, D\]"):
        rank_with(model, TEXTS, PATHS)


def test_features_are_found_by_caption_and_by_the_end_of_a_path(folder):
    found = rank_from(folder, TEXTS, PATHS)
    texts = np.load(folder / "text_features.npy")[[2, 1, 2]]
    images = torch.load(folder / "image_features.pt", weights_only=True).numpy()[[2, 0]]
    cosine = texts @ images.T / np.linalg.norm(texts, axis=1)[:, None]
    assert found.sim == pytest.approx(cosine / np.linalg.norm(images, axis=1), abs=1e-6)
    assert np.linalg.norm(found.vectors, axis=1) == pytest.approx(1, abs=1e-6)
    assert found.encode_texts is None


def test_a_similarity_matrix_is_put_into_the_splits_order(folder):
    sim = np.arange(9.0).reshape(3, 3)
    np.save(folder / "similarity.npy", sim)
    found = rank_from(folder, TEXTS, PATHS)
    assert found.sim.tolist() == [[8, 6], [5, 3], [8, 6]]
    assert found.vectors.shape == (2, 0)


def test_what_does_not_fit_is_refused_with_a_reason(folder, tmp_path):
    with pytest.raises(
        ValueError, match=r"captions.txt lacks 1 of the split's 2 captions.*'a dog'"
    ):
        rank_from(folder, ["a man in red", "a dog"], PATHS)
    with pytest.raises(ValueError, match=r"images.txt lacks 1 .*'/d/9.jpg'"):
        rank_from(folder, TEXTS, [*PATHS, "/d/9.jpg"])
    with pytest.raises(FileNotFoundError, match=r"captions\.txt was looked for"):
        rank_from(tmp_path / "nowhere", TEXTS, PATHS)
    np.save(folder / "similarity.npy", np.zeros((3, 2)))
    with pytest.raises(ValueError, match=r"is \[3, 2\].*\[3, 3\]"):
        rank_from(folder, TEXTS, PATHS)
    np.save(folder / "similarity.npy", np.full((3, 3), np.nan))
    with pytest.raises(ValueError, match="not finite"):
        rank_from(folder, TEXTS, PATHS)
    (folder / "similarity.npy").unlink()
    torch.save({"model": torch.zeros(1)}, folder / "text_features.pt")
    (folder / "text_features.npy").unlink()
    with pytest.raises(ValueError, match=r"text_features\.pt must hold one array of numbers"):
        rank_from(folder, TEXTS, PATHS)
    (folder / "text_features.pt").unlink()
    with pytest.raises(FileNotFoundError, match="holds no similarities"):
        rank_from(folder, TEXTS, PATHS)


def test_a_name_that_fits_two_pictures_is_refused(folder):
    (folder / "images.txt").write_text("1.jpg\nc/2.jpg\nc/3.jpg\n")
    with pytest.raises(ValueError, match=r"'1\.jpg' fits several pictures"):
        rank_from(folder, TEXTS, PATHS)


def test_a_row_of_zeros_is_refused(folder):
    np.save(folder / "text_features.npy", np.zeros((3, 4)))
    with pytest.raises(ValueError, match="a row of zeros, 0"):
        rank_from(folder, TEXTS, PATHS)


def test_pickled_code_is_not_run(folder):
    np.save(folder / "text_features.npy", np.array([Own()] * 3), allow_pickle=True)
    with pytest.raises(ValueError, match=r"text_features\.npy must hold .* and be whole .*pickle"):
        rank_from(folder, TEXTS, PATHS)


@pytest.mark.parametrize("name", ["similarity.npy", "similarity.pt"])
def test_half_a_file_is_named(folder, name):
    (folder / name).write_bytes(b"half")
    with pytest.raises(ValueError, match=f"{name} must hold one array"):
        rank_from(folder, TEXTS, PATHS)
