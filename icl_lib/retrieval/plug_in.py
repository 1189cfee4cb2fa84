"""Similarities of a split from a model of one's own, or from files that any repository wrote.

THI needs S(q, v), and nothing else of a retrieval model. The gallery's vectors let answers count
for look-alikes too, and an encoder for new texts lets the query be refined (Eq. 5).
"""

import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from icl_lib.retrieval.gallery import fingerprint

SUFFIXES = (".npy", ".pt")
_UNREADABLE = (TypeError, ValueError, LookupError, EOFError, RuntimeError, pickle.UnpicklingError)


@dataclass(frozen=True, eq=False)
class Ranked:
    """What is known of Q captions and G pictures before the MLLM is asked.

    Attributes:
        sim: S(q, v) [Q, G].
        name: a hash of sim, which stands for the model in the names of results.
        vectors: unit vectors of the pictures [G, D]; [G, 0] where they are not known.
        encode_texts: gives unit vectors [N, D] of N new texts; None where only the captions'
            similarities are known, so that a refined query cannot be ranked.
    """

    sim: np.ndarray
    name: str
    vectors: np.ndarray
    encode_texts: Callable[[Sequence[str]], np.ndarray] | None = None


def rank_with(model, texts: Sequence[str], paths: Sequence[str]) -> Ranked:
    """Ranks pictures for texts by a model.

    Args:
        model: has `encode_images(paths)` and `encode_texts(texts)`, which return one unit vector
            for each item, [N, D]; S is their inner product.
        texts: Q captions.
        paths: G pictures.

    Raises:
        ValueError: the vectors are not one finite unit vector for each item, or the widths differ.
    """
    vectors = _unit(model.encode_images(paths), len(paths), "encode_images")
    queries = _unit(model.encode_texts(texts), len(texts), "encode_texts")
    sim = _product(queries, vectors, "encode_texts", "encode_images")
    return Ranked(sim, fingerprint(sim), vectors, model.encode_texts)


def rank_from(folder: Path | str, texts: Sequence[str], paths: Sequence[str]) -> Ranked:
    """Ranks pictures for texts by what another repository computed.

    `folder` holds captions.txt and images.txt, with one caption or picture per line, and, in the
    order of these lines, either similarity.npy [captions, pictures] or text_features.npy and
    image_features.npy (.pt: a tensor). A picture is named by its path or by the end of it. Features
    are scaled to unit length.

    Args:
        folder: the files.
        texts: Q captions, each of them in captions.txt.
        paths: G pictures, each of them in images.txt.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: a file does not fit its list, is not finite, or lacks a caption or a picture.
    """
    folder = Path(folder).expanduser()
    captions, images = (_lines(folder / f"{name}.txt") for name in ("captions", "images"))
    rows = _rows_of_captions(texts, captions, folder)
    columns = _rows_of_pictures(paths, images, folder)
    if found := _found(folder, "similarity"):
        sim = _array(found, (len(captions), len(images)))[np.ix_(rows, columns)]
        return Ranked(sim, f"fixed-{fingerprint(sim)}", np.zeros((len(paths), 0), sim.dtype))
    features = [_found(folder, f"{kind}_features") for kind in ("text", "image")]
    if None in features:
        raise FileNotFoundError(
            f"{folder} holds no similarities: it needs similarity.npy, or text_features.npy and "
            "image_features.npy (.pt works too)"
        )
    queries = _scaled(_array(features[0], (len(captions), None)), features[0])[rows]
    vectors = _scaled(_array(features[1], (len(images), None)), features[1])[columns]
    sim = _product(queries, vectors, features[0].name, features[1].name)
    return Ranked(sim, f"fixed-{fingerprint(sim)}", vectors)


def ranked(source, texts: Sequence[str], paths: Sequence[str]) -> Ranked:
    """`rank_from` if `source` is a folder's path, else `rank_with`."""
    return (rank_from if isinstance(source, str | Path) else rank_with)(source, texts, paths)


def _unit(vectors, count: int, what: str) -> np.ndarray:
    """The vectors, checked: `count` finite unit vectors."""
    vectors = np.asarray(vectors)
    if vectors.ndim != 2 or len(vectors) != count:
        raise ValueError(f"{what} must return [{count}, D] vectors, not {vectors.shape}")
    norms = np.linalg.norm(vectors, axis=1)
    wrong = np.flatnonzero(~(np.abs(norms - 1) < 1e-3))  # NaN is wrong as well
    if len(wrong):
        raise ValueError(
            f"{what} must return unit vectors: {len(wrong)} of {count} are not, row {wrong[0]} has "
            f"length {norms[wrong[0]]:.4g}. Divide each row by its length."
        )
    return vectors


def _product(queries: np.ndarray, vectors: np.ndarray, of_texts: str, of_images: str) -> np.ndarray:
    if queries.shape[1] != vectors.shape[1]:
        raise ValueError(
            f"{of_texts} gives {queries.shape[1]} dimensions and {of_images} {vectors.shape[1]}: "
            "S is their inner product, so both need the same"
        )
    return queries @ vectors.T


def _lines(path: Path) -> list[str]:
    if not path.is_file():
        raise FileNotFoundError(f"{path} was looked for: one item per line, in the arrays' order")
    return path.read_text(encoding="utf-8-sig").splitlines()


def _found(folder: Path, name: str) -> Path | None:
    return next((p for s in SUFFIXES if (p := folder / f"{name}{s}").is_file()), None)


def _array(path: Path, shape: tuple[int, int | None]) -> np.ndarray:
    """A finite array of this shape (None: any); no pickled code is run."""
    try:
        if path.suffix == ".npy":
            array = np.load(path, allow_pickle=False)
        else:
            array = torch.load(path, map_location="cpu", weights_only=True)
            if isinstance(array, torch.Tensor):
                array = array.float().numpy()
        array = np.asarray(array, np.float32)
    except _UNREADABLE as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ValueError(
            f"{path} must hold one array of numbers and nothing else, and be whole ({reason})"
        ) from None
    if array.ndim != 2 or len(array) != shape[0] or shape[1] not in (None, array.shape[1]):
        wanted = f"[{shape[0]}, {'D' if shape[1] is None else shape[1]}]"
        raise ValueError(
            f"{path} is {list(array.shape)}, but captions.txt and images.txt make it {wanted}"
        )
    if not np.isfinite(array).all():
        raise ValueError(f"{path} holds values that are not finite")
    return array


def _scaled(vectors: np.ndarray, path: Path) -> np.ndarray:
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not norms.all():
        raise ValueError(f"{path} has a row of zeros, {int(np.argmin(norms))}")
    return vectors / norms


def _rows_of_captions(texts: Sequence[str], listed: list[str], folder: Path) -> list[int]:
    """The row of each text; the space between words does not count."""
    row = {" ".join(text.split()): i for i, text in enumerate(listed)}
    found = [row.get(" ".join(text.split())) for text in texts]
    _all_there(found, texts, folder / "captions.txt", "captions")
    return found


def _rows_of_pictures(paths: Sequence[str], listed: list[str], folder: Path) -> list[int]:
    """The row of each picture, whose path ends with the listed name."""
    row = {Path(name.strip()).parts: i for i, name in enumerate(listed)}
    found = []
    for path in paths:
        parts = Path(path).parts
        ends = (parts[i:] for i in range(len(parts)))
        found.append(next((row[end] for end in ends if end in row), None))
    _all_there(found, paths, folder / "images.txt", "pictures")
    if len(set(found)) < len(found):
        twice = next(row for row in found if found.count(row) > 1)
        raise ValueError(
            f"{folder / 'images.txt'}: {listed[twice]!r} fits several pictures of the split; write "
            "more of each path"
        )
    return found


def _all_there(found: list, wanted: Sequence[str], file: Path, what: str) -> None:
    missing = [item for row, item in zip(found, wanted, strict=True) if row is None]
    if missing:
        raise ValueError(
            f"{file} lacks {len(missing):,} of the split's {len(wanted):,} {what}, the first is "
            f"{missing[0]!r}"
        )
