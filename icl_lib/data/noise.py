"""Wrong pairs on purpose: training captions that get other people's pictures, and which they are.

RDE's experiments on noisy correspondence come with `.npy` files of indices, one entry per training
pair, in the order of the annotation file. Entry i is the pair whose caption the picture of pair i
gets; it is i itself where the pair stays right.
"""

from numbers import Real
from pathlib import Path

import numpy as np
import pandas as pd

_ROUNDS = 100  # attempts to mend a draw; a pair that is still wrong then cannot be mended


def read_noise(path: str | Path, pairs: int) -> np.ndarray:
    """The noise index [P] int64 in a `.npy` file, for P = `pairs` training captions.

    Nothing in the file is executed: pickled objects are refused.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is not an array of whole numbers that permutes 0 … P − 1.
    """
    try:
        with open(path, "rb") as file:
            index = np.lib.format.read_array(file, allow_pickle=False)
    except FileNotFoundError:
        raise FileNotFoundError(
            f"no noise index at {path}. Give a .npy file, or a share such as 0.2 to draw one."
        ) from None
    except ValueError as error:
        raise ValueError(
            f"{path} is not readable as a plain .npy array ({error}); save one array of whole "
            "numbers with numpy.save: objects and pickles are refused"
        ) from None
    return _valid(index, pairs, str(path))


def draw_noise(pids, share: float, seed: int = 0) -> np.ndarray:
    """A noise index [P] int64 that makes a random `share` of the pairs wrong.

    round(share · P) pairs, but never a single one, exchange captions. None of them keeps a caption
    of its own person, if there are enough persons. The same arguments draw the same index.

    Args:
        pids: The pairs' persons [P].
        share: From 0 to 1.
        seed: Of the draw.

    Raises:
        ValueError: The share is not from 0 to 1.
    """
    pids = np.asarray(pids)
    if not isinstance(share, Real) or isinstance(share, bool) or not 0 <= share <= 1:
        raise ValueError(
            f"the share of wrong pairs is {share!r}; it should be a number from 0 to 1, such as 0.2"
        )
    rng = np.random.default_rng((seed, round(1e6 * share)))
    index = np.arange(len(pids))
    count = round(share * len(pids))
    if count < 2:
        return index
    chosen = np.sort(rng.choice(len(pids), count, replace=False))
    given = rng.permutation(chosen)
    for _ in range(_ROUNDS):
        for i in np.flatnonzero(pids[given] == pids[chosen]):  # a caption of the pair's own person
            j = rng.integers(count)
            # Exchange only if that is right for both pairs, or mending one would break the other.
            if pids[given[j]] != pids[chosen[i]] and pids[given[i]] != pids[chosen[j]]:
                given[i], given[j] = given[j], given[i]
    index[chosen] = given
    return index


def apply_noise(
    manifest: pd.DataFrame, index_or_share, seed: int = 0
) -> tuple[pd.DataFrame, np.ndarray]:
    """The manifest with wrong training pairs, and which of the pairs are right.

    Every caption stays where it is, with its caption_id; its pid, image_id and path become those of
    the picture that it is given. So the identity is wrong too, as in RDE. Other splits, columns and
    the order of the rows stay as they are.

    Args:
        manifest: The manifest.
        index_or_share: A share from 0 to 1, drawn with `seed` (`draw_noise`); a `.npy` file
            (`read_noise`); or an index [P].
        seed: Of the draw.

    Returns:
        The new manifest; and is_clean [P] bool, whether the caption of each training pair is still
        with the picture that it was written for.

    Raises:
        ValueError: There are no training pairs, or the index does not fit them.
    """
    is_pair = (manifest["split"] == "train") & (manifest["caption_id"] >= 0)
    train = np.flatnonzero(is_pair.to_numpy())
    rows = manifest.iloc[train]
    if not len(rows):
        raise ValueError("the train split has no captions: there is no pair to make wrong")
    if isinstance(index_or_share, str | Path):
        index = read_noise(index_or_share, len(rows))
    elif isinstance(index_or_share, Real):
        index = draw_noise(rows["pid"].to_numpy(), index_or_share, seed)
    else:
        index = _valid(np.asarray(index_or_share), len(rows), "the noise index")
    picture = np.argsort(index)  # the picture of pair i gets caption index[i]
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
            f"{where} has {len(index):,} entries but the train split has {pairs:,} captions: is it "
            "of another benchmark, or were records skipped in reading (see `icl data check`)?"
        )
    outside = np.flatnonzero((index < 0) | (index >= pairs))
    if len(outside):
        raise ValueError(
            f"{where}: entry {outside[0]} is {index[outside[0]]}, outside 0 … {pairs - 1} "
            f"({len(outside)} such entries); entries count from 0"
        )
    uses = np.bincount(index.astype(np.int64), minlength=pairs)
    if uses.max(initial=0) > 1:
        raise ValueError(
            f"{where} names pair {uses.argmax()} more than once: it should be a permutation, with "
            "each caption used once"
        )
    return index.astype(np.int64)
