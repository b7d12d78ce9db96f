"""One browser for all of its tests, and every page as a file."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.browser.made_up_pages import written

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The system's own: nothing is downloaded.

    Of a module and no longer: Playwright has an event loop running in this thread as long as it is open, beside which
    no test of another module can have one.
    """
    found = next((path for path in map(shutil.which, BROWSERS) if path), None)
    if found is None:
        pytest.skip(f"NOT TESTED: pages in a browser; none of {', '.join(BROWSERS)} is installed")
    with sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-gpu"])
        yield started
        started.close()


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Every page, by its path."""
    return written(tmp_path_factory.mktemp("pages"))
