"""The studio's page in a real Chromium: every tab once, painting included."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from PIL import Image, ImageDraw

from lumiere.io.video import Clip, read_metadata

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
)
SECONDS = 60
pytest.importorskip("uvicorn")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here (apt install chromium)")


@pytest.fixture(scope="module")
def browser():
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS.split())
        yield browser
        browser.close()


class Page:
    """The studio's page in a session of its own, on which no script fails and no request is in vain."""

    def __init__(self, browser, studio, **how):
        self.errors = []
        self.page = browser.new_context(accept_downloads=True, **how).new_page()
        self.page.set_default_timeout(SECONDS * 1000)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", lambda said: self.errors.append(said.text) if said.type == "error" else None)
        self.page.goto(studio.address)
        self.page.wait_for_selector("body[data-ready]")

    def tab(self, verb):
        self.page.locator(f"#tab-{verb}").click()
        return self.page.locator(f"#panel-{verb}")

    def fill(self, verb, prompt="a clip", **numbers):
        panel = self.page.locator(f"#panel-{verb}")
        if prompt is not None:
            panel.locator("textarea").fill(prompt)
        for name, value in numbers.items():
            field = panel.get_by_label(name.replace("_", " ").capitalize(), exact=True)
            if not field.is_visible():
                panel.get_by_text("More settings").click()
            field.fill(str(value))

    def give(self, verb, *files):
        """Choose a file for each of a tab's file fields, in place of an earlier one."""
        panel = self.tab(verb)
        for place, file in enumerate(files):
            field = panel.locator(".file").nth(place)
            if field.locator("figure").count():
                field.get_by_role("button", name="Remove").click()
            field.locator("input[type=file]").set_input_files(file)
            field.locator("figure").wait_for()
        return panel

    def drag(self, panel, begin, end):
        """Drag over the painting area, from and to shares of its sides."""
        canvas = panel.locator("canvas")
        canvas.scroll_into_view_if_needed()
        box = canvas.bounding_box()
        places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in (begin, end)]
        self.page.mouse.move(*places[0])
        self.page.mouse.down()
        self.page.mouse.move(*places[1], steps=5)
        self.page.mouse.up()

    def press(self, verb):
        self.page.locator(f"#panel-{verb} button[type=submit]").click()

    def make(self, verb):
        """Press a tab's button, and wait for its clip."""
        before = self.page.locator("#gallery li").count()
        self.press(verb)
        problems = ".card.problem, form:not([hidden]) p.problem:not(:empty)"
        self.page.wait_for_function(
            "([before, problems]) => document.querySelectorAll('#gallery li').length > before"
            " || document.querySelector(problems)",
            arg=[before, problems],
        )
        assert self.page.locator(problems).all_inner_texts() == []
        self.page.locator("#stage video").first.wait_for()

    def saved(self, name, path):
        with self.page.expect_download() as download:
            self.page.locator("#stage").get_by_role("link", name=name, exact=True).click()
        download.value.save_as(path)
        return path


@pytest.fixture(scope="module")
def shared(browser, studio):
    return Page(browser, studio)


@pytest.fixture
def page(shared):
    """One session and page for all tests of a tab, since loading the page takes longer than its jobs."""
    shared.errors.clear()
    yield shared
    assert shared.errors == []


@pytest.fixture
def still(tmp_path):
    picture = Image.new("RGB", (32, 32), (200, 170, 255))
    ImageDraw.Draw(picture).ellipse((8, 8, 24, 24), fill=(80, 170, 80))
    picture.save(tmp_path / "still.png")
    return tmp_path / "still.png"


@pytest.fixture
def moving(still, tmp_path):
    frames = np.stack([np.roll(np.asarray(Image.open(still)), 2 * step, axis=1) for step in range(4)])
    return Clip(frames, 8).save(tmp_path / "moving.mp4")


def test_generate_saves_in_each_format(page, tmp_path):
    prompt = 'a <b onclick="x">"clip"</b>'
    page.tab("generate")
    page.fill("generate", prompt)
    page.make("generate")
    assert page.page.locator("#stage h3").inner_text() == prompt
    for name in ("WEBP", "MP4"):
        assert read_metadata(page.saved(name, tmp_path / f"saved.{name.lower()}"))["prompt"] == prompt


def test_animate(page, still):
    page.give("animate", still)
    page.make("animate")


def test_cinemagraph_with_a_box_that_is_undone_and_drawn_again(page, still):
    panel = page.give("cinemagraph", still)
    page.press("cinemagraph")
    panel.locator(".mask .problem", has_text="nothing is marked").wait_for()
    panel.get_by_role("button", name="Box", exact=True).click()
    page.drag(panel, (0.25, 0.25), (0.75, 0.75))
    panel.get_by_text("Marked: 25 %").wait_for()
    panel.get_by_role("button", name="Undo").click()
    panel.get_by_text("Marked: 0 %").wait_for()
    page.drag(panel, (0.25, 0.25), (0.75, 0.75))
    page.errors.clear()  # the browser notes that the unmarked job was refused
    page.make("cinemagraph")
    page.page.get_by_label("Show the region").check()
    assert page.page.locator("#stage .region").is_visible()


def test_inpaint_with_a_stroke_on_one_frame_and_another_mask_from_a_later_one(page, moving):
    panel = page.give("inpaint", moving)
    page.drag(panel, (0.3, 0.5), (0.7, 0.5))
    panel.locator("input[id$=-frame]").fill("2")
    panel.get_by_role("button", name="New mask from this frame on").click()
    page.drag(panel, (0.5, 0.3), (0.5, 0.7))
    panel.get_by_text("2 masks, from frames 0, 2 on").wait_for()
    page.make("inpaint")


def test_outpaint(page, moving):
    page.give("outpaint", moving)
    page.make("outpaint")


def test_transition(page, still):
    page.give("transition", still, still)
    page.make("transition")


def test_extend(page, moving):
    page.give("extend", moving)
    page.fill("extend", Frames_of_the_extended_video=6, Known_frames_of_each_window=2)
    page.make("extend")


def test_loop(page):
    page.tab("loop")
    page.fill("loop")
    page.make("loop")


def test_edit(page, moving):
    page.give("edit", moving)
    page.fill("edit")
    page.make("edit")


def test_style_is_fitted_and_offered_to_other_tabs(page, still):
    panel = page.give("stylize", still)
    page.fill("stylize", Training_steps_of_the_style=1)
    panel.get_by_label("Caption of the references").fill("a ball")
    page.make("stylize")
    panel = page.tab("generate")
    page.fill("generate", Strength_of_the_style=0.5)
    panel.get_by_label("Style", exact=True).select_option('of "a ball"')
    page.make("generate")
    panel.get_by_label("Style", exact=True).select_option("")


def test_upscale(page, moving):
    panel = page.give("upscale", moving)
    panel.get_by_label("Longer side").select_option("256")
    page.make("upscale")
    page.page.locator("#stage dd", has_text="256").first.wait_for()


def test_compare(page, moving):
    for _ in range(2):
        page.give("edit", moving)
    page.tab("compare")
    page.page.locator("#panel-compare img.slice").nth(1).wait_for()


def test_bad_input_is_shown_at_its_field(page, still, moving, tmp_path):
    page.give("edit", moving)
    page.page.locator("#panel-edit .file button", has_text="Remove").click()
    page.press("edit")
    page.page.locator("#panel-edit .file .problem", has_text="needs a video").wait_for()
    (tmp_path / "garbage.png").write_bytes(bytes(2000))
    files = page.page.locator("#panel-upscale .file")
    for given, said in (
        (tmp_path / "garbage.png", "no picture or video"),
        (still, "is a picture; give a video"),
    ):
        page.tab("upscale").locator("input[type=file]").set_input_files(given)
        files.locator(".problem", has_text=said).wait_for()
    files.locator("input").set_input_files(moving)
    files.locator("figure").wait_for()
    assert files.locator(".problem").count() == 0
    panel = page.tab("generate")
    page.fill("generate", prompt="", Seed=-3)
    panel.get_by_text("More settings").click()
    page.press("generate")
    panel.locator(".field:has(textarea) .problem").wait_for()
    page.fill("generate", Seed=-3)
    page.press("generate")
    assert panel.locator(".field .problem").count() == 1
    assert panel.get_by_label("Seed").get_attribute("aria-invalid") == "true"
    page.fill("generate", Seed=3)
    assert panel.locator(".problem").all_inner_texts() == [""]
    page.errors.clear()  # the browser notes each refusal


def test_the_queue_survives_a_reload_and_settings_are_restored(browser, studio, tmp_path):
    page = Page(browser, studio, viewport={"width": 390, "height": 844}, color_scheme="dark")
    page.fill("generate", "a phone", Frames=6, Steps=8, Seed=11)
    page.press("generate")
    page.page.locator(".card").wait_for()
    page.page.reload()
    page.page.locator("#gallery li").wait_for()
    assert page.page.evaluate("document.documentElement.scrollWidth") <= 390
    saved = page.saved("WEBP", tmp_path / "saved.webp")
    page.page.get_by_role("button", name="Delete").click()
    page.page.on("dialog", lambda dialog: dialog.accept())
    page.page.get_by_role("button", name="Delete").click()
    page.page.locator("#stage.empty").wait_for()
    page.give("edit", saved)
    page.page.locator("#gallery button").first.click()
    page.page.locator("#stage summary").click()
    page.page.get_by_role("button", name="Restore settings").click()
    panel = page.page.locator("#panel-generate")
    assert panel.locator("textarea").input_value() == "a phone"
    assert [panel.get_by_label(name).input_value() for name in ("Steps", "Seed")] == ["8", "11"]
    assert page.errors == []


def test_a_keyboard_alone_paints_and_generates(browser, studio, still):
    page = Page(browser, studio)
    page.page.locator("#tab-generate").focus()
    page.page.keyboard.press("ArrowRight")
    assert page.page.locator("#tab-animate").get_attribute("aria-selected") == "true"
    page.page.keyboard.press("ArrowRight")
    panel = page.give("cinemagraph", still)
    panel.locator("canvas").focus()
    for key in ("ArrowLeft", "ArrowUp", " "):
        page.page.keyboard.press(key)
    panel.get_by_text("Marked: 1 %").wait_for()
    panel.get_by_text("Box by numbers").click()
    for name, value in {"Left": 4, "Top": 4, "Right": 28, "Bottom": 28}.items():
        panel.get_by_label(name, exact=True).fill(str(value))
    panel.get_by_role("button", name="Add box").click()
    panel.get_by_text("Marked: 56 %").wait_for()
    panel.locator("textarea").focus()
    page.page.keyboard.press("Control+Enter")
    page.page.locator("#gallery li").nth(1).wait_for()
    unnamed = page.page.evaluate(
        "[...document.querySelectorAll('input, select, textarea, button')].filter(each =>"
        " !(each.labels?.length || each.ariaLabel || each.textContent.trim())).length"
    )
    assert unnamed == 0 and page.errors == []
