"""Every page in a real browser: as wide as a laptop and a phone, light, dark, printed, without scripts, by keyboard.

What each looks like is kept in `build/screens/` for people to look at.
"""

from __future__ import annotations

import re
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
    "history": "site/history.html",
    "all targets": "site/chat.targets.html",
    "target": "site/chat.this-machine.html",
    "jobs": "site/chat.this-machine.jobs.html",
    "runs": "two/this-machine.html",
    "sessions": "site/sessions.this-machine.html",
    "runtimes": "site/runtimes.this-machine.html",
    "jobs of runtimes": "site/runtimes.this-machine.jobs.html",
    "one result": "site/one.this-machine.html",
    "field": "odd/field.html",
    "hostile targets": "site/img-src-x-onerror-document.title-HAC.targets.html",
    "hostile target": "site/img-src-x-onerror-document.title-HAC.-img-src-x-onerror-document.html",
    "hostile jobs": "site/img-src-x-onerror-document.title-HAC.-img-src-x-onerror-document..jobs.html",
    "devices": "two/devices.html",
    "hostile history": "odd/history.html",
    "hostile devices": "odd/devices.html",
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


#: Of alike rows and figures this many stay where a rule looks at each element: all of them take a minute.
FEW_ALIKE = 3
THINNED = """(most) => {
  for (const body of document.querySelectorAll("tbody"))
    for (const row of [...body.rows].slice(most)) row.remove();
  for (const alike of document.querySelectorAll("details.job ~ details.job, details.section figure ~ figure"))
    alike.remove();
}"""


@dataclass
class Seen:
    """A screen, and what a browser told of the page that it shows."""

    page: Page
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


class Screens:
    """One screen for each kind that is asked for: a browser takes longer to open one than to show a page on it."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._open: dict[tuple[str, Scheme, bool], Seen] = {}

    def show(self, file: Path, size: str = "laptop", scheme: Scheme = "light", *, scripts: bool = True) -> Seen:
        """The page as it is when it was just opened."""
        seen = self._open.get((size, scheme, scripts)) or self._screen(size, scheme, scripts=scripts)
        seen.page.goto("about:blank")
        seen.errors.clear()
        seen.requests.clear()
        seen.page.goto(file.as_uri())
        return seen

    def _screen(self, size: str, scheme: Scheme, *, scripts: bool) -> Seen:
        width, height = SIZES[size]
        page = self._browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme, java_script_enabled=scripts
        ).new_page()
        seen = self._open[size, scheme, scripts] = Seen(page)
        page.on("console", lambda message: seen.errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: seen.errors.append(str(error)))
        page.on("request", lambda request: seen.requests.append(request.url))
        return seen


@pytest.fixture(scope="module")
def screens(browser: Browser) -> Screens:
    return Screens(browser)


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
        for each in (("laptop", "light"), ("phone", "light"), ("laptop", "dark"))
        for name in PAGES
        if each[1] == "light" or not name.startswith(("long", "nameless", "hostile"))
    ],
)
def test_a_page_is_whole(screens: Screens, files: dict[str, Path], name: str, size: str, scheme: Scheme) -> None:
    file = files[PAGES[name]]
    seen = screens.show(file, size, scheme)
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
    "name",
    ["index", "history", "all targets", "target", "jobs", "runs", "sessions", "runtimes", "field", "hostile targets"],
)
def test_nothing_keeps_a_reader_out(screens: Screens, files: dict[str, Path], name: str) -> None:
    """By axe-core's rules, with everything unfolded; in the dark the contrast of what a page begins with."""
    page = screens.show(files[PAGES[name]]).page
    page.evaluate(THINNED, FEW_ALIKE)
    page.emulate_media(color_scheme="dark")
    dark = grave(page, {"runOnly": ["color-contrast"]})
    page.emulate_media(color_scheme="light")
    assert dark == []
    open_all(page)
    assert grave(page, {}) == []


def grave(page: Page, options: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [
        (each["id"], node["html"][:160], node["failureSummary"])
        for each in Axe().run(page, options={"resultTypes": ["violations"], **options}).response["violations"]
        if each["impact"] in ("serious", "critical")
        for node in each["nodes"][:3]
    ]


@pytest.mark.parametrize(
    "name", ["index", "history", "all targets", "target", "jobs", "runs", "one result", "hostile targets"]
)
def test_a_keyboard_reaches_everything(screens: Screens, files: dict[str, Path], name: str) -> None:
    page = screens.show(files[PAGES[name]]).page
    count = page.evaluate(
        f"""() => {{
          window.reached = new Set();
          document.addEventListener("focusin", (event) => reached.add(event.target));
          return [...document.querySelectorAll("{FOCUSABLE}")].filter((each) => each.checkVisibility()).length;
        }}"""
    )
    assert count > 1
    for _ in range(count):
        page.keyboard.press("Tab")
    missed = page.evaluate(
        f"""() => [...document.querySelectorAll("{FOCUSABLE}")]
          .filter((each) => each.checkVisibility() && !reached.has(each))
          .map((each) => each.outerHTML.slice(0, 120))"""
    )
    assert missed == []
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline != "none", "where the keyboard is can be seen"


def test_a_keyboard_opens_a_row_and_sorts_by_a_column(screens: Screens, files: dict[str, Path]) -> None:
    page = screens.show(files[PAGES["target"]]).page
    row = page.locator("table.answers").first.locator("tr.line").nth(1)
    row.locator("summary").focus()
    page.keyboard.press("Enter")
    assert row.locator("xpath=following-sibling::tr[1]").is_visible(), "the details of a row"
    head = page.locator("table.answers thead th button").nth(1)
    head.focus()
    page.keyboard.press("Enter")
    assert page.locator("table.answers thead th").nth(1).get_attribute("aria-sort") == "ascending"


@pytest.mark.parametrize(
    "name", ["index", "history", "all targets", "target", "jobs", "runs", "sessions", "one result", "hostile targets"]
)
def test_a_page_says_everything_without_scripts(screens: Screens, files: dict[str, Path], name: str) -> None:
    page = screens.show(files[PAGES[name]]).page
    with_scripts = text_of(page) - text_of_controls(page)
    page = screens.show(files[PAGES[name]], scripts=False).page
    assert page.locator("main").is_visible()
    assert page.locator("select:visible").count() == 0, "nothing that does nothing"
    assert page.locator("button:visible").count() == 0
    assert text_of(page) >= with_scripts
    assert overflow(page) == []


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


def text_of_controls(page: Page) -> set[str]:
    """What the script adds: lists to choose from, buttons, and their labels."""
    told: list[str] = page.evaluate(
        """() => [...document.querySelectorAll(".tools, .tools *, [data-metrics] *")]
          .flatMap((each) => [...each.childNodes]).filter((each) => each.nodeType === 3)
          .map((each) => each.data.trim())"""
    )
    return set(told)


@pytest.mark.parametrize("name", ["index", "all targets", "target", "runs", "sessions", "runtimes", "one result"])
def test_a_page_prints(screens: Screens, files: dict[str, Path], name: str) -> None:
    """What a manager reads on one sheet; whoever opens the sections first gets no more than six beside it."""
    page = screens.show(files[PAGES[name]]).page
    page.emulate_media(media="print", color_scheme="light")
    first, wide = sheets(page), overflow(page)
    page.evaluate("for (const each of document.querySelectorAll('details.section')) each.open = true")
    whole = sheets(page)
    page.emulate_media(media="screen")
    assert wide == []
    assert first == 1
    assert 1 <= whole <= MOST_SHEETS


def sheets(page: Page) -> int:
    return len(re.findall(rb"/Type\s*/Page\b", page.pdf(format="A4")))


def test_a_metric_is_chosen_from_a_list(screens: Screens, files: dict[str, Path]) -> None:
    section = screens.show(files[PAGES["all targets"]]).page.locator("section").first
    tables = section.locator("details.metric")
    assert tables.count() > 2
    assert [tables.nth(at).is_visible() for at in range(3)] == [True, False, False]
    chosen = section.locator("select").first
    chosen.select_option(index=2)
    assert [tables.nth(at).is_visible() for at in range(3)] == [False, False, True]
    assert tables.nth(2).locator("table").is_visible()


def test_a_link_to_a_job_opens_it(screens: Screens, files: dict[str, Path]) -> None:
    seen = screens.show(files[PAGES["all targets"]])
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


@pytest.mark.parametrize("name", [name for name in PAGES if name.startswith("hostile")])
def test_no_name_acts_in_a_browser(screens: Screens, files: dict[str, Path], name: str) -> None:
    visible = ATTACK.replace("\u202e", "\\u202e")
    page = screens.show(files[PAGES[name]]).page
    assert page.locator("img, iframe, object, embed, link, base, form").count() == 0
    assert page.locator("script").count() == 1
    assert visible[:40] in (page.text_content("body") or "")
    assert page.title() != "HACKED"


def test_a_page_would_be_stopped_from_acting(screens: Screens, tmp_path: Path, files: dict[str, Path]) -> None:
    """Were a name to get through, the policy would still not let it act: its script has another hash."""
    text = files[PAGES["index"]].read_text(encoding="utf-8")
    attacked = tmp_path / "attacked.html"
    attacked.write_text(text.replace("<main>", f"<main>{ATTACK}"), encoding="utf-8")
    seen = screens.show(attacked)
    assert seen.page.title() != "HACKED"
    assert any("Content Security Policy" in error for error in seen.errors)


@pytest.mark.parametrize("width", [1440, 1280, 1265, 1024, 360])
def test_the_letters_of_the_trade_off_can_be_read(screens: Screens, files: dict[str, Path], width: int) -> None:
    page = screens.show(files[PAGES["target"]]).page
    page.set_viewport_size({"width": width, "height": 740})
    drawn = page.evaluate(
        """() => [...document.querySelectorAll(".tradeoff svg")]
          .map((each) => 12 * each.getBoundingClientRect().width / each.viewBox.baseVal.width)"""
    )
    page.set_viewport_size({"width": 1440, "height": 900})
    assert drawn
    assert min(drawn) >= 8.5, "letters of 12 in pixels"
