"""A search in which the reader is the witness: questions with buttons in a notebook."""

import base64
import html

import numpy as np

from icl_lib.analysis.witness import Game
from icl_lib.figures.pictures import fitted
from icl_lib.figures.style import GREEN, GREY, RED, as_jpeg
from icl_lib.results import watched
from icl_lib.thi.cards import FACETS, VALUES
from icl_lib.thi.telling import Question

KEPT = (80, 160)  # pixels at most that a notebook keeps of a picture: width, height
SHOWN = 6  # pictures of the ranking
HIGH = 190  # pixels of a picture on the page


class ByHand:
    """The dialogue about one query, for a reader who has seen the query's picture.

    In an open notebook it has buttons: an answer, "not sure", or back. Elsewhere, and where the
    notebook is read without a kernel, it shows its present state.

    Attributes:
        turns: the answers so far: (place in FACETS, code of the answer, −1 for "not sure").
    """

    def __init__(self, game: Game, run, q: int):
        """Starts with query number `q`.

        Args:
            game: the game of all queries.
            run: the `icl_lib.thi.interaction.Interaction` that it is about.
            q: the query's number.
        """
        self.game, self.turns = game.of([q]), []
        self.paths = [str(path) for path in run.gallery["path"]]
        self.seen, self.caption = str(run.queries["path"].iloc[q]), run.queries["caption"].iloc[q]
        self.columns = self.game.hypotheses()
        self.said = self.game.cards[self.columns]

    @property
    def added(self) -> np.ndarray:
        """Log P(answers | v) [1, M] of all answers so far."""
        total = np.zeros(self.columns.shape)
        for facet, value in self.turns:
            total += self.game.belief.support(self.said, [facet], [value])
        return total

    @property
    def question(self) -> Question | None:
        """The most telling question now, or None if none is worth asking."""
        asked = {facet for facet, _ in self.turns} | set(np.flatnonzero(~self.game.open[0]))
        log_p = self.game.log_p(self.columns, self.added)[0]
        closed = {FACETS[facet] for facet in asked}
        return self.game.belief.most_telling(log_p, self.said[0], closed)

    def answer(self, value: str | None) -> None:
        """Answers the present question; None is "not sure".

        Raises:
            ValueError: there is no question, or the value does not answer it.
        """
        question = self.question
        if question is None:
            raise ValueError("no question is open: no answer is worth its time any more")
        facet = FACETS.index(question.facet)
        if value is not None and value not in VALUES[facet]:
            raise ValueError(f"{value!r} is none of {', '.join(VALUES[facet])}")
        self.turns.append((facet, -1 if value is None else VALUES[facet].index(value)))

    def undo(self) -> None:
        """Takes the last answer back."""
        del self.turns[-1:]

    def _repr_html_(self) -> str:
        final = self.game.ranked(self.columns, self.added)[0]
        posterior = np.zeros(len(final))
        posterior[self.columns[0]] = np.exp(self.game.log_p(self.columns, self.added)[0])
        right = self.game.gallery_pids == self.game.query_pids[0]
        order = np.argsort(-final, kind="stable")
        cells = [_cell(self.seen, "you saw", "this person", GREY)]
        for place, column in enumerate(order[:SHOWN], 1):
            sign, color = ("✓", GREEN) if right[column] else ("✗", RED)
            label = f"P = {posterior[column]:.2f}"
            cells.append(_cell(self.paths[column], f"{place} {sign}", label, color))
        first = 1 + int(right[order].argmax()) if right.any() else 0
        turns = [
            f"<i>{html.escape(FACETS[facet].question)}</i> "
            + (html.escape(VALUES[facet][value]) if value >= 0 else "not sure")
            for facet, value in self.turns
        ]
        question = self.question
        asked = "No further question is worth its time."
        if question is not None:
            offered = ", ".join(html.escape(value) for value in (*question.options, "not sure"))
            asked = f"<b>{html.escape(question.facet.question)}</b> {offered}"
            asked += f"<br><small>expected to tell {question.gain:.2f} nats</small>"
        lines = "".join(f"<p>{line}</p>" for line in [*turns, asked])
        return (
            f"<div style='max-width:900px;font-size:90%'><p><b>Query.</b> "
            f"{html.escape(self.caption)}</p><table style='border:none'><tr>{''.join(cells)}</tr>"
            f"</table><p>First right picture: rank {first}.</p>{lines}</div>"
        )

    def _ipython_display_(self) -> None:
        from IPython.display import HTML, display

        display(self.buttons() if watched() else HTML(self._repr_html_()))

    def buttons(self):
        """The dialogue as an ipywidgets box that is redrawn after each click."""
        import ipywidgets

        page, row = ipywidgets.HTML(), ipywidgets.HBox()
        row.layout.flex_flow = "row wrap"

        def button(text: str, act, enabled: bool = True):
            made = ipywidgets.Button(description=text, disabled=not enabled)

            def click(_) -> None:
                act()
                draw()

            made.on_click(click)
            return made

        def draw() -> None:
            page.value = self._repr_html_()
            question = self.question
            options = question.options if question else ()
            made = [button(value, lambda value=value: self.answer(value)) for value in options]
            made.append(button("not sure", lambda: self.answer(None), question is not None))
            row.children = [*made, button("back", self.undo, bool(self.turns))]

        draw()
        return ipywidgets.VBox([page, row])


def _cell(path: str, head: str, foot: str, color: str) -> str:
    content = as_jpeg(fitted(path, KEPT, enlarge=False), quality=70)
    picture = base64.b64encode(content).decode()
    return (
        f"<td style='border:none;text-align:center;padding:3px'>{html.escape(head)}<br>"
        f"<img src='data:image/jpeg;base64,{picture}' alt='{html.escape(head)}' "
        f"style='border:3px solid {color};height:{HIGH}px'><br>{html.escape(foot)}</td>"
    )
