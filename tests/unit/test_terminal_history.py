"""What `benchharness history` prints: changes first, nothing broken at 80 columns, and documents for programs."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.console import Console

from benchharness.results.store import Store
from benchharness.results.trends import Certainty, History
from benchharness.terminal.history import history_markdown, show_history, sparkline
from tests.conftest import CommandLine
from tests.unit.history_samples import changed_nights, told, write
from tests.unit.screens import console


@pytest.fixture(scope="module")
def history() -> Iterator[History]:
    store = Store("sqlite://")
    yield told(write(store, changed_nights()))
    store.close()


def shown(history: History, width: int = 80, **told: str) -> list[str]:
    terminal, screen = console(width, **told)
    show_history(history, terminal)
    return screen.getvalue().splitlines()


def test_confirmed_changes_stand_first_with_their_cause_and_then_what_is_missing(history: History) -> None:
    lines = shown(history, 200)
    assert lines[0] == "3 confirmed changes, 2 worse, 3 missing"
    changes = lines[1:4]
    assert all(line.startswith("  2026-03-16 this-machine · chat · int8") for line in changes)
    assert all(line.endswith("artefact ab12ab12ab12 → cd34cd34cd34") for line in changes)
    assert sum("worse" in line for line in changes) == 2
    assert "3 figures: failed for 1 night, since 2026-03-27: crashed" in lines[4]
    assert "absolute values only" in lines[5]


@pytest.mark.parametrize("width", [80, 60, 120])
def test_no_line_is_broken_or_wider_than_the_terminal(history: History, width: int) -> None:
    lines = shown(history, width)
    assert max(map(cell_len, lines)) <= width
    figures = lines[lines.index("") + 2 :]
    assert sum(line.startswith("  ") for line in figures) == len(history.trends) == 6, "a line for each figure"
    assert sum("▁" in line for line in figures) == (6 if width >= 80 else 0)


def test_a_figure_that_is_missing_shows_no_value(history: History) -> None:
    lines = shown(history)
    at = next(number for number, line in enumerate(lines) if line.startswith("this-machine") and "fp" in line)
    assert all("missing" in line and " ms " not in line for line in lines[at + 1 : at + 4])


def test_a_terminal_that_knows_few_characters_gets_no_bars() -> None:
    history = told(write(Store("sqlite://"), changed_nights()[:4]))
    screen = io.TextIOWrapper(io.BytesIO(), encoding="ascii", errors="replace")
    show_history(history, Console(file=screen, width=80, color_system=None))
    screen.seek(0)
    text = screen.read()
    assert "model TTFT" in text
    assert "?" not in text


@pytest.mark.parametrize("names", ["\x1b[31m[bold]*_`@all<img src=x>", "long" * 100, " "])
def test_names_steer_nothing(names: str) -> None:
    store = Store("sqlite://")
    history = told(write(store, changed_nights(names)))
    assert len(history.steps(Certainty.CONFIRMED)) == 3
    lines = shown(history)
    assert max(map(cell_len, lines)) <= 80
    assert "\x1b" not in "".join(lines)
    text = history_markdown(history)
    assert "<img" not in text
    assert "@all" not in text
    assert "\x1b" not in text


def test_markdown_tells_changes_and_gaps(history: History) -> None:
    text = history_markdown(history)
    assert text.startswith("**3 confirmed changes, 2 worse, 3 missing**\n\n- 2026-03-16 ")
    assert text.count("artefact ab12ab12ab12 → cd34cd34cd34") == 3
    assert text.count("3 figures: failed for 1 night") == 1


def test_json_has_everything(history: History) -> None:
    document = json.loads(history.to_json())
    assert document["schema"] == 1
    assert len(document["nights"]) == 28
    (trend,) = [each for each in document["trends"] if (each["metric"], each["variant"]) == ("model_ttft", "int8")]
    assert len(trend["absolute"]["values"]) == len(trend["ratio"]["nights"]) == len(trend["base"]["lows"]) == 28
    (step,) = trend["steps"]
    assert (step["night"], step["certainty"], step["worse"]) == (15, "confirmed", True)
    assert step["causes"] == [{"what": "artefact", "before": "ab12ab12ab12", "after": "cd34cd34cd34"}]
    assert {each["gap"]["failed"] for each in document["trends"] if each["gap"]} == {True}


def test_a_store_without_runs_says_so() -> None:
    store = Store("sqlite://")
    assert shown(told(store))[0] == "No figure in these nights"
    assert history_markdown(told(store)).startswith("**No figure in these nights**")


def test_bars_go_from_the_least_to_the_most() -> None:
    assert sparkline([1.0, 2.0, 3.0]) == "▁▅█"
    assert sparkline([5.0, 5.0]) == "▁▁"


def test_the_command_prints_documents_alone_and_writes_a_page(tmp_path: Path, benchharness: CommandLine) -> None:
    url = f"sqlite:///{tmp_path / 'store.db'}"
    write(Store(url), changed_nights()).close()
    done = benchharness("history", "--store", url, "--format", "json", "--out", tmp_path / "pages" / "h.html")
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)["trends"]) == 6
    assert "report: " in done.stderr
    assert "<svg" in (tmp_path / "pages" / "h.html").read_text(encoding="utf-8")
    done = benchharness("history", "--store", url, "--metric", "peak_memory", "--hardware", "this-machine")
    assert done.stdout.startswith("1 confirmed change, 1 worse, 1 missing\n")
    refused = benchharness("history", "--store", url, "--since", "long ago")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "is not an age" in refused.stderr
