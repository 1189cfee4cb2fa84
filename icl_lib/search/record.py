"""The record of a search, which a person may save: as JSON, and as a page with the dialogue.

A record is made in memory when it is asked for. The page needs no other file: its pictures are part
of it.
"""

import base64
import json
from dataclasses import asdict
from datetime import datetime
from html import escape

import numpy as np

from icl_lib import __version__
from icl_lib.search import view
from icl_lib.search.dialogue import Judged, Sentence, Told, Turn
from icl_lib.search.session import Session
from icl_lib.search.web import SMALL, jpeg

STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
img { height: 9rem; display: block; }
li img { height: 4rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .4rem .6rem; border-top: 1px solid #8886; }
td { overflow-wrap: anywhere; }
"""


def as_json(session: Session) -> tuple[str, str, str]:
    """(file name, media type, text) of the record as JSON."""
    text = json.dumps(contents(session), indent=2, ensure_ascii=False)
    return _name("json"), "application/json", text


def as_html(session: Session) -> tuple[str, str, str]:
    """(file name, media type, text) of the record as a page."""
    told = contents(session)
    facts = [
        f"{told['pictures']:,} pictures of {told['gallery']}",
        f"searched in: {', '.join(told['searched_in'])}" if told["searched_in"] else "",
        f"backbone {told['backbone']}; model that answers: {told['mllm'] or 'none'}",
        ", ".join(f"{name} {value}" for name, value in told["settings"].items()),
        *told["notes"],
        f"found: {told['found']}" if told["found"] else "",
    ]
    intro = "".join(f"<p>{escape(fact)}</p>" for fact in facts if fact)
    turns = "".join(f"<li>{_turn(session, turn)}</li>" for turn in session.dialogue.turns)
    columns = [] if session.ranking is None else session.ranking.columns.tolist()
    rows = zip(columns, told["ranking"], strict=False)
    ranked = "".join(_row(session, column, row) for column, row in rows)
    head = "".join(
        f"<th>{name}</th>"
        for name in ("rank", "picture", "score", "P(Yes)", "you", "against the sentence")
    )
    text = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        '<meta http-equiv="content-security-policy" content="default-src \'none\'; '
        "img-src data:; style-src 'unsafe-inline'\">"
        f"<title>Person search, {escape(told['made'])}</title><style>{STYLE}</style></head><body>"
        f"<h1>Person search, {escape(told['made'])}</h1>{intro}"
        f"<h2>Dialogue</h2><ol>{turns}</ol>"
        f"<h2>Description</h2><p>{escape(told['description'])}</p>"
        f"<h2>The first {len(told['ranking'])} pictures</h2>"
        f"<table><tr>{head}</tr>{ranked}</table></body></html>"
    )
    return _name("html"), "text/html", text


def contents(session: Session) -> dict:
    """The record: where was searched, with what, what was said, and the ranking at the end."""
    searcher = session.searcher
    index, models, found = searcher.index, searcher.models, session.dialogue.found
    return {
        "made": datetime.now().isoformat(" ", "seconds"),
        "by": f"icl search, icl_lib {__version__}",
        "gallery": index.title,
        "pictures": len(index.paths),
        "searched_in": session.groups,
        "backbone": models.backbone_name,
        "mllm": models.mllm and models.mllm.name,
        "notes": models.note,
        "settings": asdict(session.settings),
        "description": session.dialogue.text,
        "dialogue": [_told(session, turn) for turn in session.dialogue.turns],
        "found": None if found is None else index.names[found],
        "ranking": _ranking(session),
    }


def _told(session: Session, turn: Turn) -> dict:
    if isinstance(turn, Sentence):
        return {"by": "person", "sentence": turn.text, "kept": turn.kept}
    if isinstance(turn, Told):
        return {"by": "person", "question": turn.facet.question, "answer": turn.value}
    told = {
        "by": "MLLM" if turn.by_mllm else "person",
        "picture": session.searcher.index.names[turn.picture],
        "yes": turn.yes,
    }
    return told | ({"p_yes": turn.p_yes} if turn.by_mllm else {"found": turn.found})


def _ranking(session: Session) -> list[dict]:
    ranking, text = session.ranking, session.dialogue.text
    if ranking is None:
        return []
    columns = ranking.columns[: session.settings.shown].tolist()
    return [
        {
            "rank": place + 1,
            "picture": session.searcher.index.names[column],
            "score": round(float(ranking.scores[place]), 6),
            "similarity": round(float(ranking.similarity[place]), 6),
            "posterior": round(float(ranking.posterior[place]), 6),
            "p_yes": _number(ranking.p_yes[place]),
            "person": _number(ranking.person[place]),
            "against": session.searcher.contradictions(column, text),
        }
        for place, column in enumerate(columns)
    ]


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _turn(session: Session, turn: Turn) -> str:
    who, said = view.words(turn)
    picture = _picture(session, turn.picture) if isinstance(turn, Judged) else ""
    return f"{picture}<b>{escape(who)}</b> {escape(said)}"


def _row(session: Session, column: int, row: dict) -> str:
    against = "; ".join(f"{name}: {words}" for name, words in row["against"].items())
    cells = [
        str(row["rank"]),
        f"{_picture(session, column)}{escape(row['picture'])}",
        f"{row['score']:.3f}",
        "" if row["p_yes"] is None else f"{row['p_yes']:.2f}",
        "" if row["person"] is None else "yes" if row["person"] else "no",
        escape(against),
    ]
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _picture(session: Session, column: int) -> str:
    """The picture inside the page; its name alone if the file is gone."""
    index = session.searcher.index
    name = escape(index.names[column])
    try:
        content = base64.b64encode(jpeg(index, column, SMALL)).decode()
    except (LookupError, OSError, ValueError):
        return f"{name} "
    return f'<img alt="{name}" src="data:image/jpeg;base64,{content}">'


def _name(kind: str) -> str:
    return f"search-{datetime.now():%Y-%m-%d-%H%M%S}.{kind}"
