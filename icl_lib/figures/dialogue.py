"""One interaction of THI for a reader to follow: questions, answers and the query's outcome."""

import base64
import html
import re
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np

from icl_lib.analysis.cases import as_asked
from icl_lib.figures.pictures import fitted
from icl_lib.figures.style import GREEN, GREY, RED, as_jpeg
from icl_lib.results import atomic_write
from icl_lib.retrieval.metrics import per_query_metrics

KEPT = (135, 270)  # pixels at most that a notebook keeps of a candidate: width, height
SHOWN = "What the anchor shows."  # heading of the MLLM's answers
HIGH, WIDE = 260, 880  # pixels on the page: height of a candidate, width of all of them


@dataclass(frozen=True, repr=False)
class Dialogue:
    """A query's way through THI, shown as HTML in notebooks and as Markdown in a README.

    All texts are escaped.

    Attributes:
        query: The caption.
        candidates: [{"path": str, "p_yes": float (NaN: not asked about), "right": bool}, …] in rank
            order.
        threshold: A Yes is a P(Yes) above it.
        anchor: The anchor's place in candidates, or None.
        answers: What the MLLM says about the anchor: {characteristic: answer or None}.
        merged: The refined text, or None.
        before: Rank (from 1) of the first right picture before THI; 0 if the gallery has none.
        after: The same after THI.
        title: A heading.
        by_evidence: Whether the answers were used as evidence, so that there is no anchor.
    """

    query: str
    candidates: list[dict]
    threshold: float
    anchor: int | None = None
    answers: dict | None = None
    merged: str | None = None
    before: int = 0
    after: int = 0
    title: str = ""
    by_evidence: bool = False

    def __repr__(self) -> str:
        # Without the pictures' paths, which a committed notebook would give away.
        return f"Dialogue({self.query!r}, {len(self.candidates)} candidates, anchor {self.anchor})"

    def _repr_html_(self) -> str:
        cells = "".join(map(self._cell, range(len(self.candidates))))
        title = f"<b>{html.escape(self.title)}</b>" if self.title else ""
        texts = self._texts("<i>{}</i>: {}", html.escape)
        parts = [f"<p><b>{heading}</b> {text}</p>" for heading, text in texts.items()]
        parts.insert(1, f"<table style='border:none'><tr>{cells}</tr></table>")
        outcome = f"<p><b>{html.escape(self._outcome())}</b></p>"
        return f"<div style='max-width:900px;font-size:90%'>{title}{''.join(parts)}{outcome}</div>"

    def markdown(self, folder, link: str) -> str:
        """The dialogue as Markdown, with pictures saved in `folder` and linked as `link`/name."""
        columns = []
        for number, candidate in enumerate(self.candidates, 1):
            if np.isnan(candidate["p_yes"]):
                continue
            content, name = BytesIO(), f"candidate_{number}.jpg"
            fitted(candidate["path"], (128, 320)).save(content, "JPEG", quality=80)
            atomic_write(Path(folder) / name, content.getvalue())
            mark = f"{number}, **anchor**" if number - 1 == self.anchor else f"{number}"
            answer = f"{self._word(candidate)} ({candidate['p_yes']:.2f})"
            columns.append((mark, "---", f"![candidate {number}]({link}/{name})", answer))
        texts = self._texts("*{}*: {}", _plain)
        parts = [
            f"{'' if heading == SHOWN else '> '}**{heading}** {text}"
            for heading, text in texts.items()
        ]
        table = [f"| {' | '.join(row)} |" for row in zip(*columns, strict=True)]
        parts.insert(1, "\n".join(table))
        title = [f"**{_plain(self.title)}**"] if self.title else []
        return "\n\n".join([*title, *parts, f"**{_plain(self._outcome())}**"]) + "\n"

    def _cell(self, place: int) -> str:
        candidate = self.candidates[place]
        # Small pictures are enlarged by the page: enlarging them in the file would only add bytes.
        content = as_jpeg(fitted(candidate["path"], KEPT, enlarge=False), quality=70)
        picture = base64.b64encode(content).decode()
        high = min(HIGH, 2 * WIDE // len(self.candidates))
        asked = not np.isnan(candidate["p_yes"])
        says = f"{self._word(candidate)} {candidate['p_yes']:.2f}" if asked else "not asked"
        color, style, sign = (GREEN, "solid", "✓") if candidate["right"] else (RED, "dashed", "✗")
        return (
            "<td style='text-align:center;vertical-align:top;padding:3px;border:none;"
            f"background:white'>{place + 1} {sign}<br>"
            f"<img alt='candidate {place + 1}' style='height:{high}px;width:auto;max-width:none;"
            f"border:3px {style} {color}' src='data:image/jpeg;base64,{picture}'><br>"
            f"<span style='color:{'black' if asked else GREY}'>{says}</span><br>"
            f"{'<b>anchor</b>' if place == self.anchor else '&nbsp;'}</td>"
        )

    def _word(self, candidate: dict) -> str:
        return "Yes" if candidate["p_yes"] > self.threshold else "No"

    def _texts(self, form: str, escape) -> dict[str, str]:
        """What is shown before and after the candidates: {heading: escaped text}."""
        texts = {"Query.": escape(self.query)}
        if self.answers:
            read = {name: "(not readable)" if a is None else a for name, a in self.answers.items()}
            answers = [form.format(escape(name), escape(str(a))) for name, a in read.items()]
            texts[SHOWN] = "; ".join(answers)
        if self.merged is not None:
            texts["Merged query."] = escape(self.merged)
        return texts

    def _outcome(self) -> str:
        if not self.before:
            return "The gallery has no picture of this person."
        ranks = f"rank {self.before} before, rank {self.after} after"
        if self.by_evidence:
            return f"Ranked by evidence. First right picture: {ranks}."
        if self.anchor is None:
            return f"No anchor: the first right picture stays at rank {self.before}."
        what = "right" if self.candidates[self.anchor]["right"] else "wrong"
        return f"The anchor is {what}. First right picture: {ranks}."


def dialogue(
    run, q: int, final: np.ndarray, anchor: np.ndarray, K: int, xi: float, title: str = ""
) -> Dialogue:
    """The dialogue of query number `q`: the questions of Algorithm 1 at (K, xi), or of evidence.

    Args:
        run: An `icl_lib.thi.interaction.Interaction`.
        q: The query's number.
        final: Similarities after THI [Q, G].
        anchor: Gallery column of each query's anchor [Q], -1 for none.
        K: Rounds of questions.
        xi: Threshold on the similarity of the first picture.
        title: A heading.
    """
    query_pids, gallery_pids = run.pids
    trace = as_asked(run, K, xi)
    candidates = [
        {
            "path": str(run.gallery["path"].iloc[column]),
            "p_yes": float(p_yes),
            "right": bool(gallery_pids[column] == query_pids[q]),
        }
        for column, p_yes in zip(trace.candidates[q], trace.p_yes[q], strict=True)
    ]
    places = np.flatnonzero(trace.candidates[q] == anchor[q])
    found = {}
    if run.evidence is not None:
        found = {"by_evidence": True}
    elif len(places):
        found = {"anchor": int(places[0]), "answers": run.answers[q], "merged": run.texts[q]}
    before, after = (
        int(per_query_metrics(sim[[q]], query_pids[[q]], gallery_pids)["first"][0])
        for sim in (run.sim, final)
    )
    ranks = {"before": before, "after": after}
    caption = run.queries["caption"].iloc[q]
    return Dialogue(caption, candidates, trace.threshold, **found, **ranks, title=title)


def _plain(text) -> str:
    """Text that Markdown leaves as it is: one line, with special characters escaped."""
    escaped = re.sub(r"([\\`*_{}\[\]()#+!|~$])", r"\\\1", " ".join(str(text).split()))
    return html.escape(escaped, quote=False)
