"""Names and words with HTML in them, in a real browser: shown as text, and nothing of them becomes an element."""

from __future__ import annotations

import html
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import CommandLine
from tests.integration.awkward_run import python_path, wrapper

ATTACK = "<img src=x onerror=document.title='HACKED'>"
SCRIPT = "<script>document.title='HACKED'</script>"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
ALONE = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--virtual-time-budget=2000",
    "--dump-dom",
)


@pytest.fixture(scope="module")
def browser() -> str:
    found = next((path for path in map(shutil.which, BROWSERS) if path), None)
    if found is None:
        pytest.skip(f"NOT TESTED: whether a name can act in a browser; none of {', '.join(BROWSERS)} is installed")
    return found


def dom(browser: str, page: Path, profile: Path) -> str:
    """The page as the browser holds it after scripts have had their time."""
    command = [browser, *ALONE, f"--user-data-dir={profile}", page.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=True).stdout


@pytest.fixture
def page(benchharness: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A report on a suite in which everything that has a name is hostile, and the model's last words are too."""
    monkeypatch.setenv("PYTHONPATH", python_path())
    # A path cannot hold the slash of a closing tag.
    folder = tmp_path / ATTACK
    folder.mkdir()
    (folder / f"{ATTACK}.awkward").write_text("fine")
    (folder / "bad.awkward").write_text("load raise")
    wrapper(folder / "loud", f'echo "{SCRIPT}{ATTACK}" >&2')
    (folder / "suite.toml").write_text(
        f"""
        name = "{ATTACK}suite"
        [models."{ATTACK}model".variants]
        "{ATTACK}variant" = {{ artefact = "{ATTACK}.awkward", recipe = "{SCRIPT}recipe" }}
        "{SCRIPT}bad" = {{ artefact = "bad.awkward" }}
        [[configurations]]
        name = "{SCRIPT}configuration"
        runtime = "awkward"
        python = "loud"
        accelerator = "{ATTACK}accelerator"
        options = {{ "{ATTACK}option" = "{SCRIPT}" }}
        [[workloads]]
        name = "{ATTACK}workload"
        prompt = {{ tokens = 8 }}
        [scenarios.steady]
        min_time = "1 ms"
        [attempts]
        at_least = 2
        """
    )
    (folder / "hardware.toml").write_text(f'name = "{ATTACK}hardware"\ndescription = "{SCRIPT}"\n')
    done = benchharness("run", folder / "suite.toml", "--on", folder / "hardware.toml", report=True)
    assert done.returncode == 3, done.stderr
    (written,) = (each for each in (tmp_path / "report").glob("*.html") if not each.name.endswith(".jobs.html"))
    return written


def test_hostile_names_are_text_in_a_browser(browser: str, page: Path, tmp_path: Path) -> None:
    held = dom(browser, page, tmp_path / "profile")
    assert "</html>" in held, "the browser shows the page"
    title = re.search(r"<title>(.*?)</title>", held, re.DOTALL)
    assert title is not None
    assert html.unescape(title[1]).strip() != "HACKED"
    elements = re.sub(r'="[^"]*"', '=""', held)
    assert not re.search(r"<(img|iframe|object|embed|link|base|form)\b", elements)
    assert len(re.findall(r"<script\b", elements)) == 1, "the page's own"
    assert not re.search(r"<[^>]*\son\w+\s*=", elements)
    text = html.unescape(held)
    for name in ("suite", "variant", "hardware"):
        assert f"{ATTACK}{name}" in text, f"the name of the {name} is shown as it is"
    for name in ("bad", "configuration"):
        assert f"{SCRIPT}{name}" in text
    escaped = html.escape(ATTACK, quote=False)
    assert f"{escaped}variant" in held


def test_hostile_names_are_text_in_a_history(
    browser: str, page: Path, tmp_path: Path, benchharness: CommandLine
) -> None:
    assert page.is_file()
    done = benchharness("history", "--out", "history.html")
    assert done.returncode == 0, done.stderr
    held = dom(browser, tmp_path / "history.html", tmp_path / "profile")
    elements = re.sub(r'="[^"]*"', '=""', held)
    assert not re.search(r"<(img|iframe|object|embed|link|base|form)\b", elements)
    assert len(re.findall(r"<script\b", elements)) == 1, "the page's own"
    assert "<title>HACKED</title>" not in held
    assert f"{ATTACK}variant" in html.unescape(held)


def test_what_a_model_printed_is_text_in_a_browser(browser: str, page: Path, tmp_path: Path) -> None:
    held = dom(browser, page, tmp_path / "profile")
    assert "&lt;b&gt;markup&lt;/b&gt;" in held, "the reason of the failure"
    assert "<b>markup" not in held


def test_the_browser_would_have_noticed(browser: str, tmp_path: Path) -> None:
    """The same attacks, unescaped, do act: so the tests above can fail."""
    attacked = tmp_path / "attacked.html"
    attacked.write_text(f"<html><title>calm</title><body>{ATTACK}</body></html>")
    held = dom(browser, attacked, tmp_path / "profile")
    assert "<title>HACKED</title>" in held
