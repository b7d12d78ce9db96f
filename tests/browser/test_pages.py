"""Every page in a real browser: as wide as a laptop and a phone, light, dark, printed, without scripts, by keyboard.

What each looks like is kept in `build/screens/` for people to look at.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from tests.browser.made_up_pages import ATTACK
from tests.conftest import ROOT

SCREENS = ROOT / "build" / "screens"
Scheme = Literal["light", "dark"]
#: One of each kind, and those of hostile, endless and missing names.
PAGES = {
    "index": "site/index.html",
    "all targets": "site/chat.targets.html",
    "target": "site/chat.this-machine.html",
    "jobs": "site/chat.this-machine.jobs.html",
    "runs": "two/this-machine.html",
    "sessions": "site/sessions.this-machine.html",
    "runtimes": "site/runtimes.this-machine.html",
    "jobs of runtimes": "site/runtimes.this-machine.jobs.html",
    "one result": "site/one.this-machine.html",
    "hostile targets": "site/img-src-x-onerror-document.title-HAC.targets.html",
    "hostile target": "site/img-src-x-onerror-document.title-HAC.-img-src-x-onerror-document.html",
    "hostile jobs": "site/img-src-x-onerror-document.title-HAC.-img-src-x-onerror-document..jobs.html",
    "hostile runs": "odd/img-src-x-onerror-document.title-HACKED-script-docume.html",
    "long targets": f"site/{'long' * 10}.targets.html",
    "long target": f"site/{'long' * 10}.{'long' * 7}lo.html",
    "long jobs": f"site/{'long' * 10}.{'long' * 7}lo.jobs.html",
    "nameless targets": "site/targets.html",
    "nameless target": "site/report.html",
    "nameless jobs": "site/jobs.html",
}
SIZES = {"laptop": (1440, 900), "phone": (360, 740)}
#: What may be asked of a reader's keyboard; a link inside of what is folded is reached once that is open.
FOCUSABLE = "a[href], button, select, summary, [tabindex='0']"
#: The aim for a whole target's page; what a manager reads is the first.
MOST_SHEETS = 7


@dataclass
class Seen:
    """What a browser told of a page beside showing it."""

    page: Page
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@contextmanager
def shown(browser: Browser, file: Path, size: str = "laptop", **options: Any) -> Iterator[Seen]:
    width, height = SIZES[size]
    context = browser.new_context(viewport={"width": width, "height": height}, **options)
    page = context.new_page()
    seen = Seen(page)
    page.on("console", lambda message: seen.errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: seen.errors.append(str(error)))
    page.on("request", lambda request: seen.requests.append(request.url))
    page.goto(file.as_uri())
    yield seen
    context.close()


def overflow(page: Page) -> list[str]:
    """What reaches beyond the right edge of the window, unless it scrolls within a region of its own."""
    found: list[str] = page.evaluate(
        """() => {
          if (document.documentElement.scrollWidth <= document.documentElement.clientWidth) return [];
          const wide = [...document.body.querySelectorAll("*")].filter((each) => {
            if (each.getBoundingClientRect().right <= document.documentElement.clientWidth + 1) return false;
            for (let at = each.parentElement; at; at = at.parentElement)
              if (getComputedStyle(at).overflowX !== "visible") return false;
            return true;
          });
          return wide.slice(0, 5).map((each) => each.outerHTML.slice(0, 120));
        }"""
    )
    return found


def open_all(page: Page) -> None:
    page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")


@pytest.mark.parametrize(
    ("name", "size", "scheme"),
    [
        (name, *each)
        for name in PAGES
        for each in (("laptop", "light"), ("phone", "light"), ("laptop", "dark"))
        if each[1] == "light" or not name.startswith(("long", "nameless", "hostile"))
    ],
)
def test_a_page_is_whole(browser: Browser, files: dict[str, Path], name: str, size: str, scheme: Scheme) -> None:
    file = files[PAGES[name]]
    with shown(browser, file, size, color_scheme=scheme) as seen:
        SCREENS.mkdir(parents=True, exist_ok=True)
        seen.page.screenshot(path=SCREENS / f"{name} {size} {scheme}.png")
        assert overflow(seen.page) == []
        open_all(seen.page)
        assert overflow(seen.page) == [], "with everything unfolded"
        assert seen.errors == []
        assert seen.requests == [file.as_uri()]
        assert seen.page.title() not in ("", "HACKED")
        ground = seen.page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (sum(map(int, re.findall(r"\d+", ground)[:3])) > 3 * 128) is (scheme == "light")


@pytest.mark.parametrize(
    "name", ["index", "all targets", "target", "jobs", "runs", "sessions", "runtimes", "hostile targets"]
)
def test_nothing_keeps_a_reader_out(browser: Browser, files: dict[str, Path], name: str) -> None:
    """By axe-core's rules, with everything unfolded; in the dark the contrast of what a page begins with."""
    with shown(browser, files[PAGES[name]]) as seen:
        if name == "jobs":  # its jobs are alike, and looking at all of them takes a minute
            seen.page.locator("details.job").evaluate_all("jobs => jobs.slice(1).forEach((each) => each.remove())")
        seen.page.emulate_media(color_scheme="dark")
        assert grave(seen.page, {"runOnly": ["color-contrast"]}) == []
        seen.page.emulate_media(color_scheme="light")
        open_all(seen.page)
        assert grave(seen.page, {}) == []


def grave(page: Page, options: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [
        (each["id"], node["html"][:160], node["failureSummary"])
        for each in Axe().run(page, options={"resultTypes": ["violations"], **options}).response["violations"]
        if each["impact"] in ("serious", "critical")
        for node in each["nodes"][:3]
    ]


@pytest.mark.parametrize("name", ["index", "all targets", "target", "runs", "one result", "hostile targets"])
def test_a_keyboard_reaches_everything(browser: Browser, files: dict[str, Path], name: str) -> None:
    with shown(browser, files[PAGES[name]]) as seen:
        count = seen.page.evaluate(
            f"""() => [...document.querySelectorAll("{FOCUSABLE}")].filter((each) => each.checkVisibility()).length"""
        )
        assert count > 1
        seen.page.evaluate("window.reached = new Set()")
        for _ in range(count):
            seen.page.keyboard.press("Tab")
            seen.page.evaluate("reached.add(document.activeElement)")
        missed = seen.page.evaluate(
            f"""() => [...document.querySelectorAll("{FOCUSABLE}")]
              .filter((each) => each.checkVisibility() && !reached.has(each))
              .map((each) => each.outerHTML.slice(0, 120))"""
        )
        assert missed == []
        outline = seen.page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none", "where the keyboard is can be seen"


@pytest.mark.parametrize("name", ["index", "all targets", "target", "jobs", "runs", "sessions", "hostile targets"])
def test_a_page_says_everything_without_scripts(browser: Browser, files: dict[str, Path], name: str) -> None:
    with shown(browser, files[PAGES[name]]) as seen:
        open_all(seen.page)
        with_scripts = text_of(seen.page)
    with shown(browser, files[PAGES[name]], java_script_enabled=False) as seen:
        assert seen.page.locator("main").is_visible()
        assert seen.page.locator("select:visible").count() == 0, "nothing that does nothing"
        assert text_of(seen.page) >= with_scripts - text_of_controls(browser, files[PAGES[name]])
        assert overflow(seen.page) == []


def text_of(page: Page) -> set[str]:
    """Every piece of text in the document but in its style and script."""
    told: list[str] = page.evaluate(
        """() => {
          const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
          const found = [];
          while (walker.nextNode())
            if (!walker.currentNode.parentElement.closest("script, style")) found.push(walker.currentNode.data.trim());
          return found.filter(Boolean);
        }"""
    )
    return set(told)


def text_of_controls(browser: Browser, file: Path) -> set[str]:
    """What the script adds: lists to choose from, buttons, and their labels."""
    with shown(browser, file) as seen:
        told: list[str] = seen.page.evaluate(
            """() => [...document.querySelectorAll(".tools, .tools *, [data-metrics] *")]
              .flatMap((each) => [...each.childNodes]).filter((each) => each.nodeType === 3)
              .map((each) => each.data.trim())"""
        )
    return set(told)


@pytest.mark.parametrize("name", ["index", "all targets", "target", "runs", "sessions", "runtimes", "one result"])
def test_a_page_prints(browser: Browser, files: dict[str, Path], name: str) -> None:
    with shown(browser, files[PAGES[name]]) as seen:
        seen.page.emulate_media(media="print", color_scheme="light")
        sheets = len(re.findall(rb"/Type\s*/Page\b", seen.page.pdf(format="A4")))
        assert 1 <= sheets <= MOST_SHEETS
        assert overflow(seen.page) == []


def test_a_metric_is_chosen_from_a_list(browser: Browser, files: dict[str, Path]) -> None:
    with shown(browser, files[PAGES["all targets"]]) as seen:
        section = seen.page.locator("section").first
        tables = section.locator("details.metric")
        assert tables.count() > 2
        assert [tables.nth(at).is_visible() for at in range(3)] == [True, False, False]
        chosen = section.locator("select").first
        chosen.select_option(index=2)
        assert [tables.nth(at).is_visible() for at in range(3)] == [False, False, True]
        assert tables.nth(2).locator("table").is_visible()


def test_a_link_to_a_job_opens_it(browser: Browser, files: dict[str, Path]) -> None:
    with shown(browser, files[PAGES["all targets"]]) as seen:
        link = seen.page.locator("table.matrix td a").first
        href = link.get_attribute("href") or ""
        assert re.fullmatch(r"chat\.[a-z0-9-]+\.jobs\.html#job-\d+", href)
        link.click()
        assert seen.page.locator(f"#{href.partition('#')[2]} table").first.is_visible()
        assert seen.errors == []


def test_the_pages_of_a_site_lead_to_each_other(files: dict[str, Path]) -> None:
    for path, file in files.items():
        text = file.read_text(encoding="utf-8")
        ids = set(re.findall(r'\bid="([^"]+)"', text))
        assert len(ids) == len(re.findall(r'\bid="', text)), f"{path}: ids are unique"
        for href in set(re.findall(r'href="([^"]+)"', text)):
            name, _, anchor = href.partition("#")
            if name.startswith("data:"):
                continue
            other = file.parent / name if name else file
            assert other.exists(), f"{path} leads to {href}"
            assert not anchor or f'id="{anchor}"' in other.read_text(encoding="utf-8"), f"{path} leads to {href}"


def test_no_name_acts_in_a_browser(browser: Browser, files: dict[str, Path]) -> None:
    visible = ATTACK.replace("\u202e", "\\u202e")
    for name in (name for name in PAGES if name.startswith("hostile")):
        with shown(browser, files[PAGES[name]]) as seen:
            assert seen.page.locator("img, iframe, object, embed, link, base, form").count() == 0
            assert seen.page.locator("script").count() == 1
            assert visible[:40] in (seen.page.text_content("body") or "")
            assert seen.page.title() != "HACKED"


def test_a_page_would_be_stopped_from_acting(browser: Browser, tmp_path: Path, files: dict[str, Path]) -> None:
    """Were a name to get through, the policy would still not let it act: its script has another hash."""
    text = files[PAGES["index"]].read_text(encoding="utf-8")
    attacked = tmp_path / "attacked.html"
    attacked.write_text(text.replace("<main>", f"<main>{ATTACK}"), encoding="utf-8")
    with shown(browser, attacked) as seen:
        assert seen.page.title() != "HACKED"
        assert any("Content Security Policy" in error for error in seen.errors)
