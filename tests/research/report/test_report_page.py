"""The page in a real browser: nothing leaves it, clips play, and it fits a phone."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from lumiere.research.report.page import write_page
from lumiere.research.report.reading import read

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync "
    "--disable-background-networking --disable-component-update"
)
PATIENCE = 120_000  # milliseconds
SIZES = {"desktop": (1280, 900), "phone": (390, 844)}
READY = "() => [...document.querySelectorAll('video')].every((video) => video.readyState >= 2)"
FIRST = "[...document.querySelector('.comparison').querySelectorAll('video')]"

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here (apt install chromium)")


def look(browser: Browser, page: Path, size: tuple[int, int], scheme: str) -> None:
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]}, color_scheme="dark" if scheme == "dark" else "light"
    )
    context.set_default_timeout(PATIENCE)
    tab = context.new_page()
    asked: list[str] = []
    said: list[str] = []
    tab.on("request", lambda request: asked.append(request.url))
    tab.on("console", lambda message: said.append(message.text))
    tab.on("pageerror", lambda error: said.append(str(error)))
    tab.goto(page.as_uri())
    tab.wait_for_function(READY)
    assert tab.evaluate("document.querySelectorAll('video').length") > 12
    assert tab.evaluate("[...document.images].every((image) => image.complete && image.naturalWidth > 0)")
    assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert tab.evaluate(f"{FIRST}.length") == 2 and tab.evaluate(f"{FIRST}.every((video) => video.paused)")
    tab.click(".play")
    tab.wait_for_function(f"() => {FIRST}.every((video) => !video.paused && video.currentTime > 0)")
    assert tab.inner_text(".play >> nth=0") == "Pause"
    tab.click(".play")
    assert tab.evaluate(f"{FIRST}.every((video) => video.paused)")
    light = tab.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(247, 247, 245)"
    assert light == (scheme == "light")
    tab.click("summary")
    assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert said == [] and [url for url in asked if not url.startswith("data:")] == [page.as_uri()]
    # and what would leave it is stopped
    tab.evaluate("() => fetch('https://example.org').catch(() => 0)")
    assert "Content Security Policy" in " ".join(said)
    context.close()


def test_the_page_in_a_browser(measured: dict[str, Path], tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    write_page(read(list(measured.values())), page, "Evaluation report")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS.split())
        look(browser, page, SIZES["desktop"], "light")
        look(browser, page, SIZES["phone"], "dark")
        browser.close()
