"""M behind an OpenAI-compatible server: vLLM, SGLang, `transformers serve`, or the like."""

import base64
import io
import math
import re
import warnings
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from PIL import Image

from icl_lib.data.pictures import Picture, open_picture, picture_id
from icl_lib.mllm.base import MLLM, check_pairs
from icl_lib.mllm.endpoint import Endpoint, Refused, Unusable
from icl_lib.mllm.prompts import Prompts
from icl_lib.params.schema import Server

TOP = 20  # likeliest first tokens asked for: the most that OpenAI's API, and vLLM by default, gives
WORD_TOKENS = 8  # enough to read Yes or No from, behind a stray mark or line break
SAME = 1e-4  # log-probabilities that differ by less are those of one model
# Text that some tokenizer reads as a control token: <|im_end|>, <image>, </s>, [INST].
_CONTROL = re.compile(r"<(?=[|\uff5c/]?\w[\w|\uff5c▁]*>)|\[(?=/?[A-Z_]+\])")
# A model that was not taught to stop may go on, "YesYes": its first word is the answer. "Yesterday"
# and "Nobody" do not count as answers.
_WORD = re.compile(r"^\W*(yes|no)(?=yes|no\b|no(?:yes|no)|\b)", re.IGNORECASE)


class ServerMLLM(MLLM):
    """A model on a server, where the model with its adapter has its own name, `asker`.

    Pictures go as PNG in data URLs: that is lossless, so the server sees the very pixels that a
    local model would, while a file's own bytes may carry a rotation that servers apply and the kit
    does not. The server's processor may still round their sides.

    Args:
        url: the server's address, which ends in /v1.
        prompts: the templates that it is asked with.
        settings: the section `server` of the params.
        model: the name of the model there, which writes.
        name: identity of what answers `p_yes`.
        writer_name: identity of what answers `write`.
        asker: the name of the model with its adapter there, which answers `p_yes`; None: `model`.
        max_pixels: area that pictures are shrunk to before they are sent; None: as they are.
        max_new_tokens: the longest written answer, in tokens.
    """

    def __init__(
        self,
        url: str,
        prompts: Prompts,
        settings: Server,
        model: str,
        *,
        name: str,
        writer_name: str,
        asker: str | None = None,
        max_pixels: int | None = None,
        max_new_tokens: int = 512,
    ):
        super().__init__(
            name=name,
            writer_name=writer_name,
            prompts=prompts,
            # Memory commits by batches: two rounds of requests lose little.
            batch_size=2 * settings.concurrency,
            max_new_tokens=max_new_tokens,
        )
        self.endpoint = Endpoint(url, settings)
        self.max_pixels = max_pixels
        self.model = model
        self.asker = asker or model
        self._logprobs = settings.logprobs
        self._given = False  # whether the server has given log-probabilities
        self._checked: set[str] = set()  # models that were seen to look at pictures
        self._compared = self.asker == model

    def p_yes(self, images: Sequence[Picture], texts: Sequence[str]) -> np.ndarray:
        """P(Yes) [N] of Eq. 2 from the log-probabilities of the answer's first token.

        As in `LocalMLLM`, both spellings of each word count ("Yes", " Yes"), and P(Yes) and P(No)
        are renormalised over the two; a word that is not among the 20 likeliest tokens counts as 0.
        Where the server gives no log-probabilities, the word is read: Yes is 1, No is 0. An answer
        that is neither is 0.5, evidence for neither side. `parse_report` counts "Yes/No asked",
        "Yes/No read from the word" and "Yes/No unread".

        With an adapter, a first question goes to both names. If log-probabilities show that the
        bare model answers exactly alike, the server ignores the adapter, and a warning says so.
        """
        check_pairs(images, texts)
        prompts = [self.prompts.ask_match(text) for text in texts]
        if prompts and not self._compared:
            self._compared = True
            self._compare_with_bare_model(prompts[:1], images[:1])
        answers = self._judge(self.asker, prompts, images)
        read = [_p_yes(answer, self._logprobs) for answer in answers]
        ways = [way for _, way in read]
        self._given = self._given or "logprobs" in ways
        if read and self._logprobs and not self._given:
            self._without_logprobs("its answers came without them")
        if "unread" in ways and not self.parse_report["Yes/No unread"]:
            answer = answers[ways.index("unread")]["message"]["content"]
            warnings.warn(
                f"{self.asker!r} answered neither Yes nor No ({answer[:80]!r}); such answers count "
                "as "
                "0.5.",
                stacklevel=2,
            )
        self.parse_report["Yes/No asked"] += len(read)
        self.parse_report["Yes/No read from the word"] += ways.count("word")
        self.parse_report["Yes/No unread"] += ways.count("unread")
        return np.array([p for p, _ in read], np.float32)

    def write(self, prompts: Sequence[str], images: Sequence[Picture] | None = None) -> list[str]:
        """Greedy answers [N] of `model`, at most `max_new_tokens` long."""
        if images is not None:
            check_pairs(images, prompts)
        answers = self._ask(self.model, prompts, images, {"max_tokens": self.max_new_tokens})
        return [answer["message"]["content"].strip() for answer in answers]

    def _judge(self, model: str, prompts: list[str], images: Sequence[Picture]) -> list[dict]:
        """Answers to Yes/No questions, with log-probabilities unless the server refuses those."""
        if self._logprobs:
            length = 1 if self._given else WORD_TOKENS  # the word may have to be read
            options = {"max_tokens": length, "logprobs": True, "top_logprobs": TOP}
            try:
                return self._ask(model, prompts, images, options)
            except Refused as problem:
                if "logprob" not in str(problem).lower():
                    raise
                self._without_logprobs(str(problem))
        return self._ask(model, prompts, images, {"max_tokens": WORD_TOKENS})

    def _without_logprobs(self, why: str) -> None:
        self._logprobs = False
        warnings.warn(
            f"{self.endpoint.url} gives no log-probabilities ({why}): P(Yes) is read from the "
            "word, 1 or 0. Set server.logprobs to false to say so beforehand; such answers are "
            "then kept apart from those of a server that gives them.",
            stacklevel=3,
        )

    def _compare_with_bare_model(self, prompts: list[str], images: Sequence[Picture]) -> None:
        """Warns if `model` answers exactly as `asker` does: the adapter has no effect."""
        adapted, bare = (
            _likely(self._judge(name, prompts, images)[0]) for name in (self.asker, self.model)
        )
        same = adapted.keys() == bare.keys() and all(
            abs(bare[token] - value) < SAME for token, value in adapted.items()
        )
        if adapted and same:
            warnings.warn(
                f"{self.asker!r} (server.served_adapter) answers a first question exactly as the "
                f"bare model {self.model!r} does: the server probably ignores the adapter. Check "
                "it with icl_lib.mllm.adapter.load_adapter, which names the tensors that find no "
                "place, or serve "
                "the model with the adapter merged into it (icl_lib.mllm.adapter.save_merged).",
                stacklevel=3,
            )

    def _ask(self, model: str, prompts: Sequence[str], images, options: dict) -> list[dict]:
        """The first choice of each answer."""
        pictures = {picture_id(image): image for image in images or ()}
        encoded = lru_cache(64)(lambda key: data_url(pictures[key], self.max_pixels))

        def body(row: int, picture: bool = images is not None) -> dict:
            content = _CONTROL.sub(r"\g<0> ", prompts[row])  # a text is data, as in `Chat.render`
            if picture:
                image = {
                    "type": "image_url",
                    "image_url": {"url": encoded(picture_id(images[row]))},
                }
                content = [image, {"type": "text", "text": content}]
            messages = [{"role": "user", "content": content}]
            return {"model": model, "messages": messages, "temperature": 0, **options}

        if pictures and model not in self._checked:
            self._check_sight([{**body(0, picture), "max_tokens": 1} for picture in (True, False)])
        return self.endpoint.ask_all(len(prompts), body, lambda answer: self._choice(answer, model))

    def _check_sight(self, bodies: list[dict]) -> None:
        """Refuses a server that silently ignores pictures: they should make the prompt longer."""
        model = bodies[0]["model"]

        def tokens(answer: dict) -> int | None:
            self._choice(answer, model)
            usage = answer.get("usage")
            return usage.get("prompt_tokens") if isinstance(usage, dict) else None

        seeing, blind = self.endpoint.ask_all(2, bodies.__getitem__, tokens)
        if seeing is not None and seeing == blind:
            raise ValueError(
                f"{self.endpoint.url} takes pictures for {model!r} but leaves them out: a prompt "
                f"is {seeing} tokens long with and without one. Serve a vision-language model."
            )
        self._checked.add(model)

    def _choice(self, answer: dict, model: str) -> dict:
        """The first choice of an answer.

        Raises:
            Refused: another model gave the answer.
            Unusable: the answer holds no text.
        """
        said = answer.get("model")
        # `transformers serve` adds a revision (@main), OpenAI a date.
        if isinstance(said, str) and said and not said.startswith(model):
            raise Refused(
                f"{self.endpoint.url} was asked for {model!r}, and {said!r} answered. Set "
                "server.served_model (or server.served_adapter) to the model that it serves, or "
                "serve the one you mean."
            )
        try:
            choice = answer["choices"][0]
            if isinstance(choice["message"]["content"], str):
                return choice
        except (KeyError, IndexError, TypeError):
            pass
        raise Unusable(f"an answer without text ({str(answer)[:200]})")


def data_url(picture: Picture, max_pixels: int | None) -> str:
    """The picture as a PNG in a data URL, shrunk to at most `max_pixels`, with its shape kept."""
    opened = open_picture(picture)
    if max_pixels is not None and opened.width * opened.height > max_pixels:
        scale = math.sqrt(max_pixels / (opened.width * opened.height))
        # The long side gives way first, so that a strip one pixel wide stays a picture.
        short = max(1, int(min(opened.size) * scale))
        long = min(int(max(opened.size) * scale), max_pixels // short)
        size = (short, long) if opened.width < opened.height else (long, short)
        opened = opened.resize(size, Image.Resampling.BICUBIC)
    file = io.BytesIO()
    opened.save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def _likely(choice: dict) -> dict[str, float]:
    """Log-probabilities of the likeliest first tokens; empty where none can be read."""
    try:
        first = choice["logprobs"]["content"][0]
        return {told["token"]: float(told["logprob"]) for told in (first, *first["top_logprobs"])}
    except (KeyError, IndexError, TypeError, ValueError):
        return {}


def _p_yes(choice: dict, logprobs: bool = True) -> tuple[float, str]:
    """P(Yes) and the way it was read: logprobs, word, or unread."""
    likely = _likely(choice) if logprobs else {}
    # "▁" and "Ġ" are how some tokenizers write the space before a word.
    yes, no = (
        sum(math.exp(min(likely.get(mark + word, -math.inf), 0.0)) for mark in ("", " ", "▁", "Ġ"))
        for word in ("Yes", "No")
    )
    if yes + no > 0:
        return yes / (yes + no), "logprobs"
    word = _WORD.match(choice["message"]["content"])
    if word is None:
        return 0.5, "unread"
    return float(word[1].lower() == "yes"), "word"
