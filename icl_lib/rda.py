"""Reorganisation data augmentation: enrich -> decompose -> rewrite -> reorganise (the paper's RDA)."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path, PurePosixPath

import pandas as pd

from icl_lib.data.views import reorganise as draw
from icl_lib.mllm.base import MLLM
from icl_lib.mllm.tasks import aggregate, decompose, describe, rewrite
from icl_lib.results import read_json, write_json

__all__ = ["augment", "draw", "read_diversity", "sub_sentences", "without_least", "write_diversity"]

PORTION = 512  # records between two appends; a killed run loses at most these

Parts = list[list[str]]  # sub-sentences x rewritings


def augment(captions: pd.DataFrame, mllm: MLLM, folder: str | Path, m: int) -> dict[int, dict]:
    """RDA of every caption -> {caption_id: {"vqa", "enriched", "sentences", "parts"}}.

    Steps: the picture's answers (T_vqa, once a picture); merged with the caption (T_aggr); cut into
    sub-sentences (T_dec); each DISTINCT sub-sentence rewritten into up to `m` (T_rwt, once over the whole
    set). `vqa` maps characteristic to answer or None, `enriched` is a text, `sentences` [n] are the
    sub-sentences, `parts` [n][<= m] their rewritings.

    Every step's texts stay in `folder` (vqa, enriched, sentences, rewritten .jsonl), appended as they come;
    run again on the same captions, it goes on where it stopped. Raises ValueError if the folder holds other
    captions.
    """
    folder = Path(folder)
    ids, texts = captions["caption_id"].astype(int).tolist(), captions["caption"].tolist()
    pictures = captions.drop_duplicates("image_id").set_index("image_id")["path"].to_dict()
    image_of = dict(zip(ids, captions["image_id"]))

    vqa = _step(
        folder / "vqa.jsonl",
        {int(image): str(path) for image, path in pictures.items()},
        lambda images, paths: describe(mllm, paths),
    )
    enriched = _step(
        folder / "enriched.jsonl",
        dict(zip(ids, texts)),
        lambda some, given: aggregate(mllm, [vqa[int(image_of[i])] for i in some], given),
    )
    sentences = _step(folder / "sentences.jsonl", enriched, lambda some, given: decompose(mllm, given))
    distinct = dict.fromkeys(sentence for own in sentences.values() for sentence in own)
    rewritten = _step(
        folder / f"rewritten-{m}.jsonl",
        {sentence: sentence for sentence in distinct},
        lambda some, given: rewrite(mllm, given, m),
    )
    return {
        i: {
            "vqa": vqa[int(image_of[i])],
            "enriched": enriched[i],
            "sentences": sentences[i],
            "parts": [rewritten[sentence] for sentence in sentences[i]],
        }
        for i in ids
    }


def sub_sentences(
    texts: dict[int, dict], captions: pd.DataFrame, own: Sequence[Sequence[str]]
) -> pd.DataFrame:
    """The distinct pairs of picture and sub-sentence in `augment`'s texts: path, text, captioned.

    own: the captions themselves, not enriched, each cut into sub-sentences (T_dec). `captioned` sub-sentences
    are among those of a caption of the same picture, word for word: a human said them, M did not add them.
    """
    ids, paths = captions["caption_id"].astype(int), captions["path"]
    said = {(path, text) for path, parts in zip(paths, own, strict=True) for text in parts}
    told = dict.fromkeys((path, text) for i, path in zip(ids, paths) for text in texts[i]["sentences"])
    table = pd.DataFrame(list(told), columns=["path", "text"])
    return table.assign(captioned=[pair in said for pair in told])


def without_least(
    texts: dict[int, dict], captions: pd.DataFrame, checked: pd.DataFrame, share: float
) -> dict[int, dict]:
    """`augment`'s texts less the `share` of M's additions that M itself believes least (not in the paper).

    checked: `sub_sentences` of them with p, P(Yes) of each given its picture; see `least_believed`. A caption of
    which nothing would be left keeps its most believed sub-sentence.
    """
    pairs = list(zip(checked["path"], checked["text"]))
    out = {pair for pair, least in zip(pairs, least_believed(checked, share)) if least}
    p, path_of = dict(zip(pairs, checked["p"])), dict(zip(captions["caption_id"].astype(int), captions["path"]))
    return kept(texts, lambda i, text: (path_of[i], text) not in out, lambda i, text: p[path_of[i], text])


def least_believed(checked: pd.DataFrame, share: float) -> pd.Series:
    """Bool, a row of `checked`: among the `share` of lowest p of those that are not captioned."""
    place = checked["p"].where(~checked["captioned"]).rank(method="first", pct=True)  # in (0, 1], NaN if captioned
    return place <= share


def kept(texts: dict[int, dict], fits: Callable[[int, str], bool], belief: Callable[[int, str], float]) -> dict:
    """The texts with those sub-sentences alone that `fits(caption_id, text)`; else the one of most `belief`."""
    left = {}
    for i, row in texts.items():
        chosen = [n for n, text in enumerate(row["sentences"]) if fits(i, text)]
        chosen = chosen or [max(range(len(row["sentences"])), key=lambda n: belief(i, row["sentences"][n]))]
        left[i] = {**row, **{name: [row[name][n] for n in chosen] for name in ("sentences", "parts")}}
    return left


def write_diversity(
    captions: pd.DataFrame,
    parts: dict[int, Parts],
    path: str | Path,
    root: str | Path | None = None,
    path_key: str = "img_path",
) -> None:
    """Writes RDA in the authors' format: the annotation list, each record with `diversity_captions`.

    One record a picture: id, split, `path_key` (relative to `root`/imgs; "img_path" for RSTPReid, "file_path"
    for the others), captions, and per caption a list (sub-sentences) of lists (rewritings). `root` is the
    benchmark's folder, by default the manifest's own.
    """
    root = Path(root or captions.attrs.get("root", "") or os.path.commonpath(captions["path"].tolist()))
    base = root / "imgs" if (root / "imgs").is_dir() else root
    records = []
    for _, rows in captions.groupby("image_id", sort=True):
        first = rows.iloc[0]
        records.append(
            {
                "id": int(first["pid"]),
                "split": first["split"],
                path_key: PurePosixPath(os.path.relpath(first["path"], base)).as_posix(),
                "captions": rows["caption"].tolist(),
                "diversity_captions": [parts.get(int(i), []) for i in rows["caption_id"]],
            }
        )
    write_json(path, records)


def read_diversity(path: str | Path, captions: pd.DataFrame) -> dict[int, Parts]:
    """Reads the authors' format -> {caption_id: parts} for the captions of the manifest that it knows.

    A record is matched by its picture's path and each caption by its text. Raises ValueError that names the
    record whose fields are missing or of the wrong form, and if no record fits the manifest at all.
    """
    records = read_json(path)
    if not isinstance(records, list):
        raise ValueError(f"{path} should be a list of records, as the benchmark's annotation file is.")
    by_name: dict[str, list] = {}
    for row in captions.itertuples():
        by_name.setdefault(PurePosixPath(row.path.replace(os.sep, "/")).name, []).append(row)
    found: dict[int, Parts] = {}
    for number, record in enumerate(records):
        where, own, diverse = _record(record, f"{path}, record {number}")
        fits = [row for row in by_name.get(PurePosixPath(where).name, []) if _ends_with(row.path, where)]
        for caption, parts in zip(own, diverse):
            found.update({int(row.caption_id): parts for row in fits if row.caption == caption and parts})
    if records and not found:
        raise ValueError(
            f"None of the {len(records)} records of {path} fits the {len(captions)} captions given: is "
            "it another benchmark's or split's file?"
        )
    return found


def _record(record, name: str) -> tuple[str, Sequence[str], Sequence[Parts]]:
    where = (record.get("img_path") or record.get("file_path")) if isinstance(record, dict) else None
    if not isinstance(where, str):
        raise ValueError(f"{name} has neither img_path nor file_path.")
    own, diverse = record.get("captions"), record.get("diversity_captions")
    if not isinstance(own, list) or not isinstance(diverse, list) or len(own) != len(diverse):
        raise ValueError(f"{name} ({where}) needs `captions` and, equally long, `diversity_captions`.")
    for parts in diverse:
        if not isinstance(parts, list) or not all(
            isinstance(part, list) and part and all(isinstance(text, str) for text in part) for part in parts
        ):
            raise ValueError(
                f"{name} ({where}): diversity_captions should be, per caption, a list (sub-sentences) of "
                "non-empty lists of texts (rewritings)."
            )
    return where, own, diverse


def _ends_with(path: str, tail: str) -> bool:
    return ("/" + path.replace(os.sep, "/").lstrip("/")).endswith("/" + tail.lstrip("./"))


def _step(file: Path, given: dict, make: Callable[[list, list], Iterable]) -> dict:
    """{key: result} for all keys of `given` {key: input}; appended to `file` by portions."""
    done = _read_lines(file, given)
    todo = [key for key in given if key not in done]
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a", encoding="utf-8") as stream:
        for start in range(0, len(todo), PORTION):
            keys = todo[start : start + PORTION]
            for key, result in zip(keys, make(keys, [given[key] for key in keys])):
                done[key] = result
                line = {"key": key, "given": _told(given[key]), "result": result}
                stream.write(json.dumps(line, ensure_ascii=False) + "\n")
            stream.flush()
            os.fsync(stream.fileno())
    return {key: done[key] for key in given}


def _read_lines(file: Path, given: dict) -> dict:
    """What an earlier run finished; a last line torn by a kill is cut off."""
    if not file.is_file():
        return {}
    content = file.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if len(whole) < len(content):
        os.truncate(file, len(whole))
    done = {}
    for number, line in enumerate(whole.decode().split("\n")[:-1], 1):
        try:
            entry = json.loads(line)
            key, told, result = entry["key"], entry["given"], entry["result"]
        except (ValueError, KeyError, TypeError) as problem:
            raise ValueError(
                f"{file}, line {number} is damaged ({problem}). Remove the line, or the file, and run again."
            ) from problem
        if key in given and _told(given[key]) != told:
            raise ValueError(
                f"{file} was made from other captions (line {number}: {told!r}, now "
                f"{_told(given[key])!r}). Give RDA a folder of its own for each set of captions."
            )
        done[key] = result
    return done


def _told(value) -> str:
    # A data set may be moved between two runs: of a picture's path, only the name must stay.
    return os.path.basename(value) if isinstance(value, str) and os.path.isabs(value) else value
