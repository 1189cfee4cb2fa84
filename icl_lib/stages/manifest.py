"""The stage of notebook 00: the manifest of a benchmark or of its stand-in."""

import time

import pandas as pd

from icl_lib.data import captions, hold_out, images, read_benchmark
from icl_lib.data.benchmarks import find_annotation
from icl_lib.data.manifest import nonempty
from icl_lib.data.standin import make_standin
from icl_lib.mllm.weights import model_folder
from icl_lib.params import Params
from icl_lib.results import locked, record_seconds
from icl_lib.retrieval.weights import find_weights

_READ: dict[tuple, pd.DataFrame] = {}  # what this process has read, by annotation file


def prerequisites(params: Params) -> None:
    """Checks that the benchmark's files, the CLIP weights and the MLLM are there.

    Raises:
        FileNotFoundError: one page that lists all that is missing, and how to get each.
    """
    missing = []
    for look in (
        lambda: params.data.standin or find_annotation(params.dataset, params.data_root),
        lambda: find_weights(params),
        lambda: params.mllm.backend == "server" or model_folder(params),
    ):
        try:
            look()
        except FileNotFoundError as problem:
            missing.append(str(problem))
    if missing:
        raise FileNotFoundError(
            f"Profile {params.profile!r} on {params.data.title} needs a data set, CLIP weights and "
            f"an MLLM. Missing: {len(missing)} of the three; nothing is downloaded by itself.\n\n"
            + "\n\n".join(f"{i}. {text}" for i, text in enumerate(missing, 1))
        )


def data(params: Params) -> pd.DataFrame:
    """The manifest of the benchmark, or of its stand-in, which is drawn on the first call.

    A benchmark without a val split gets one: data.val_from_train people of train, drawn at random,
    always the same ones. With data.limit_ids = N each split keeps its first N people by id; a val
    split from train then has N people at most, drawn from the first N + N of train.
    """
    given, has_val = params.data, params.data.expected.ids[1] > 0
    wanted = given.ids_val if given.val_from_train is None else given.val_from_train
    held_out = 0 if has_val else wanted or 0
    limits = None
    if given.limit_ids is not None:
        held_out = min(held_out, given.limit_ids)
        limits = dict.fromkeys(("train", "val", "test"), given.limit_ids)
        limits["train"] += held_out
    if given.standin:
        _draw_once(params, has_val)
    else:
        prerequisites(params)
    file = find_annotation(params.dataset, params.data_root)
    now = file.stat()
    key = (file, now.st_mtime_ns, now.st_size, given.strict, str(limits))
    if key not in _READ:  # looking at the head of every picture takes a second or more
        _READ[key] = read_benchmark(
            params.dataset, params.data_root, given.strict, limit_ids=limits
        )
    return hold_out(_READ[key].copy(), held_out)


def queries_and_gallery(params: Params, split: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The captions and the images of a split. Raises ValueError if it has no caption."""
    manifest = nonempty(data(params), split)
    return captions(manifest, split), images(manifest, split)


def _draw_once(params: Params, has_val: bool) -> None:
    """Draws the stand-in, unless it is there already."""
    root, given = params.data_root, params.data
    with locked(root):
        if (root / given.annotation).is_file():
            return
        start = time.monotonic()
        people = {"train": given.ids_train, "val": given.ids_val, "test": given.ids_test}
        if not has_val:  # its val people are drawn as train, and held out when it is read
            people["train"] += people.pop("val")
        make_standin(params.dataset, root, people, images_per_id=given.images_per_id)
        record_seconds(params, "data", time.monotonic() - start)
