"""The page in a real browser: twenty raters at once, of whom one loses the connection and one the replies."""

from __future__ import annotations

import asyncio
import re
import shutil
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urldefrag

import pytest
from playwright.async_api import Browser, BrowserContext, Page, Route, async_playwright
from raters import Server

from lumiere.research.study.plan import ANSWERS, load
from lumiere.research.study.storage import Storage

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync "
    "--disable-background-networking --disable-component-update"
)
PATIENCE = 120  # seconds; twenty browsers share the machine
RATERS, LOSES_CONNECTION, LOSES_REPLIES, CHANGES_MIND, MOVES_ON = 20, 3, 7, 11, 15
PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}
# What can be answered now, "end", or nothing yet.
ASKED = """() => {
    const shown = (id) => !document.getElementById(id).hidden;
    if (shown("end")) return "end";
    const open = document.querySelectorAll('.choice[aria-disabled="false"]:not(.leaving)').length === 2;
    return shown("trial") && open ? document.getElementById("place").textContent : null;
}"""

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here (apt install chromium)")
page_errors: list[str] = []
Said = dict[tuple[int, int], int]  # the side chosen, by the pair's place and the question, from 1


def browse(test: Callable[[Browser], Awaitable[None]]) -> None:
    async def run() -> None:
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS.split())
            await test(browser)
            await browser.close()

    asyncio.run(run())
    assert page_errors == []


async def until(page: Page, expression: str) -> Any:
    """What an expression gives, as soon as that is something."""
    deadline = time.monotonic() + PATIENCE
    while not (value := await page.evaluate(expression)):
        assert time.monotonic() < deadline, f"in vain: {expression} on {await page.inner_text('body')}"
        await asyncio.sleep(0.05)
    return value


async def start(context: BrowserContext, url: str) -> Page:
    context.set_default_timeout(1000 * PATIENCE)
    page = await context.new_page()
    page.on("pageerror", lambda error: page_errors.append(str(error)))
    await page.goto(url)
    await page.click("#start")
    return page


async def answer(page: Page, said: Said, side: int) -> bool:
    """Answer what is asked, by click, touch or key, and note it; False if nothing is asked any more."""
    asked = await until(page, ASKED)
    if asked == "end":
        return False
    pair, question = map(int, re.findall(r"Pair (\d+) of 4 · question (\d+) of 2", asked)[0])
    said[pair, question] = side
    if len(said) % 3 == 0:
        await page.locator(".choice").nth(side).click()
    else:
        await page.keyboard.press(("1", "2", "ArrowLeft", "ArrowRight")[side + 2 * (len(said) % 2)])
    await until(page, f"() => ({ASKED})() !== {asked!r}")
    return True


async def all_saved(page: Page) -> str:
    """Wait for the last words; returns the rater's token."""
    await until(page, "() => document.getElementById('end-text').textContent.includes('are saved')")
    return urldefrag(page.url).fragment


def check_kept(study: Path, raters: dict[str, Said]) -> None:
    """All that these raters said, by token, is kept once, and nothing else."""
    plan = load(study)
    storage = Storage(study / ANSWERS, plan.id)
    kept = storage.answers()
    expected = []
    for token, said in raters.items():
        number = storage.rater(token)
        assert number is not None
        trials = plan.trials(number)
        for (pair, question), side in said.items():
            trial = trials[pair - 1]
            expected.append((number, trial.pair.id, question, trial.clips[side], ("left", "right")[side]))
    storage.close()
    assert sorted((a.rater, a.pair, a.question, a.chosen, a.side) for a in kept) == sorted(expected)


def test_twenty_raters_at_once(serve: Callable[..., Server], study: Path) -> None:
    server = serve(study)
    raters: dict[str, Said] = {}
    unsent = asyncio.Event()

    async def rate(browser: Browser, number: int) -> None:
        context = await browser.new_context(**(PHONE if number % 4 == 0 else {}))
        page = await start(context, server.url)
        said: Said = {}
        lost = 0

        async def lose_reply(route: Route) -> None:
            nonlocal lost
            lost += 1
            if lost % 4 == 1:
                await route.fetch()  # the server has it, the page does not know
                await route.abort()
            elif lost % 4 == 3:
                await route.fulfill(status=200, content_type="text/html", body="Sign in to this network")
            else:
                await route.continue_()

        if number == LOSES_REPLIES:
            await page.route("**/answers/**", lose_reply)
        while await answer(page, said, (number + len(said) * (number % 3)) % 2):
            if number == LOSES_CONNECTION and len(said) == 2:
                await until(page, "() => loaded.size === trials.length")  # all clips are on their way,
                await page.evaluate("() => Promise.all([...loaded.values()]).then(() => 1)")  # and here
                await until(page, "() => outbox.size() === 0")
                await context.set_offline(True)
            if number == MOVES_ON and len(said) == 3:
                url = page.url
                await until(page, "() => outbox.size() === 0")
                await context.close()
                context = await browser.new_context()
                page = await context.new_page()
                await page.goto(url)
            if number == CHANGES_MIND and len(said) == 4:
                changed = (2, 2)
                await page.click("#back")
                await until(page, f"() => ({ASKED})() === 'Pair 2 of 4 · question 2 of 2'")
                assert not await page.is_enabled("#back")
                said_before = said.pop(changed)
                await answer(page, said, 1 - said_before)
        if number == LOSES_CONNECTION:
            assert "6 answers of yours still to be sent" in await page.inner_text("#end")
            unsent.set()
            await asyncio.sleep(1)
            await context.set_offline(False)
        token = await all_saved(page)
        if number == LOSES_REPLIES:
            assert lost >= 2 * 8
        raters[token] = said
        await context.close()

    async def all_raters(browser: Browser) -> None:
        await asyncio.gather(*(rate(browser, number) for number in range(RATERS)))

    browse(all_raters)
    assert len(raters) == RATERS and all(len(said) == 8 for said in raters.values()) and unsent.is_set()
    check_kept(study, raters)


def test_answers_wait_in_the_browser_for_a_server_that_is_gone(
    serve: Callable[..., Server], study: Path
) -> None:
    """The page is even reloaded meanwhile, once the server is back but before the answers are sent."""
    server = serve(study)
    raters: dict[str, Said] = {}

    async def rate(browser: Browser) -> None:
        page = await start(await browser.new_context(), server.url)
        said: Said = {}
        await answer(page, said, 0)
        await until(page, "() => outbox.size() === 0 && loaded.size === trials.length")
        await page.evaluate("() => Promise.all([...loaded.values()]).then(() => 1)")
        server.kill()
        for side in (1, 0, 1):
            await answer(page, said, side)
        await until(
            page, "() => document.getElementById('saved').textContent.includes('3 answers kept here')"
        )
        await asyncio.to_thread(serve, study, server.port)
        await page.reload()
        while await answer(page, said, 1):
            pass
        raters[await all_saved(page)] = said

    browse(rate)
    check_kept(study, raters)


def test_both_clips_start_loop_and_stay_together(serve: Callable[..., Server], study: Path) -> None:
    server = serve(study)
    watch = """async () => {
        const videos = [...document.querySelectorAll("video")];
        const apart = [];
        let starts = 0;
        videos[0].addEventListener("playing", () => starts++);
        for (const end = performance.now() + 4000; performance.now() < end; ) {
            await new Promise((resolve) => setTimeout(resolve, 20));
            const [first, second] = videos;
            if (videos.some((video) => video.paused || video.ended || video.seeking)) continue;
            apart.push(Math.abs(first.currentTime - second.currentTime));
        }
        apart.sort((a, b) => a - b);
        return { starts, seen: apart.length, middle: apart[apart.length >> 1] };
    }"""

    async def rate(browser: Browser) -> None:
        page = await start(await browser.new_context(), server.url)
        await until(page, ASKED)
        watched = await page.evaluate(watch)
        assert watched["starts"] >= 3 and watched["seen"] > 20 and watched["middle"] < 1 / 12
        await page.keyboard.press("p")
        assert await page.evaluate("() => [...document.querySelectorAll('video')].every((v) => v.paused)")
        await page.click("#toggle")
        await until(page, "() => [...document.querySelectorAll('video')].every((v) => !v.paused)")

    browse(rate)


def test_a_link_that_is_none_leads_to_a_new_start(serve: Callable[..., Server], study: Path) -> None:
    server = serve(study)

    async def rate(browser: Browser) -> None:
        page = await (await browser.new_context()).new_page()
        await page.goto(server.url + "#no-such-rater")
        await page.click("#again")
        await page.wait_for_selector("#welcome >> visible=true")

    browse(rate)
