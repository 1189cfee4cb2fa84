"""The page in a headless browser, and what its server refuses."""

import json
import os
import shutil
import socket
import threading
import time
from urllib.parse import urlsplit

import numpy as np
import pytest
from layouts import picture
from search_doubles import Knowing, Models, unit

from icl_lib.retrieval.gallery import Gallery
from icl_lib.search.index import PictureIndex
from icl_lib.search.searcher import Searcher
from icl_lib.thi.evidence import Evidence

pytest.importorskip("gradio", reason="gradio is missing: make search installs it")
from starlette.testclient import TestClient

from icl_lib.search import page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
NAMES = [f"gate/{k}.png" for k in range(6)] + [f"<i>hall</i>/{k}.png" for k in range(6, 12)]


@pytest.fixture
def searcher(tmp_path):
    for seed, name in enumerate(NAMES):
        picture(tmp_path / name, seed)
    vectors = unit(np.random.default_rng(0).normal(size=(len(NAMES), 3)))
    paths = [str(tmp_path / name) for name in NAMES]
    groups = [name.partition("/")[0] for name in NAMES]
    skipped = ["<b>broken</b>.jpg: not readable as a picture"]
    index = PictureIndex(
        "mine", paths, NAMES, groups, vectors, Gallery(vectors), skipped, str(tmp_path)
    )
    mllm = Knowing(paths[0])
    models = Models(mllm, Evidence(temperature=1.0), note=["The models know drawn people only."])
    models.backbone_name = "a backbone"
    return Searcher(index, models)


@pytest.fixture
def client(searcher):
    return TestClient(page.page(searcher), base_url="http://127.0.0.1")


def test_pictures_are_served_by_number_and_nothing_else_of_the_disk(client, searcher, tmp_path):
    secret = tmp_path.parent / "secret.png"
    picture(secret, 99)
    answer = client.get("/picture/3")
    assert answer.status_code == 200 and answer.headers["content-type"] == "image/jpeg"
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    for address in (
        "/picture/12",
        "/picture/-1",
        "/picture/../../secret.png",
        "/picture/..%2f..%2fsecret.png",
        "/picture/%2e%2e/%2e%2e/secret.png",
        f"/picture/{secret}",
        f"/gradio_api/file={secret}",
        f"/gradio_api/file={searcher.index.paths[0]}",
        f"/file={secret}",
        "/gradio_api/upload",
        "/docs",
    ):
        assert client.get(address).status_code == 404, address
    os.remove(searcher.index.paths[3])
    os.symlink(secret, searcher.index.paths[3])  # a link out of the folder, after it was indexed
    assert client.get("/picture/3/large").status_code == 404


def test_other_hosts_and_other_sites_are_refused(client):
    assert client.get("/", headers={"host": "example.org"}).status_code == 403
    assert client.get("/", headers={"origin": "http://example.org"}).status_code == 403


def test_a_port_in_use_is_refused(searcher):
    with socket.socket() as taken:
        taken.bind((page.HOST, 0))
        taken.listen()
        with pytest.raises(ValueError, match="--port"):
            page.serve(searcher, taken.getsockname()[1])


@pytest.fixture
def address(searcher):
    """The address of a running page."""
    with socket.socket() as place:
        place.bind((page.HOST, 0))
        server = page.server(searcher)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [place]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.05)
        yield f"http://{page.HOST}:{place.getsockname()[1]}"
        server.should_exit = True
        thread.join(timeout=10)


@pytest.fixture
def browser():
    if CHROMIUM is None:
        pytest.skip("there is no chromium: apt install chromium")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is missing")
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


def opened(browser, address, width=1400, scheme="light"):
    """A page of its own, and the addresses of all that it requests."""
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, accept_downloads=True
    )
    context.set_default_timeout(120_000)  # the machine may be busy with other tests
    tab, requested = context.new_page(), []
    tab.on("request", lambda request: requested.append(request.url))
    tab.goto(address)
    tab.get_by_label("A sentence about the person").wait_for()
    return tab, requested


def say(tab, text):
    """Types a sentence; again after half a minute, as a page that still loads may miss Enter."""
    for _ in range(4):
        tab.get_by_label("A sentence about the person").fill(text)
        tab.keyboard.press("Enter")
        for _ in range(60):
            if tab.locator(".card").first.is_visible():
                return
            tab.wait_for_timeout(500)
    raise AssertionError(f"no picture is shown for {text!r}")


def test_type_rank_answer_undo_and_save_without_a_mouse(browser, address):
    tab, requested = opened(browser, address)
    say(tab, "a <b>man</b>")
    assert tab.locator(".card").count() == 12
    assert "The models know drawn people only." in tab.inner_text("body")
    shown = tab.locator(".card .name").all_inner_texts()
    assert any("<i>hall</i>" in name for name in shown)  # shown as text
    first = tab.locator(".card").first
    name = first.locator(".name").inner_text()
    first.get_by_role("button", name="It is not this one").focus()
    tab.keyboard.press("Enter")
    tab.locator(".history").get_by_text("it is not this one").wait_for()
    assert tab.locator(".card .name").first.inner_text() != name
    tab.get_by_role("button", name="Ask the model").focus()
    tab.keyboard.press("Enter")
    tab.locator(".model").first.wait_for()
    tab.get_by_role("button", name="Ask me a question").click()
    tab.get_by_text("Did the person have a bag").first.wait_for()
    tab.locator(".question button").first.focus()
    tab.keyboard.press("Enter")
    tab.locator(".history").get_by_text("Did the person have a bag").wait_for()
    with tab.expect_download() as saved:
        tab.get_by_role("button", name="Save as JSON").click()
    with open(saved.value.path(), encoding="utf-8") as file:
        record = json.load(file)
    assert record["description"] == "a <b>man</b>."
    assert {turn["by"] for turn in record["dialogue"]} == {"person", "MLLM"}
    turns = tab.locator(".history li").count()
    tab.get_by_role("button", name="Undo").click()
    tab.locator(f".history li:nth-child({turns})").wait_for(state="detached")
    assert {urlsplit(url).hostname for url in requested if not url.startswith("blob:")} == {
        page.HOST
    }


def test_two_browsers_do_not_mix_their_dialogues(browser, address):
    one, other = (opened(browser, address)[0] for _ in range(2))
    say(one, "a man in black")
    say(other, "a woman in red")
    assert "a woman in red" not in one.inner_text("body")
    assert "a man in black" not in other.inner_text("body")
    one.reload()
    one.get_by_label("A sentence about the person").wait_for()
    assert one.locator(".card").count() == 0  # nothing was stored


@pytest.mark.parametrize("width", [400, 1400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_its_window_in_either_scheme(browser, address, width, scheme):
    tab, _ = opened(browser, address, width, scheme)
    say(tab, "a man in black")
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    card = tab.locator(".card").first.bounding_box()
    assert card["x"] >= 0 and card["x"] + card["width"] <= width
    dark = "dark" in (tab.locator("body").get_attribute("class") or "")
    assert dark == (scheme == "dark")
