"""One interaction of THI as a reader can follow it: what was asked and seen, what became of the query."""

import base64
import html
import re
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np

from icl_lib.figures.pictures import fitted
from icl_lib.figures.style import GREEN, GREY, RED, as_jpeg
from icl_lib.results import atomic_write

KEPT = (135, 270)  # pixels at most that a notebook keeps of a candidate: width, height
HIGH, WIDE = 260, 880  # pixels on the page: height of a candidate, width of all of them


def _first(sim, right) -> int | None:
    """Rank (from 1) of the first right image; of equal similarities the lower column comes first."""
    order = np.argsort(-np.asarray(sim), kind="stable")
    return int(np.argmax(right[order])) + 1 if right.any() else None


def _jpeg(path, size) -> bytes:
    content = BytesIO()
    fitted(path, size).save(content, "JPEG", quality=80)
    return content.getvalue()


def _plain(text) -> str:
    """Text that Markdown leaves as it is: one line, special characters escaped."""
    escaped = re.sub(r"([\\`*_{}\[\]()#+!|~$])", r"\\\1", " ".join(str(text).split()))
    return html.escape(escaped, quote=False)


def _safe(text) -> str:
    return html.escape(str(text))


@dataclass(frozen=True, repr=False)
class Dialogue:
    """A query's way through THI; shown as HTML in notebooks, as Markdown in a README. All texts are escaped.

    candidates: [{"path": str, "p_yes": float or NaN (not asked), "right": bool}, …] in rank order.
    anchor: index in candidates or None. answers: what the MLLM said of the anchor, {characteristic:
    answer or None}. before, after: rank (from 1) of the first right image; None if the gallery has none.
    """

    query: str
    candidates: list[dict]
    threshold: float
    anchor: int | None = None
    answers: dict | None = None
    merged: str | None = None
    before: int | None = None
    after: int | None = None
    title: str = ""

    @classmethod
    def of(
        cls,
        q: int,
        queries,
        trace,
        answers,
        refined,
        paths,
        sim,
        final,
        anchor,
        query_pids,
        gallery_pids,
        title="",
    ):
        """The dialogue of query number q, from what `interact`, `refine` and `replay` returned; paths [G]."""
        columns = trace.candidates[q]
        right = np.asarray(gallery_pids) == query_pids[q]
        found = np.flatnonzero(columns == anchor[q])
        candidates = [
            {"path": str(paths[column]), "p_yes": float(p), "right": bool(right[column])}
            for column, p in zip(columns, trace.p_yes[q])
        ]
        has = len(found) > 0
        return cls(
            queries[q],
            candidates,
            trace.threshold,
            int(found[0]) if has else None,
            answers[q] if has else None,
            refined[q] if has else None,
            _first(sim[q], right),
            _first(final[q], right),
            title,
        )

    def __repr__(self) -> str:
        # Without the pictures' paths, which would be committed with every notebook.
        return f"Dialogue({self.query!r}, {len(self.candidates)} candidates, anchor {self.anchor})"

    def _repr_html_(self) -> str:
        cells = "".join(
            self._cell(rank, candidate) for rank, candidate in enumerate(self.candidates)
        )
        parts = [
            f"<b>{_safe(self.title)}</b>" if self.title else "",
            f"<p><b>Query.</b> {_safe(self.query)}</p>",
        ]
        parts.append(f"<table style='border:none'><tr>{cells}</tr></table>")
        if self.answers:
            said = "; ".join(f"<i>{_safe(name)}</i>: {_safe(text)}" for name, text in self._said())
            parts.append(f"<p><b>What the anchor shows.</b> {said}</p>")
        if self.merged is not None:
            parts.append(f"<p><b>Merged query.</b> {_safe(self.merged)}</p>")
        parts.append(f"<p><b>{_safe(self._outcome())}</b></p>")
        return f"<div style='max-width:900px;font-size:90%'>{''.join(parts)}</div>"

    def markdown(self, folder, link: str = "") -> str:
        """The dialogue as Markdown; its pictures go into `folder` and are linked to as `link`/name.jpg."""
        heads, marks, said = [], [], []
        for rank, candidate in enumerate(self.candidates):
            if np.isnan(candidate["p_yes"]):
                break
            name = f"candidate_{rank + 1}.jpg"
            atomic_write(Path(folder) / name, _jpeg(candidate["path"], (128, 320)))
            heads.append(f"![candidate {rank + 1}]({link.rstrip('/') + '/' if link else ''}{name})")
            marks.append(f"{rank + 1}{', **anchor**' if rank == self.anchor else ''}")
            said.append(f"{self._word(candidate)} ({candidate['p_yes']:.2f})")
        table = [f"| {' | '.join(cells)} |" for cells in (marks, ["---"] * len(marks), heads, said)]
        lines = [f"**{_plain(self.title)}**", ""] if self.title else []
        lines += [f"> **Query.** {_plain(self.query)}", "", *(table if marks else []), ""]
        if self.answers:
            told = "; ".join(f"*{_plain(name)}*: {_plain(text)}" for name, text in self._said())
            lines += [f"**What the anchor shows.** {told}", ""]
        if self.merged is not None:
            lines += [f"> **Merged query.** {_plain(self.merged)}", ""]
        return "\n".join([*lines, f"**{_plain(self._outcome())}**", ""])

    def _cell(self, rank: int, candidate: dict) -> str:
        # The page enlarges small pictures: enlarged in the file they would take more bytes and say no more.
        content = as_jpeg(fitted(candidate["path"], KEPT, enlarge=False), quality=70)
        picture = base64.b64encode(content).decode()
        high = min(HIGH, 2 * WIDE // len(self.candidates))
        asked = not np.isnan(candidate["p_yes"])
        says = f"{self._word(candidate)} {candidate['p_yes']:.2f}" if asked else "not asked"
        color, style = (GREEN, "solid") if candidate["right"] else (RED, "dashed")
        name = "<b>anchor</b>" if rank == self.anchor else "&nbsp;"
        return (
            "<td style='text-align:center;vertical-align:top;padding:3px;border:none;background:white'>"
            f"{rank + 1} {'✓' if candidate['right'] else '✗'}<br>"
            f"<img alt='candidate {rank + 1}' style='height:{high}px;width:auto;max-width:none;"
            f"border:3px {style} {color}' "
            f"src='data:image/jpeg;base64,{picture}'><br>"
            f"<span style='color:{'black' if asked else GREY}'>{says}</span><br>{name}</td>"
        )

    def _word(self, candidate: dict) -> str:
        return "Yes" if candidate["p_yes"] > self.threshold else "No"

    def _said(self):
        return [
            (name, text if text is not None else "(not readable)")
            for name, text in self.answers.items()
        ]

    def _outcome(self) -> str:
        if self.before is None:
            return "The gallery has no picture of this person."
        if self.anchor is None:
            return f"No anchor: the first right picture stays at rank {self.before}."
        what = "right" if self.candidates[self.anchor]["right"] else "wrong"
        return f"The anchor is {what}. First right picture: rank {self.before} before, rank {self.after} after."
