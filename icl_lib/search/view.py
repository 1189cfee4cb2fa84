"""What the page shows, as HTML. Everything that people or models wrote is shown as text.

A button has data-act and data-… attributes; `page.js` sends them when it is pressed.
"""

from html import escape

import numpy as np

from icl_lib.search.dialogue import Judged, Sentence, Told, Turn
from icl_lib.search.session import Session

HINT = (
    "Describe the person to begin, for example: a woman in a red coat and blue jeans with a black "
    "backpack."
)
HELP = (
    "<details class='help'><summary>What the buttons mean</summary>"
    "<p><b>It is this one</b> ends the search with this picture. You can still go on.</p>"
    "<p><b>Same person as this</b> asks for more pictures of the same person: pictures that look "
    "alike rise.</p>"
    "<p><b>It is not this one</b> lowers the picture, and those that look alike.</p>"
    "<p><b>P(Yes)</b> is how sure the model is that the description fits the picture. Below it "
    "stands what it sees there against the description.</p></details>"
)


def button(text: str, act: str, about: str = "", kind: str = "", /, **data) -> str:
    """A button; `about` is read out after its text, and data become its data-… attributes."""
    attributes = "".join(f' data-{name}="{escape(str(value))}"' for name, value in data.items())
    label = f' aria-label="{escape(f"{text}: {about}")}"' if about else ""
    return (
        f'<button type="button" class="do {kind}" data-act="{act}"{attributes}{label}>'
        f"{escape(text)}</button>"
    )


def thumbnail(session: Session, column: int, height: int = 200) -> str:
    """A picture, by its number; its path is not part of the page."""
    name = escape(session.searcher.index.names[column])
    return f'<img src="/picture/{column}" alt="{name}" height="{height}" loading="lazy">'


def heading(session: Session) -> str:
    """The page's title: where it searches, and with what."""
    index, models = session.searcher.index, session.searcher.models
    mllm = models.mllm.name if models.mllm else "none"
    return (
        f"<h1>Person search</h1><p class='quiet'>{len(index.paths):,} pictures of "
        f"<b>{escape(index.title)}</b>. Everything stays on this machine, and nothing that you "
        f"type is stored unless you save it. Backbone: {escape(models.backbone_name)}; "
        f"model that answers: {escape(str(mllm))}. The arrow at the right opens the settings.</p>"
    )


def notes(session: Session) -> str:
    """What a person should know about the models and the pictures; stands above the results."""
    lines = [f"<p class='note'>{escape(line)}</p>" for line in session.searcher.models.note]
    if skipped := session.searcher.index.skipped:
        items = "".join(f"<li>{escape(message)}</li>" for message in skipped[:100])
        count = "1 file was" if len(skipped) == 1 else f"{len(skipped):,} files were"
        lines.append(
            f"<details class='note'><summary>{count} left out</summary><ul>{items}</ul></details>"
        )
    return "".join(lines)


def message(session: Session) -> str:
    """What happens, or went wrong, or was found."""
    if session.failed:
        said = f"<p class='failed'>{escape(session.message)}</p>"
    elif session.working:
        said = f"<p class='working'>{escape(session.working)}</p>"
    elif (found := session.dialogue.found) is not None:
        name = escape(session.searcher.index.names[found])
        said = (
            f"<p class='found'>{thumbnail(session, found, 64)} Found: {name}. The search ends "
            "here; say or answer more to go on.</p>"
        )
    else:
        said = f"<p>{escape(session.message)}</p>" if session.message else ""
    return f"<div role='status' aria-live='polite'>{said}</div>"


def question(session: Session) -> str:
    """The open question to the person, with its answers as buttons."""
    asked = session.question
    if asked is None:
        return ""
    answers = [button(value, "tell", asked.facet.question, value=value) for value in asked.options]
    answers.append(button("not sure", "unsure", asked.facet.question))
    text = escape(asked.facet.question)
    return (
        f"<div class='question' role='group' aria-label='Question'><p><b>{text}</b></p>"
        f"<div class='choices'>{''.join(answers)}</div></div>"
    )


def results(session: Session) -> str:
    """The ranked pictures."""
    ranking = session.ranking
    if ranking is None:
        return f"<p class='hint'>{HINT}</p>"
    shown = min(session.settings.shown, len(ranking.columns))
    cards = "".join(_card(session, place) for place in range(shown))
    keep = session.keep
    total = len(session.searcher.index.paths) if keep is None else len(keep)
    return (
        f"<h2>The first {shown} of {total:,} pictures</h2>"
        f"<p class='quiet'>for: {escape(session.dialogue.text)}</p>{HELP}"
        f"<ol class='grid' aria-label='Ranked pictures'>{cards}</ol>"
    )


def _card(session: Session, place: int) -> str:
    ranking = session.ranking
    column, rank = int(ranking.columns[place]), place + 1
    name = session.searcher.index.names[column]
    about, person, p_yes = f"picture {rank}", ranking.person[place], ranking.p_yes[place]
    lines = [f"<p class='rank'><b>{rank}</b> <span>score {ranking.scores[place]:.3f}</span></p>"]
    lines.append(f"<p class='name' title='{escape(name)}'>{escape(name)}</p>")
    if not np.isnan(p_yes):
        answer = "Yes" if p_yes > session.searcher.models.threshold else "No"
        lines.append(f"<p class='model {answer}'>Model: {answer}, P(Yes) {p_yes:.2f}</p>")
    if against := session.searcher.contradictions(column, session.dialogue.text):
        seen = "; ".join(f"{name}: {words}" for name, words in against.items())
        lines.append(f"<p class='against'>Against the sentence: {escape(seen)}</p>")
    if not np.isnan(person):
        lines.append(f"<p class='you'>You: {'yes' if person else 'no'}</p>")
    buttons = [
        button("It is this one", "found", about, "yes", column=column),
        button("It is not this one", "no", about, "no", column=column),
        button("Same person as this", "same", about, column=column),
    ]
    marked = "" if np.isnan(person) else " is-yes" if person else " is-no"
    return (
        f"<li class='card{marked}'><a href='/picture/{column}/large' target='_blank' "
        f"aria-label='Picture {rank}, large'>{thumbnail(session, column)}</a>"
        f"<div class='said'>{''.join(lines)}</div>"
        f"<div class='buttons'>{''.join(buttons)}</div></li>"
    )


def history(session: Session) -> str:
    """The dialogue so far; sentences can be taken back."""
    turns = "".join(
        f"<li>{_turn(session, turn, place)}</li>"
        for place, turn in enumerate(session.dialogue.turns)
    )
    return (
        f"<h2>Dialogue</h2><ol class='history' tabindex='0' aria-label='Dialogue'>{turns}</ol>"
        if turns
        else ""
    )


def _turn(session: Session, turn: Turn, place: int) -> str:
    who, said = words(turn)
    if isinstance(turn, Judged):
        picture = thumbnail(session, turn.picture, 48)
        return f"{picture}<span><b>{who}</b> {escape(said)}</span>"
    line = f"<span><b>{who}</b> {escape(said)}</span>"
    if isinstance(turn, Sentence) and turn.kept and turn.text in session.dialogue.sentences:
        later = session.dialogue.turns[place + 1 :]
        if not any(isinstance(other, Sentence) and other.text == turn.text for other in later):
            line += button("Take back", "back", turn.text, "small", text=turn.text)
    return line


def words(turn: Turn) -> tuple[str, str]:
    """(who says it, what is said) of a turn, in plain English."""
    if isinstance(turn, Sentence):
        return ("You:", turn.text) if turn.kept else ("You took back:", turn.text)
    if isinstance(turn, Told):
        return f"{turn.facet.question}", turn.value or "not sure"
    if turn.by_mllm:
        return "Model:", f"{'Yes' if turn.yes else 'No'}, P(Yes) {turn.p_yes:.2f}"
    if turn.found:
        return "You:", "it is this one"
    return "You:", "same person as this" if turn.yes else "it is not this one"
