"""The page of `icl search`, by Gradio: what it consists of, and which button does what."""

import contextlib
import os
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import gradio as gr
import uvicorn
from fastapi import FastAPI

from icl_lib.search import record, view
from icl_lib.search.searcher import RULES, Searcher
from icl_lib.search.session import LONGEST, Session
from icl_lib.search.web import HOST, server_of

HERE = Path(__file__).parent
SYSTEM_FONTS = ["system-ui", "sans-serif"], ["ui-monospace", "monospace"]
# Hands the browser a file that was never on the server's disk.
SAVE = """(name, kind, text) => {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([text], { type: kind }));
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}"""
PLAIN = {"autocomplete": "off", "spellcheck": False}  # a browser would keep what is typed
RULE_NAMES = {
    "evidence": "Every answer counts (evidence)",
    "first yes": "The first Yes (Algorithm 1)",
    "similarity": "Similarity only",
}


def serve(searcher: Searcher, port: int) -> None:
    """Serves the page on 127.0.0.1 until Ctrl+C.

    Raises:
        ValueError: the port is taken.
    """
    with socket.socket() as place:
        place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            place.bind((HOST, port))
        except OSError as error:
            raise ValueError(
                f"port {port} cannot be used ({error.strerror}): give another one with --port"
            ) from None
        print(f"Open http://{HOST}:{place.getsockname()[1]} in a browser. Ctrl+C ends the search.")
        with contextlib.suppress(KeyboardInterrupt):
            server(searcher).run(sockets=[place])


def server(searcher: Searcher) -> uvicorn.Server:
    """The server of the page, which is not running yet."""
    # At Ctrl+C, open pages would fill the terminal with the traces of their cancelled connections.
    config = uvicorn.Config(
        page(searcher), host=HOST, log_level="critical", timeout_graceful_shutdown=1
    )
    return uvicorn.Server(config)


def page(searcher: Searcher) -> FastAPI:
    """The page as an application."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    fonts, mono = SYSTEM_FONTS
    return gr.mount_gradio_app(
        server_of(searcher.index),
        _Page(searcher).blocks,
        path="/",
        server_name=HOST,
        footer_links=[],
        run_history=False,  # Gradio would keep what is typed in the browser
        ssr_mode=False,
        pwa=False,
        mcp_server=False,
        enable_monitoring=False,
        show_error=False,
        max_file_size=0,
        theme=gr.themes.Default(
            primary_hue="blue", neutral_hue="slate", font=fonts, font_mono=mono
        ),
        css=(HERE / "page.css").read_text(encoding="utf-8"),
    )


class _Page:
    """The components, and the functions that their events call."""

    def __init__(self, searcher: Searcher):
        self.first = Session(searcher, threading.Lock())
        self.script = (HERE / "page.js").read_text(encoding="utf-8")
        self.blocks = gr.Blocks(title="Person search", analytics_enabled=False)
        self.blocks.queue(default_concurrency_limit=None, api_open=False)
        with self.blocks:
            self.session = gr.State(self.first)
            self._settings()
            gr.HTML(view.heading(self.first))
            with gr.Row(elem_classes="halves"):
                with gr.Column(scale=1, min_width=300):
                    self._talk()
                with gr.Column(scale=3, min_width=300):
                    self._pictures()
            self._wire()

    def _settings(self) -> None:
        given = self.first.settings
        with gr.Sidebar(label="Settings", position="right", open=False, width=300):
            gr.HTML("<h2>Settings</h2>")
            rules = [(RULE_NAMES[rule], rule) for rule in RULES]
            self.rule = gr.Radio(rules, value=given.rule, label="How the model's answers count")
            self.k = gr.Slider(1, 10, given.k, step=1, label="K: pictures to ask the model about")
            self.shown = gr.Slider(5, 100, given.shown, step=5, label="Pictures shown")
            self.rounds = gr.Slider(1, 10, given.rounds, step=1, label="Questions to you in a row")
            self.person = gr.Slider(
                0.6,
                0.99,
                given.person,
                step=0.01,
                label="How often you are right about a picture",
            )
            gr.HTML(
                "<p class='quiet'>The backbone cannot be changed here: the pictures were encoded "
                "with it. Start <code>icl search</code> with other parameters instead.</p>"
            )

    def _talk(self) -> None:
        """What the person says, and the dialogue so far."""
        self.sentence = gr.Textbox(
            label="A sentence about the person",
            placeholder="a woman in a red coat with a black backpack",
            max_length=LONGEST,
            html_attributes=gr.InputHTMLAttributes(**PLAIN),
        )
        self.search = gr.Button("Search", variant="primary")
        self.question = self._html("question")
        self.look = gr.Button("Ask me a question", interactive=False)
        self.history = self._html("history")
        with gr.Row():
            self.undo = gr.Button("Undo", interactive=False, min_width=90)
            self.restart = gr.Button("Start over", interactive=False, min_width=90)
        with gr.Row():
            self.as_json = gr.Button("Save as JSON", interactive=False, min_width=90)
            self.as_html = gr.Button("Save as a page", interactive=False, min_width=90)
        self.file = [gr.Textbox(visible="hidden") for _ in range(3)]

    def _pictures(self) -> None:
        """The ranking, and the questions to the MLLM."""
        gr.HTML(view.notes(self.first))
        groups = sorted(filter(None, set(self.first.searcher.index.groups)), key=_by_number)
        label = "cameras" if groups and groups[0].startswith("camera ") else "folders"
        with gr.Accordion(f"Search in some {label} only", open=False, visible=len(groups) > 1):
            self.groups = gr.CheckboxGroup(groups, label=f"No {label} chosen means all of them")
        with gr.Row():
            self.ask = gr.Button("Ask the model", interactive=False, min_width=140)
            self.stop = gr.Button("Stop", interactive=False, min_width=90)
        self.message = self._html("message")
        self.results = self._html("results")

    def _html(self, part: str) -> gr.HTML:
        html = getattr(view, part)(self.first)
        return gr.HTML(html, js_on_load=self.script, elem_id=part, apply_default_css=False)

    def _wire(self) -> None:
        self.parts = [self.message, self.question, self.results, self.history]
        self.buttons = [self.ask, self.look, self.stop, self.undo, self.restart]
        self.buttons += [self.as_json, self.as_html]
        self.outputs = [*self.parts, *self.buttons]

        def when(event, function, *inputs, outputs=()):
            event(
                function,
                [self.session, *inputs],
                [*self.outputs, *outputs],
                show_progress="hidden",
                api_visibility="private",
                trigger_mode="multiple",
            )

        when(
            self.blocks.load,
            lambda session: (*self._shown(session), session),
            outputs=[self.session],
        )
        for event in (self.sentence.submit, self.search.click):
            when(event, self._say, self.sentence, outputs=[self.sentence])
        for part in self.parts:
            when(part.act, self._act)
        when(self.ask.click, lambda session: (yield from self._steps(session, session.ask())))
        when(
            self.look.click,
            lambda session: (yield from self._steps(session, session.look_for_question())),
        )
        for button, act in (
            (self.stop, Session.stop),
            (self.undo, Session.undo),
            (self.restart, Session.start_over),
        ):
            when(button.click, self._simply(act))
        when(self.groups.input, self._simply(Session.choose), self.groups)
        settings = [self.rule, self.k, self.shown, self.person, self.rounds]
        for component in settings:
            change = component.input if component is self.rule else component.change
            when(change, self._simply(_set), *settings)
        for button, make in ((self.as_json, record.as_json), (self.as_html, record.as_html)):
            made = button.click(
                make, self.session, self.file, show_progress="hidden", api_visibility="private"
            )
            made.then(None, self.file, js=SAVE)

    def _shown(self, session: Session) -> list:
        """What all outputs show."""
        parts = [getattr(view, part.elem_id)(session) for part in self.parts]
        said, ranked = bool(session.dialogue.turns), session.ranking is not None
        on = [session.can_ask, session.can_describe, bool(session.working), said, said]
        return [*parts, *(gr.update(interactive=is_on) for is_on in [*on, ranked, ranked])]

    def _simply(self, act):
        """An event's function that does one thing and shows what has changed."""

        def function(session: Session, *values):
            act(session, *values)
            return self._shown(session)

        return function

    def _steps(self, session: Session, steps: Iterator[None]) -> Iterator[list]:
        """Shows what has changed after each step of what takes long."""
        for _ in steps:
            yield self._shown(session)
        yield self._shown(session)

    def _say(self, session: Session, text: str) -> tuple:
        session.say(text)
        return (*self._shown(session), text if session.failed else "")

    def _act(self, session: Session, event: gr.EventData) -> Iterator[list]:
        """A button of the page's own HTML."""
        sent = event._data or {}
        act, column = sent.get("act"), str(sent.get("column"))
        if act in ("found", "same", "no") and column.isdecimal():
            session.judge(int(column), act != "no", found=act == "found")
        elif act == "back":
            session.take_back(str(sent.get("text")))
        elif act in ("tell", "unsure"):
            session.tell(str(sent.get("value")) if act == "tell" else None)
            yield self._shown(session)
            yield from self._steps(session, session.look_for_question(first=False))
        yield self._shown(session)


def _set(session: Session, rule: str, k: int, shown: int, person: float, rounds: int) -> None:
    given = replace(
        session.settings, rule=rule, k=int(k), shown=int(shown), person=person, rounds=int(rounds)
    )
    if given != session.settings:
        session.set(given)


def _by_number(group: str) -> tuple:
    """Orders camera 2 before camera 10."""
    name, _, number = group.rpartition(" ")
    return (name, int(number)) if number.isdecimal() else (group, 0)
