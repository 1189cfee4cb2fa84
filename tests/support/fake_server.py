"""A small OpenAI-compatible server that behaves as badly as a test tells it to."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Fake(ThreadingHTTPServer):
    """A server whose `script(number, body)` answers the number-th request.

    An answer is a dict (sent as JSON) or (status, headers, bytes). Or it is "cut": the connection
    breaks inside the answer; "drip": bytes without end; "hang": nothing until the test is over.

    Attributes:
        requests: the bodies in the order in which they came.
        headers: the headers of each.
        most: how many requests were under way at once.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, script):
        super().__init__(("127.0.0.1", 0), Handler)
        self.script, self.models = script, ["small"]
        self.requests, self.headers, self.most, self._now = [], [], 0, 0
        self.lock, self.over = threading.Lock(), threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"

    def handle_error(self, *_):
        """A client that closes the connection is part of the tests and not an error."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self._send(
            200, {}, json.dumps({"data": [{"id": name} for name in self.server.models]}).encode()
        )

    def do_POST(self):
        fake, body = self.server, json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with fake.lock:
            number = len(fake.requests)
            fake.requests.append(body)
            fake.headers.append(dict(self.headers))
            fake._now += 1
            fake.most = max(fake.most, fake._now)
        try:
            said = fake.script(number, body)
        finally:
            with fake.lock:
                fake._now -= 1
        if said == "hang":
            fake.over.wait(60)
            self.close_connection = True
        elif said == "cut":
            self._send(200, {"Content-Length": "1000"}, b'{"choices": [')
            self.close_connection = True
        elif said == "drip":
            self._send(200, {"Content-Length": "1000000"}, b"{")
            while not fake.over.wait(0.02):
                self.wfile.write(b" ")
        else:
            self._send(*(said if isinstance(said, tuple) else (200, {}, json.dumps(said).encode())))

    def _send(self, status, headers, content):
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)
        self.wfile.flush()

    def log_message(self, *_):
        pass


@contextmanager
def serving(script):
    """A running Fake, stopped at the end."""
    fake = Fake(script)
    thread = threading.Thread(
        target=fake.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
    )
    thread.start()
    try:
        yield fake
    finally:
        fake.over.set()
        fake.shutdown()
        thread.join()
        fake.server_close()


def said(text, logprobs=None, body=None, **more):
    """An answer of one choice; `logprobs` {token: log-probability} of its first token."""
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": text},
        "finish_reason": "stop",
    }
    if logprobs is not None:
        top = [{"token": token, "logprob": value} for token, value in logprobs.items()]
        choice["logprobs"] = {"content": [{**top[0], "top_logprobs": top}]}
    return {"choices": [choice], "model": body["model"] if body else "small", **more}


def refused(status, message, **headers):
    """An error in OpenAI's form."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return status, named, json.dumps({"error": {"message": message}}).encode()


def prompt_of(body):
    """The text of a request."""
    content = body["messages"][0]["content"]
    return content if isinstance(content, str) else content[-1]["text"]
