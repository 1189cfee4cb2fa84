"""Asks an OpenAI-compatible server: many requests at once, time limits, retries."""

import json
import os
import random
import re
import threading
import time
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, CancelledError, ThreadPoolExecutor, wait
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from icl_lib.params.schema import Server

RETRIED = {
    408,
    425,
    429,
    500,
    502,
    503,
    504,
}  # statuses worth another try; every other one is final
LARGEST = 64 * 2**20  # bytes of an answer; a server that sends more is faulty
# How servers phrase these errors.
_NO_MODEL = re.compile(
    r"model\b.*(not (exist|found|served|available|loaded)|unknown)|unknown model|pinned"
)
_TOO_LONG = re.compile(r"context length|max_model_len|maximum model length|too (long|large)")
_PICTURE = re.compile(r"\b(image|picture|multi-?modal|vision|modalit)")


class Refused(ValueError):
    """The server refuses a request for good."""


class Unusable(Exception):
    """An answer that cannot be used; another try may give a better one."""


class Endpoint:
    """The chat completions of one server.

    Threads rather than asyncio: they work alike in a script and in a notebook's running event loop.

    Args:
        url: the server's address, which ends in /v1, such as http://127.0.0.1:8000/v1.
        settings: the section `server` of the params.

    Raises:
        PermissionError: the environment variable that should hold the API key is empty.
    """

    def __init__(self, url: str, settings: Server):
        self.url = url.rstrip("/")
        self.settings = settings
        variable = settings.key_variable
        self._key = os.environ.get(variable, "").strip() if variable else ""
        if variable and not self._key:
            raise PermissionError(
                f"server.key_variable names {variable}, which is empty or not set: `export "
                f"{variable}=…`."
            )
        self._reached = False
        self._not_before = 0.0  # when the server may be asked again
        self._client = httpx.Client(
            timeout=httpx.Timeout(settings.timeout, connect=settings.connect_timeout),
            # No connection is used twice: servers close idle ones, and a request may be lost in it.
            limits=httpx.Limits(max_connections=settings.concurrency, max_keepalive_connections=0),
            headers={"Authorization": f"Bearer {self._key}"} if self._key else {},
            # A proxy that is set for the internet cannot reach a server on this machine.
            trust_env=httpx.URL(self.url).host not in ("127.0.0.1", "localhost", "::1"),
        )

    def ask_all(self, count: int, body: Callable[[int], dict], read: Callable[[dict], Any]) -> list:
        """`read(answer)` of the requests body(0) … body(count - 1), at most `concurrency` at once.

        Until the server has answered once, requests go one at a time, so that a fault that all of
        them share is met only once.

        Args:
            count: number of requests.
            body: makes the JSON of a request.
            read: extracts the result from an answer; raises Unusable for an answer without one.

        Raises:
            ConnectionError: no usable answer came.
            PermissionError: the server refuses the API key.
            Refused: the server refuses the request.
        """
        answers: dict[int, Any] = {}
        stop = threading.Event()

        def ask(number: int) -> None:
            answers[number] = self._ask(body(number), read, stop)

        numbers = iter(range(count))
        while len(answers) < count and not self._reached:
            ask(next(numbers))
        pool = ThreadPoolExecutor(self.settings.concurrency, thread_name_prefix="mllm-server")
        try:
            asked = [pool.submit(ask, number) for number in numbers]
            for future in wait(asked, return_when=FIRST_EXCEPTION).done:
                future.result()
        finally:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
        return [answers[number] for number in range(count)]

    def models(self) -> list[str]:
        """The names that the server says it serves; empty where it does not tell."""
        try:
            answer = self._client.get(f"{self.url}/models", timeout=self.settings.connect_timeout)
            return [str(model["id"]) for model in answer.json()["data"]]
        except (httpx.HTTPError, ValueError, KeyError, TypeError):
            return []

    def _ask(self, body: dict, read: Callable[[dict], Any], stop: threading.Event) -> Any:
        settings = self.settings
        for attempt in range(settings.retries + 1):
            if attempt:
                # A random wait: requests that were refused together must not all return together.
                pause = settings.backoff * 2 ** (attempt - 1) * random.uniform(0.5, 1)
                self._pause(min(pause, settings.longest_wait), stop)
            self._pause(self._not_before - time.monotonic(), stop)
            try:
                return read(self._post(body))
            except Unusable as problem:
                last = problem
        raise ConnectionError(
            f"{self.url} gave no usable answer in {settings.retries + 1} tries; the last time: "
            f"{last}. What was answered before is kept: run again once the server is well. If it "
            f"is overloaded, lower server.concurrency ({settings.concurrency}) or raise "
            f"server.timeout ({settings.timeout:g} s)."
        )

    def _post(self, body: dict) -> dict:
        deadline = time.monotonic() + self.settings.timeout
        content = bytearray()
        try:
            with self._client.stream("POST", f"{self.url}/chat/completions", json=body) as response:
                self._reached = True
                for piece in response.iter_bytes():
                    content += piece
                    # httpx limits each wait for bytes only, so a slow trickle could last for ever.
                    if time.monotonic() > deadline or len(content) > LARGEST:
                        limits = f"{self.settings.timeout:g} s or {LARGEST} bytes"
                        raise Unusable(f"an answer that did not end within {limits}")
        except httpx.RequestError as problem:
            raise self._disconnected(problem, body["model"]) from None
        if response.status_code != 200:
            raise self._fault(response, self._words(content), body["model"])
        answer = _parsed(content)
        if not isinstance(answer, dict):
            raise Unusable(f"an answer that is no JSON object ({self._words(content) or 'empty'})")
        return answer

    def _disconnected(self, problem: httpx.RequestError, model: str) -> Exception:
        """The exception for a request without an answer."""
        told = str(problem) or type(problem).__name__
        if isinstance(problem, (httpx.ConnectError, httpx.ConnectTimeout)) and not self._reached:
            return ConnectionError(
                f"No server answers at {self.url} ({told}). Check mllm.url, or start a server: "
                f"`vllm serve {model}` or `transformers serve {model}`; both listen on port 8000."
            )
        if isinstance(problem, httpx.TimeoutException):
            return Unusable(f"no answer within {self.settings.timeout:g} s")
        return Unusable(f"the connection broke ({told})")

    def _fault(self, response: httpx.Response, words: str, model: str) -> Exception:
        """The exception for an answer with this status and these words."""
        status = response.status_code
        told = f"HTTP {status}: {words}".removesuffix(": ")
        low = words.lower()
        if status in RETRIED:
            return self._later(told, _seconds(response.headers.get("Retry-After", "")))
        if status in (401, 403):
            variable = self.settings.key_variable
            where = (
                f"The key came from the environment variable {variable}."
                if variable
                else "None was sent: name the variable that holds it in server.key_variable."
            )
            return PermissionError(f"{self.url} refuses the API key ({told}). {where}")
        if status == 404 or _NO_MODEL.search(low):
            listed = ", ".join(self.models())
            serves = f"It serves: {listed}." if listed else "mllm.url should end in /v1."
            return Refused(
                f"{self.url} does not serve {model!r} ({told}). {serves} Set server.served_model "
                "(the model) and server.served_adapter (the model with its adapter) to names that "
                "it serves, or serve this one."
            )
        if status == 413 or _TOO_LONG.search(low):
            return Refused(
                f"A request is too long for {self.url} ({told}). Start the server with room for "
                "more tokens (vLLM: --max-model-len), or lower mllm.max_pixels or "
                "mllm.max_new_tokens."
            )
        if "logprob" not in low and _PICTURE.search(low):
            return Refused(
                f"{self.url} refuses pictures for {model!r} ({told}). Serve a vision-language "
                "model, and do not switch pictures off (vLLM: --limit-mm-per-prompt)."
            )
        return Refused(f"{self.url} refuses the request ({told}).")

    def _later(self, told: str, seconds: float) -> Exception:
        """The exception for a server that asks for a pause; all requests wait for that time."""
        longest = self.settings.longest_wait
        if seconds > longest:
            return ConnectionError(
                f"{self.url} wants no request for {seconds:.0f} s ({told}), longer than "
                f"server.longest_wait ({longest:g} s). Run again later: what was answered before "
                "is kept."
            )
        self._not_before = max(self._not_before, time.monotonic() + seconds)
        return Unusable(told)

    def _words(self, content: bytes) -> str:
        """The server's own message, short, on one line, and without the key if it repeats it."""
        told = _parsed(content)
        for key in ("error", "message", "detail"):
            if isinstance(told, dict):
                told = told.get(key) or told
        text = told if isinstance(told, str) else content[:10_000].decode("utf-8", "replace")
        text = " ".join(text.split())
        text = text.replace(self._key, "…") if self._key else text
        return text if len(text) <= 300 else text[:300] + " …"

    @staticmethod
    def _pause(seconds: float, stop: threading.Event) -> None:
        if stop.wait(max(0.0, seconds)):
            raise CancelledError


def _parsed(content: bytes):
    """The JSON in `content`; None where there is none, or only one that is nested without end."""
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def _seconds(retry_after: str) -> float:
    """The header Retry-After in seconds: it holds a number or a date; 0 where it is neither."""
    try:
        if retry_after.strip()[:1].isalpha():
            return max(0.0, parsedate_to_datetime(retry_after).timestamp() - time.time())
        return max(0.0, float(retry_after))
    except (ValueError, TypeError):
        return 0.0
