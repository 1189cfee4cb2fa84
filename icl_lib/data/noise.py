"""Wrong pairs on purpose: training captions given other people's pictures, and the truth kept beside them.

RDE's experiments on noisy correspondence come with `.npy` files of indices, one entry a training pair in the
order of the annotation file: entry i is the pair whose caption the picture of pair i gets, and i itself
where the pair stays right.
"""

from numbers import Real
from pathlib import Path

import numpy as np
import pandas as pd

from icl_lib.results import atomic_path

SHARES = (0.2, 0.5)  # of wrong pairs, in the paper's field
_ROUNDS = 100  # of mending a draw; by then only the impossible is left


def read_noise(path, pairs: int) -> np.ndarray:
    """The noise index [P] int64 in a `.npy` file, for `pairs` = P training captions.

    Nothing in the file is executed (pickles are refused). Raises FileNotFoundError, and ValueError naming
    the file, for what is no array of P whole numbers that are a permutation of 0 … P − 1.
    """
    path = Path(path)
    if not path.is_file():
        told = f"no noise index at {path}. Give a .npy file, or a share such as 0.2 to draw one."
        raise FileNotFoundError(told)
    try:
        index = np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        told = f"{path} is not readable as a plain .npy array ({error}); objects and pickles are refused"
        raise ValueError(told) from None
    if not isinstance(index, np.ndarray):
        told = f"{path} holds several arrays (.npz); a noise index is one array: save it with numpy.save"
        raise ValueError(told)
    return _valid(index, pairs, str(path))


def draw_noise(pids, share: float, seed: int = 0) -> np.ndarray:
    """A noise index [P] int64 that re-wires `share` of the pairs at random; `pids` [P] are their persons.

    round(share · P) pairs (never just one) exchange captions so that, wherever the persons allow it, none
    keeps a caption of its own person. The same arguments draw the same index. Raises ValueError for a share
    outside [0, 1].
    """
    pids = np.asarray(pids)
    if not isinstance(share, Real) or isinstance(share, bool) or not 0 <= share <= 1:
        told = (
            f"the share of wrong pairs is {share!r}; it should be a number from 0 to 1, such as 0.2"
        )
        raise ValueError(told)
    rng = np.random.default_rng((seed, round(1e6 * share)))
    index = np.arange(len(pids))
    count = round(share * len(pids))
    if count < 2:
        return index
    chosen = np.sort(rng.choice(len(pids), count, replace=False))
    given = rng.permutation(chosen)
    for _ in range(_ROUNDS):  # a caption that came back to its own person goes on to a random place
        same = np.flatnonzero(pids[given] == pids[chosen])
        if not len(same):
            break
        for i in same:
            j = rng.integers(count)
            # Both places must be the better for it, or a mended one would break another.
            if pids[given[j]] != pids[chosen[i]] and pids[given[i]] != pids[chosen[j]]:
                given[i], given[j] = given[j], given[i]
    index[chosen] = given
    return index


def write_noise(path, index) -> Path:
    """Writes a noise index as `.npy`, whole or not at all."""
    index = np.asarray(index)
    with atomic_path(path) as temp, open(temp, "wb") as file:
        np.save(file, _valid(index, len(index), "the index"))
    return Path(path)


def apply_noise(
    manifest: pd.DataFrame, index_or_share, seed: int = 0
) -> tuple[pd.DataFrame, np.ndarray]:
    """The manifest with training pairs re-wired, and `is_clean` [P] bool, one entry a row of its train
    split, in order.

    index_or_share: a share in [0, 1], drawn with `seed` (`draw_noise`); a `.npy` file; or an index [P].
    Every caption stays where it is, with its caption_id; its pid, image_id and path become those of the
    picture it is given, so that a wrong pair is believed by identity too, as in RDE. A pair is clean if its
    caption is still with the picture that it was written for. Other splits, columns and the order of rows
    stay as they are. Raises ValueError as the readers do.
    """
    train = np.flatnonzero(
        ((manifest["split"] == "train") & (manifest["caption_id"] >= 0)).to_numpy()
    )
    rows = manifest.iloc[train]
    if not len(rows):
        raise ValueError("the train split has no captions: there is no pair to re-wire")
    if isinstance(index_or_share, (str, Path)):
        index = read_noise(index_or_share, len(rows))
    elif isinstance(index_or_share, Real):
        index = draw_noise(rows["pid"].to_numpy(), index_or_share, seed)
    else:
        index = _valid(np.asarray(index_or_share), len(rows), "the noise index")
    picture = np.empty_like(index)
    picture[index] = np.arange(len(index))  # the picture of pair i gets caption index[i]
    noisy = manifest.copy()
    for column in ("pid", "image_id", "path"):
        values = manifest[column].to_numpy(copy=True)
        values[train] = rows[column].to_numpy()[picture]
        noisy[column] = values
    images = rows["image_id"].to_numpy()
    is_clean = images[picture] == images
    noisy.attrs = {**manifest.attrs, "noise": {"pairs": len(rows), "wrong": int((~is_clean).sum())}}
    return noisy, is_clean


def _valid(index: np.ndarray, pairs: int, where: str) -> np.ndarray:
    if index.ndim != 1 or not np.issubdtype(index.dtype, np.integer):
        raise ValueError(
            f"{where} should be a list of whole numbers but is {index.dtype} of shape {index.shape}"
        )
    if len(index) != pairs:
        raise ValueError(
            f"{where} has {len(index):,} entries but the train split has {pairs:,} captions: is it of "
            "another benchmark, or were records skipped in reading (see `icl data check`)?"
        )
    outside = np.flatnonzero((index < 0) | (index >= pairs))
    if len(outside):
        raise ValueError(
            f"{where}: entry {outside[0]} is {index[outside[0]]}, outside 0 … {pairs - 1} ({len(outside)} "
            "such entries); entries count from 0"
        )
    if len(np.unique(index)) != pairs:
        twice = int(np.argmax(np.bincount(index.astype(np.int64)) > 1))
        raise ValueError(
            f"{where} names pair {twice} more than once: it should be a permutation, each caption used once"
        )
    return index.astype(np.int64)
