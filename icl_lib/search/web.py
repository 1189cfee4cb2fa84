"""The page's server: this machine only, pictures by number, and nothing else of the disk."""

import io
import os
import re
from functools import lru_cache

from fastapi import FastAPI
from PIL import Image
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse, Response

from icl_lib.data.pictures import open_picture

HOST = "127.0.0.1"
NAMES = (HOST, "localhost")  # what a browser on this machine may call the host
SMALL, LARGE = 256, 1024  # pixels of height
# All that the page needs; Gradio's other routes, such as those to the disk, are shut.
OPEN = re.compile(
    r"/|/(config|theme\.css|favicon\.ico|manifest\.json)|/(assets|static)/[\w./-]+"
    r"|/gradio_api/(queue/(join|data)|startup-events|info|app_id|heartbeat/\w+)"
    r"|/picture/[0-9]+(/large)?",
    re.ASCII,
)
HEADERS = {
    # No request to another host, whatever a component would like to load.
    "content-security-policy": (
        "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
        "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; "
        "connect-src 'self'; object-src 'none'; frame-ancestors 'none'"
    ),
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


class Guard:
    """Middleware that refuses other hosts and sites, and everything that is not in OPEN.

    The name of the host matters although only this machine can connect: a page on the web could
    give its own name the address 127.0.0.1 and read the pictures through the browser.
    """

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        """Answers one request, or hands it on."""
        if scope["type"] == "lifespan":
            return await self.app(scope, receive, send)
        headers = Headers(scope=scope)
        host, origin = headers.get("host", ""), headers.get("origin")
        if host.rpartition(":")[0] not in NAMES and host not in NAMES:
            refused = PlainTextResponse("This page is for this machine only.", 403)
            return await refused(scope, receive, send)
        if origin is not None and origin != f"http://{host}":
            return await PlainTextResponse("Not from another site.", 403)(scope, receive, send)
        if scope["type"] != "http" or not OPEN.fullmatch(scope["path"]) or ".." in scope["path"]:
            return await PlainTextResponse("Not found.", 404)(scope, receive, send)

        async def with_headers(part):
            if part["type"] == "http.response.start":
                told = {name.encode(): value.encode() for name, value in HEADERS.items()}
                part["headers"] = [*part.get("headers", []), *told.items()]
            await send(part)

        await self.app(scope, receive, with_headers)


def server_of(index) -> FastAPI:
    """A server of the pictures of an index, as /picture/<gallery column> and …/large.

    The path of a picture is never part of an address, so no address leads out of the index. A file
    that has become a link out of the folder since it was indexed is not served either.
    """
    app = FastAPI(openapi_url=None)
    app.add_middleware(Guard)

    @lru_cache(maxsize=2000)
    def small(number: int) -> bytes:
        return jpeg(index, number, SMALL)

    def answer(number: int, height: int) -> Response:
        try:
            content = small(number) if height == SMALL else jpeg(index, number, height)
        except (LookupError, OSError, ValueError):
            return PlainTextResponse("Not found.", 404)
        return Response(content, media_type="image/jpeg", headers={"cache-control": "no-store"})

    @app.get("/picture/{number:int}")
    def picture(number: int) -> Response:
        return answer(number, SMALL)

    @app.get("/picture/{number:int}/large")
    def large(number: int) -> Response:
        return answer(number, LARGE)

    return app


def jpeg(index, number: int, height: int) -> bytes:
    """A picture, at most so high, as a JPEG file.

    Raises:
        LookupError: there is no such picture in the index.
        OSError: there is no such file any more.
        ValueError: it is no picture.
    """
    path = index.paths[number]
    if index.root and not os.path.realpath(path).startswith(index.root.rstrip(os.sep) + os.sep):
        raise LookupError(f"{path} leads out of {index.root}")
    image = open_picture(path)
    image.thumbnail((4 * height, height), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=85)
    return stream.getvalue()
