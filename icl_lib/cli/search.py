"""Search from the terminal, for `icl search`: what SOURCE means, and answers as a table or JSON."""

import contextlib
import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from icl_lib import load_params, stages
from icl_lib.data import images, read_benchmark
from icl_lib.data.manifest import SPLITS
from icl_lib.params import Params
from icl_lib.params.names import did_you_mean
from icl_lib.params.paths import available
from icl_lib.search.dialogue import Dialogue, Sentence
from icl_lib.search.index import open_index
from icl_lib.search.listing import listed
from icl_lib.search.models import load_models
from icl_lib.search.searcher import Searcher


def source_of(text: str) -> Path | str:
    """A folder, or the short name of a data set.

    A name without a separator that is both a data set's and a folder's is the data set: ./rstp is
    the folder.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: it is neither; the message has the nearest valid name.
    """
    names = available("datasets")
    if text in names:
        return text
    if Path(text).expanduser().is_dir():
        return Path(text).expanduser()
    if os.sep in text:
        raise FileNotFoundError(
            f"No folder {text}. SOURCE is a folder of pictures or one of {', '.join(names)}."
        )
    hint = did_you_mean(text, names) or "."
    raise ValueError(
        f"{text!r} is neither a folder nor a data set{hint} Valid: a folder of pictures, or "
        f"{', '.join(names)}."
    )


def opened(source: Path | str, given: dict[str, Any]) -> Searcher:
    """The search in a folder or in a data set's test split.

    All that is printed on the way goes to stderr.

    Args:
        source: a folder, or the short name of a data set.
        given: settings. `dataset` says whose training is used; by default that of the data set
            searched in, or the usual one for a folder.

    Raises:
        FileNotFoundError: there is no such folder, or no backbone.
        ValueError: there is no picture, or a setting is not valid.
    """
    with contextlib.redirect_stdout(sys.stderr):
        if isinstance(source, Path):
            listed(source)  # refuses a folder without pictures before anything slow begins
            params, pictures, title = load_params(**given), source, ""
        else:
            params = load_params(**{"dataset": source} | given)
            place = load_params(**given | {"dataset": source})
            pictures, title = _test_split(place), place.data.title
        models = load_models(params)
        index = open_index(
            pictures,
            models.backbone,
            models.backbone_name,
            params.cache_dir,
            params.backbone.index,
            params.backbone.index_options,
            title,
        )
    measured = {} if models.theta is None else {"theta": models.theta}
    return Searcher(index, models, **measured)


def answers(searcher: Searcher, text: str, top: int, ask: int) -> pd.DataFrame:
    """The best pictures for a text: rank, score, p_yes (NaN where not asked) and path.

    Args:
        searcher: where to search.
        text: the description of the person.
        top: the number of pictures.
        ask: about how many candidates the MLLM is asked at most.

    Raises:
        ValueError: there is no MLLM to ask.
    """
    dialogue = Dialogue().add(Sentence(text))
    if ask:
        dialogue = searcher.ask(dialogue, ask)
    ranking = searcher.rank(dialogue)
    columns = ranking.columns[:top]
    return pd.DataFrame(
        {
            "rank": np.arange(1, len(columns) + 1),
            "score": np.round(ranking.scores[:top].astype(float), 4),
            "p_yes": np.round(ranking.p_yes[:top].astype(float), 4),
            "path": [searcher.index.paths[column] for column in columns],
        }
    )


def as_table(found: pd.DataFrame) -> str:
    """The answers as a table for people; without the column P(Yes) if the MLLM was not asked."""
    shown = found.rename(columns={"p_yes": "P(Yes)"})
    if shown["P(Yes)"].isna().all():
        shown = shown.drop(columns="P(Yes)")
    paths = shown.pop("path")
    left = shown.to_string(index=False, na_rep="", float_format="{:.4f}".format).splitlines()
    return "\n".join(f"{row}  {path}" for row, path in zip(left, ["path", *paths], strict=True))


def as_json(found: pd.DataFrame) -> str:
    """The answers as a JSON list of objects; p_yes is null where the MLLM was not asked."""
    rows = found.astype(object).where(found.notna(), None).to_dict("records")
    return json.dumps(rows, indent=2, ensure_ascii=False)


def remarks(searcher: Searcher, shown: int = 5) -> list[str]:
    """What a person should know about the search: its size, the models, what was left out."""
    index = searcher.index
    skipped = [f"left out: {message}" for message in index.skipped[:shown]]
    if len(index.skipped) > shown:
        skipped.append(f"  … and {len(index.skipped) - shown} more")
    return [f"{len(index.paths):,} pictures of {index.title}", *searcher.models.note, *skipped]


def _test_split(params: Params) -> pd.DataFrame:
    """The gallery of a data set's test split; it needs the data set's files, but no model."""
    given = params.data
    if given.standin:
        return images(stages.data(params), "test")
    limits = None if given.limit_ids is None else dict.fromkeys(SPLITS, given.limit_ids)
    manifest = read_benchmark(params.dataset, params.data_root, given.strict, limit_ids=limits)
    return images(manifest, "test")
