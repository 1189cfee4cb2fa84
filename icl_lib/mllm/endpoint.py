"""Speaks to an OpenAI-compatible server: many requests at once, time-outs, retries, errors in plain words."""

from __future__ import annotations

import json
import os
import random
import re
import threading
import time
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, CancelledError, ThreadPoolExecutor, wait
from email.utils import parsedate_to_datetime
from typing import TypeVar

import httpx

from icl_lib.params.schema import Server

AGAIN = {408, 425, 429, 500, 502, 503, 504}  # worth another try; every other refusal is final
LARGEST = 64 * 2**20  # bytes of an answer; a server that sends more has run wild
# How servers word it.
_NO_MODEL = re.compile(
    r"model\b.*(not (exist|found|served|available|loaded)|unknown)|unknown model|pinned"
)
_TOO_LONG = re.compile(r"context length|max_model_len|maximum model length|too (long|large)")
_PICTURE = re.compile(r"\b(image|picture|multi-?modal|vision|modalit)")
Read = TypeVar("Read")


class Refused(ValueError):
    """The server will not do what it was asked, however often; `words` is its own message."""

    def __init__(self, message: str, words: str = ""):
        super().__init__(message)
        self.words = words


class Unusable(Exception):
    """What another try may mend; `after` is for how many seconds the server wants to be left alone."""

    def __init__(self, told: str, after: float = 0.0):
        super().__init__(told)
        self.after = after


def _parsed(content: bytes):
    """What the JSON says; None where it is none, or nested so deep that it only pretends to be."""
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def _seconds(retry_after: str) -> float:
    """Retry-After, which is a number of seconds or a date; 0 where it is neither."""
    try:
        return max(0.0, float(retry_after))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(retry_after).timestamp() - time.time())
    except (ValueError, TypeError):
        return 0.0


class Endpoint:
    """One server's chat completions, asked many at once, within time limits, and again where that may help.

    `url` ends in /v1, as http://127.0.0.1:8000/v1; `settings` are the params' section `server`. Threads, not
    asyncio: they work alike in a script and inside a notebook's running event loop.
    """

    def __init__(self, url: str, settings: Server):
        self.url, self.settings = url.rstrip("/"), settings
        self._key = self._read_key()
        self._reached, self._not_before = False, 0.0
        # A proxy set for the outer world knows no server on this machine.
        here = httpx.URL(self.url).host in ("127.0.0.1", "localhost", "::1")
        self._client = httpx.Client(
            timeout=httpx.Timeout(settings.timeout, connect=settings.connect_timeout),
            # No connection is used twice: servers close them when they like, and a request may be lost in it.
            limits=httpx.Limits(max_connections=settings.concurrency, max_keepalive_connections=0),
            headers={"Authorization": f"Bearer {self._key}"} if self._key else {},
            trust_env=not here,
        )

    def ask_all(
        self, count: int, body: Callable[[int], dict], read: Callable[[dict], Read]
    ) -> list[Read]:
        """`read(answer)` of the requests body(0) … body(count - 1), at most `concurrency` of them under way.

        `read` raises Unusable for an answer that it cannot take. Until the server has once answered,
        requests go one at a time: what is wrong with all of them is told once and at once. Raises
        ConnectionError where no usable answer came, PermissionError for the key, Refused for what the server
        will not do.
        """
        stop, answers = threading.Event(), {}

        def one(number: int) -> None:
            answers[number] = self._ask(body(number), read, stop)

        numbers = iter(range(count))
        while len(answers) < count and not self._reached:
            one(next(numbers))
        pool = ThreadPoolExecutor(self.settings.concurrency, thread_name_prefix="mllm-server")
        try:
            done, _ = wait(
                [pool.submit(one, number) for number in numbers], return_when=FIRST_EXCEPTION
            )
            for future in done:
                future.result()
        finally:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
        return [answers[number] for number in range(count)]

    def models(self) -> list[str]:
        """Names that the server says it serves; empty where it does not tell."""
        try:
            listed = self._client.get(
                f"{self.url}/models", timeout=self.settings.connect_timeout
            ).json()
            return [str(model["id"]) for model in listed["data"]]
        except (httpx.HTTPError, ValueError, KeyError, TypeError):
            return []

    def _ask(self, body: dict, read: Callable[[dict], Read], stop: threading.Event) -> Read:
        settings, told = self.settings, ""
        for attempt in range(settings.retries + 1):
            if attempt:
                # Jitter, or all that were turned away together would come back together.
                pause = settings.backoff * 2 ** (attempt - 1) * random.uniform(0.5, 1)
                self._pause(min(pause, settings.longest_wait), stop)
            self._pause(self._not_before - time.monotonic(), stop)
            try:
                return read(self._post(body))
            except Unusable as problem:
                told = str(problem)
                if problem.after > settings.longest_wait:
                    raise ConnectionError(
                        f"{self.url} asks to be left alone for {problem.after:.0f} s ({told}), longer than "
                        f"server.longest_wait ({settings.longest_wait:g} s). Run again later: what was answered "
                        "is kept."
                    ) from None
                if problem.after:  # for everyone, not for this request alone
                    self._not_before = max(self._not_before, time.monotonic() + problem.after)
        raise ConnectionError(
            f"{self.url} gave no usable answer in {settings.retries + 1} tries; the last time: {told}. What "
            "was answered before is kept: run again once the server is well. If it is overloaded, lower "
            f"server.concurrency ({settings.concurrency}) or raise server.timeout ({settings.timeout:g} s)."
        )

    def _post(self, body: dict) -> dict:
        deadline = time.monotonic() + self.settings.timeout
        try:
            with self._client.stream("POST", f"{self.url}/chat/completions", json=body) as response:
                self._reached = True
                content = bytearray()
                for piece in response.iter_bytes():
                    content += piece
                    # httpx limits each wait for bytes; a server that drips must not hold a request for ever.
                    if time.monotonic() > deadline or len(content) > LARGEST:
                        limits = f"{self.settings.timeout:g} s or {LARGEST} bytes"
                        raise Unusable(f"an answer that did not end within {limits}")
        except (httpx.ConnectError, httpx.ConnectTimeout) as problem:
            if self._reached:
                raise Unusable(f"no connection ({problem})") from None
            model, why = body["model"], str(problem) or type(problem).__name__
            raise ConnectionError(
                f"No server answers at {self.url} ({why}). Check mllm.url, or start one: `vllm serve {model}`, "
                f"or `transformers serve {model}`; both listen on port 8000."
            ) from None
        except httpx.TimeoutException:
            raise Unusable(f"no answer within {self.settings.timeout:g} s") from None
        except httpx.RequestError as problem:
            raise Unusable(
                f"the connection broke ({str(problem) or type(problem).__name__})"
            ) from None
        if response.status_code != 200:
            words = self._words(bytes(content))
            told = f"HTTP {response.status_code}" + (f": {words}" if words else "")
            if response.status_code in AGAIN:
                raise Unusable(told, _seconds(response.headers.get("Retry-After", "")))
            raise self._refusal(response.status_code, told, words, body["model"])
        answer = _parsed(bytes(content))
        if not isinstance(answer, dict):
            raise Unusable(
                f"an answer that is no JSON object ({self._words(bytes(content)) or 'empty'})"
            )
        return answer

    def _refusal(self, status: int, told: str, words: str, model: str) -> Exception:
        low = words.lower()
        if status in (401, 403):
            variable = self.settings.key_variable
            where = (
                f"The key came from the environment variable {variable}."
                if variable
                else "None was sent: name the environment variable that holds it in server.key_variable."
            )
            return PermissionError(f"{self.url} refuses the API key ({told}). {where}")
        if status == 404 or _NO_MODEL.search(low):
            listed = ", ".join(self.models())
            serves = (
                f"It serves: {listed}." if listed else "It lists none; mllm.url should end in /v1."
            )
            return Refused(
                f"{self.url} does not serve {model!r} ({told}). {serves} Set server.served_model (the model) "
                "and server.served_adapter (it with the adapter) to names that it serves, or serve this one.",
                words,
            )
        if status == 413 or _TOO_LONG.search(low):
            return Refused(
                f"A request is too long for {self.url} ({told}). Start the server with room for more tokens "
                "(vLLM: --max-model-len), or lower mllm.max_pixels or mllm.max_new_tokens.",
                words,
            )
        if "logprob" not in low and _PICTURE.search(low):
            return Refused(
                f"{self.url} refuses pictures for {model!r} ({told}). M has to see: serve a vision-language "
                "model, and do not switch pictures off (vLLM: --limit-mm-per-prompt).",
                words,
            )
        return Refused(f"{self.url} refuses the request ({told}).", words)

    def _words(self, content: bytes) -> str:
        """The server's own message, short, on one line and without the key, should it repeat it."""
        content = content[:10_000]
        told = _parsed(content)
        told = told.get("error", told) if isinstance(told, dict) else told
        if isinstance(told, dict):
            told = told.get("message") or told.get("detail") or told
        text = told if isinstance(told, str) else content.decode("utf-8", "replace")
        text = " ".join(text.split())
        text = text.replace(self._key, "…") if self._key else text
        return text if len(text) <= 300 else text[:300] + " …"

    def _read_key(self) -> str:
        variable = self.settings.key_variable
        key = os.environ.get(variable, "").strip() if variable else ""
        if variable and not key:
            raise PermissionError(
                f"server.key_variable names {variable}, which is empty or not set: `export {variable}=…`."
            )
        return key

    @staticmethod
    def _pause(seconds: float, stop: threading.Event) -> None:
        if stop.wait(max(0.0, seconds)):
            raise CancelledError
