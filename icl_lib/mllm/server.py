"""M behind an OpenAI-compatible server: vLLM, SGLang, `transformers serve`, or any that speaks like them."""

from __future__ import annotations

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
# What some tokenizer takes for a control token: <|im_end|>, <image>, </s>, [INST].
_CONTROL = re.compile(r"<(?=[|｜/]?\w[\w|｜▁]*>)|\[(?=/?[A-Z_]+\])")
# A model that was not taught to stop may run on, "YesYes": the first word is its answer. "Yesterday" and "Nobody" are
# none.
_WORD = re.compile(r"^\W*(yes|no)(?=yes|no\b|no(?:yes|no)|\b)", re.IGNORECASE)


def _p_yes(choice: dict) -> tuple[float, str]:
    """P(Yes) and what it was read from: logprobs, word, or unread."""
    try:
        first = choice["logprobs"]["content"][0]
        likely = {told["token"]: float(told["logprob"]) for told in (first, *first["top_logprobs"])}
        # "▁" and "Ġ" are how some tokenizers write the space before a word.
        spellings = ([mark + word for mark in ("", " ", "▁", "Ġ")] for word in ("Yes", "No"))
        yes, no = (
            sum(math.exp(likely[token]) for token in own if token in likely) for own in spellings
        )
        if yes + no > 0:
            return yes / (yes + no), "logprobs"
    except (KeyError, IndexError, TypeError, ValueError, OverflowError):
        pass  # no log-probabilities, or none that can be read
    word = _WORD.match(choice["message"]["content"])
    if word is None:
        return 0.5, "unread"
    return float(word[1].lower() == "yes"), "word"


def data_url(picture: Picture, max_pixels: int | None) -> str:
    """The picture as a PNG in a data URL, shrunk to an area of at most `max_pixels`, its shape kept."""
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


class ServerMLLM(MLLM):
    """`model` writes, and judges unless `asker` is given: on a server an adapter is a model name of its own.

    `asker` answers `p_yes` alone, for the reason told in `LocalMLLM`. Pictures go as PNG in data URLs:
    lossless, so the server sees the very pixels that a local model would, where a file's own bytes may carry
    a rotation that servers apply and the kit does not. They are shrunk to `max_pixels`, if given, before they
    go; the server's own processor may still round their sides.
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
        super().__init__()
        self.name, self.writer_name, self.prompts = name, writer_name, prompts
        # Memory commits by batches: two rounds of requests keep the server busy and lose little.
        self.batch_size, self.max_new_tokens = 2 * settings.concurrency, max_new_tokens
        self.endpoint, self.max_pixels = Endpoint(url, settings), max_pixels
        self.model, self.asker = model, asker or model
        self._logprobs, self._given, self._sees, self._warned = (
            settings.logprobs,
            False,
            set(),
            False,
        )

    def p_yes(self, images: Sequence[Picture], texts: Sequence[str]) -> np.ndarray:
        """P(Yes) [N] of Eq. 2 from the answer's first token's log-probabilities, where the server gives them.

        As in `LocalMLLM`, both spellings of each word ("Yes", " Yes") count, and P(Yes) and P(No) are
        renormalised over the two; a word that is not among the 20 likeliest counts as 0. Where the server
        gives none, the word is read: Yes is 1, No is 0. An answer that is neither is 0.5, no evidence for
        either side, and is counted in `parse_report` ("Yes/No asked", "… read from the word", "… unread").
        """
        check_pairs(images, texts)
        prompts = [self.prompts.ask_match(text) for text in texts]
        try:
            answers = self._ask(self.asker, prompts, images, self._judging())
        except Refused as problem:
            if not self._logprobs or "logprob" not in problem.words.lower():
                raise
            self._without_logprobs(str(problem))
            answers = self._ask(self.asker, prompts, images, self._judging())
        read = [
            _p_yes(choice if self._logprobs else {**choice, "logprobs": None}) for choice in answers
        ]
        self._given = self._given or any(how == "logprobs" for _, how in read)
        if read and self._logprobs and not self._given:
            self._without_logprobs("its answers came without them")
        unread = [
            choice["message"]["content"]
            for choice, (_, how) in zip(answers, read)
            if how == "unread"
        ]
        self.parse_report["Yes/No asked"] += len(read)
        self.parse_report["Yes/No read from the word"] += sum(how == "word" for _, how in read)
        self.parse_report["Yes/No unread"] += len(unread)
        if unread and not self._warned:
            self._warned = True
            told = f"{self.asker!r} answered neither Yes nor No ({unread[0][:80]!r})"
            warnings.warn(f"{told}; such answers count as 0.5.")
        return np.array([p for p, _ in read], np.float32)

    def write(self, prompts: Sequence[str], images: Sequence[Picture] | None = None) -> list[str]:
        """Greedy answers [N] by `model`, up to the end token or `max_new_tokens`."""
        if images is not None:
            check_pairs(images, prompts)
        answers = self._ask(self.model, prompts, images, {"max_tokens": self.max_new_tokens})
        return [choice["message"]["content"].strip() for choice in answers]

    def _judging(self) -> dict:
        if not self._logprobs:
            return {"max_tokens": WORD_TOKENS}
        return {
            "max_tokens": 1 if self._given else WORD_TOKENS,
            "logprobs": True,
            "top_logprobs": TOP,
        }

    def _without_logprobs(self, why: str) -> None:
        self._logprobs = False
        warnings.warn(
            f"{self.endpoint.url} gives no log-probabilities ({why}): P(Yes) is read from the word, 1 or 0. "
            "Set server.logprobs to false to say so beforehand; such answers are then kept apart from those "
            "of a server that gives them."
        )

    def _ask(self, model: str, prompts: Sequence[str], images, options: dict) -> list[dict]:
        """The first choice of each answer."""
        first: dict[str, int] = {}
        shown = () if images is None else images
        places = [first.setdefault(picture_id(image), row) for row, image in enumerate(shown)]
        encoded = lru_cache(64)(lambda row: data_url(images[row], self.max_pixels))

        def body(row: int, picture: bool = images is not None) -> dict:
            content = _CONTROL.sub(r"\g<0> ", prompts[row])  # texts are data, as in `Chat.render`
            if picture:
                image = {"type": "image_url", "image_url": {"url": encoded(places[row])}}
                content = [image, {"type": "text", "text": content}]
            messages = [{"role": "user", "content": content}]
            return {"model": model, "messages": messages, "temperature": 0, **options}

        if places and model not in self._sees:
            self._look(model, [{**body(0, picture), "max_tokens": 1} for picture in (True, False)])
        return self.endpoint.ask_all(len(prompts), body, lambda answer: self._choice(answer, model))

    def _look(self, model: str, bodies: list[dict]) -> None:
        """Refuses a server that leaves pictures out in silence: they would have lengthened the prompt."""

        def tokens(answer: dict) -> int | None:
            self._choice(answer, model)
            usage = answer.get("usage")
            return usage.get("prompt_tokens") if isinstance(usage, dict) else None

        seeing, blind = self.endpoint.ask_all(2, bodies.__getitem__, tokens)
        if seeing is not None and seeing == blind:
            raise ValueError(
                f"{self.endpoint.url} takes pictures for {model!r} but leaves them out: a prompt is {seeing} "
                "tokens long with and without one. M has to see: serve a vision-language model."
            )
        self._sees.add(model)

    def _choice(self, answer: dict, model: str) -> dict:
        """The first choice. Raises Unusable where there is none, Refused if another model gave it."""
        said = answer.get("model")
        # `transformers serve` adds a revision (@main), OpenAI a date.
        if isinstance(said, str) and said and not said.startswith(model):
            raise Refused(
                f"{self.endpoint.url} was asked for {model!r}, and {said!r} answered. Set server.served_model "
                "(or server.served_adapter) to the model that it serves, or serve the one you mean."
            )
        try:
            choice = answer["choices"][0]
            if isinstance(choice["message"]["content"], str):
                return choice
        except (KeyError, IndexError, TypeError):
            pass
        raise Unusable(f"an answer without text ({str(answer)[:200]})")
