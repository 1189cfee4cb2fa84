"""Result tables, with the paper's values beside ours."""

from pathlib import Path

import pandas as pd

from icl_lib.params import Params
from icl_lib.results import atomic_write


def table_path(params: Params, name: str) -> Path:
    return params.results_dir / "tables" / f"{name}.csv"


def save_table(table: pd.DataFrame, params: Params, name: str) -> pd.DataFrame:
    """Writes results/<profile>/<dataset>/tables/<name>.csv, stamped row by row; returns `table` to show."""
    stamped = table.reset_index() if table.index.name or table.index.nlevels > 1 else table.copy()
    for place, column in enumerate(("profile", "dataset", "seed")):
        if column not in stamped:
            stamped.insert(min(place, stamped.shape[1]), column, getattr(params, column))
    if params.backbone.select_on == "test":
        stamped["epoch_picked_on"] = "test"
    atomic_write(
        table_path(params, name),
        stamped.to_csv(index=False, float_format="%.6g", lineterminator="\n"),
    )
    return table


def stored_table(params: Params, name: str, index: str | None = None) -> pd.DataFrame | None:
    """What `save_table` wrote, perhaps in a longer run, without its stamp; None (and a line on how to make it) if nothing."""
    path = table_path(params, name)
    if not path.is_file():
        print(f"no {path.name} among the tables yet: the parameters cell says how to make it")
        return None
    table = pd.read_csv(path)
    stamped = [
        column
        for column in ("profile", "dataset", "seed", "epoch_picked_on")
        if column in table and column != index
    ]
    return table.drop(columns=stamped).set_index(index) if index else table.drop(columns=stamped)
