"""Result tables, saved with where they come from."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from icl_lib.params import Params, load_params
from icl_lib.params.load import available
from icl_lib.results import atomic_write

STAMP = ("profile", "dataset", "seed")


def save_table(table: pd.DataFrame, params: Params, name: str) -> pd.DataFrame:
    """Writes a table to results/<profile>/<dataset>/tables/<name>.csv and returns it to be shown.

    Every row is stamped with its profile, data set and seed.
    """
    stamped = table.reset_index() if any(table.index.names) else table.copy()
    for place, column in enumerate(STAMP):
        if column not in stamped:
            stamped.insert(place, column, getattr(params, column))
    if params.backbone.select_on == "test":
        stamped["epoch_picked_on"] = "test"
    text = stamped.to_csv(index=False, float_format="%.6g", lineterminator="\n")
    atomic_write(_path(params, name), text)
    return table


def stored_table(
    params: Params, name: str, index: str | list[str] | None = None
) -> pd.DataFrame | None:
    """A table that `save_table` wrote, perhaps in an earlier run, without its stamp.

    Args:
        params: The run.
        name: The table's name.
        index: The column, or columns, that become the index; they are kept even if they are part
            of the stamp.

    Returns:
        The table, or None (and a printed line) if it has not been made yet.
    """
    path = _path(params, name)
    if not path.is_file():
        print(f"no {path.name} among the tables yet: the parameters cell says how to make it")
        return None
    return _read(path, index)


def _read(path: Path, index: str | list[str] | None) -> pd.DataFrame:
    kept = [index] if isinstance(index, str) else index or []
    stamp = [column for column in (*STAMP, "epoch_picked_on") if column not in kept]
    table = pd.read_csv(path).drop(columns=stamp, errors="ignore")
    return table.set_index(index) if index else table


def stored_tables(settings: Mapping, name: str, index: list[str]) -> pd.DataFrame:
    """The stored tables of all data sets below each other; empty if there is none.

    A printed line names the data sets that have none.

    Args:
        settings: Arguments of `load_params` other than the data set.
        name: The tables' name.
        index: As for `stored_table`; the data set's title, "dataset", becomes the level before.
    """
    found, missing = {}, []
    for dataset in available("datasets"):
        params = load_params(dataset, **settings)
        if (path := _path(params, name)).is_file():
            found[params.data.title] = _read(path, index)
        else:
            missing.append(params.data.title)
    if missing:
        print(f"no {name}.csv yet of {', '.join(missing)}: see how to make it above")
    return pd.concat(found, names=["dataset"]) if found else pd.DataFrame()


def _path(params: Params, name: str) -> Path:
    return params.results_dir / "tables" / f"{name}.csv"
