"""CUHK-PEDES' caption_all.json: what it lacks beside reid_raw.json, and how it is read all the same."""

from icl_lib.data.problems import Problems

CAPTION_ALL = "caption_all.json"
LACKS = (
    "it names no split and has one record a caption. Records of one picture are put together and all is read "
    "as 'test', good for searching and for testing without training; training and the published numbers need "
    "reid_raw.json."
)


def by_picture(
    named: list[tuple[str, object]], path_key: str, problems: Problems
) -> list[tuple[str, object]]:
    """Records of one caption each -> records of one picture each, split "test"; both with where they stand.

    named: ("record 3", record), in the file's order. A caption stands under `captions`, as a text or a list
    of texts, or under `caption`. A record that is no object or names no picture goes on as it is, for the
    reader to name its fault; one whose id differs from that of its picture's first record is counted as
    `wrong_type` and left out.
    """
    pictures: dict[str, tuple[str, dict]] = {}
    rest: list[tuple[str, object]] = []
    for where, record in named:
        path = record.get(path_key) if isinstance(record, dict) else None
        if not isinstance(path, str):
            rest.append((where, record))
            continue
        said = record.get("captions", record.get("caption"))
        texts = said if isinstance(said, list) else [said]
        first, whole = pictures.setdefault(
            path, (where, {"split": "test", path_key: path, "id": record.get("id"), "captions": []})
        )
        if record.get("id") != whole["id"]:
            told = f"{path!r} is person {record.get('id')!r} here and {whole['id']!r} in {first}"
            problems.add("wrong_type", where, told)
        else:
            whole["captions"] += texts
    return [*pictures.values(), *rest]
