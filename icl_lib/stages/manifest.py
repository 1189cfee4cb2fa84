"""The stage of notebook 00: the manifest of a benchmark or of its stand-in."""

import time

import pandas as pd

from icl_lib.data import read_benchmark
from icl_lib.data.manifest import hold_out
from icl_lib.data.standin import make_standin
from icl_lib.mllm.weights import model_folder
from icl_lib.params import Params
from icl_lib.results import locked, record_seconds
from icl_lib.retrieval.weights import find_weights


def prerequisites(params: Params) -> None:
    """Raises one FileNotFoundError that lists all that is missing of data and weights, and how to get each."""
    missing = []
    for look in (
        lambda: None if params.data.standin else read_benchmark(params.dataset, params.data_root),
        lambda: find_weights(params),
        lambda: params.mllm.backend == "server" or model_folder(params),
    ):
        try:
            look()
        except FileNotFoundError as problem:
            missing.append(str(problem))
    if missing:
        raise FileNotFoundError(
            f"Profile {params.profile!r} on {params.data.title} lacks {len(missing)} of data, CLIP weights and MLLM; nothing is "
            "downloaded by itself.\n\n"
            + "\n\n".join(f"{i}. {text}" for i, text in enumerate(missing, 1))
        )


def data(params: Params) -> pd.DataFrame:
    """The manifest of the benchmark, or of its stand-in, which is drawn on the first call.

    A benchmark without a val split gets one: data.val_from_train identities held out of train.
    """
    root, has_val = params.data_root, params.data.expected.ids[1] > 0
    if params.data.standin:
        with locked(root):
            if not (root / params.data.annotation).is_file():
                start = time.monotonic()
                sizes = {
                    "train": params.data.ids_train,
                    "val": params.data.ids_val,
                    "test": params.data.ids_test,
                }
                if not has_val:  # drawn as train, from which they are held out below
                    sizes["train"] += sizes.pop("val")
                make_standin(params.dataset, root, sizes, images_per_id=params.data.images_per_id)
                record_seconds(params, "data", time.monotonic() - start)
    else:
        prerequisites(params)
    manifest = read_benchmark(params.dataset, root, strict=params.data.strict)
    wanted = params.data.val_from_train
    return (
        manifest
        if has_val
        else hold_out(manifest, (params.data.ids_val or 0) if wanted is None else wanted)
    )
