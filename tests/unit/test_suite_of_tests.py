"""The tests themselves: which run alone, and that nothing is skipped unseen."""

from __future__ import annotations

import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from tests.conftest import ALONE, LONG, ROOT, SLOW, TESTS
from tests.skips import OPTION, not_allowed


@pytest.mark.parametrize("name", [*ALONE, *SLOW])
def test_every_module_that_is_named_is_there(name: str) -> None:
    assert (TESTS / name).is_file()


@pytest.mark.parametrize("line", sorted(LONG))
def test_every_long_test_is_there(line: str) -> None:
    path, *_, name = line.partition("[")[0].split("::")
    assert re.search(rf"(def|class) {name}\b", text_of_tests(path)), "it moved: mend tests/long.txt"


@cache
def text_of_tests(path: str) -> str:
    """A module of tests, with what it inherits from the contracts that we publish."""
    contracts = sorted((ROOT / "benchharness" / "testing").glob("*.py")) if path.startswith("contract/") else []
    return "\n".join(each.read_text(encoding="utf-8") for each in [TESTS / path, *contracts])


def test_check_runs_every_test() -> None:
    makefile = (ROOT / "Makefile").read_text()
    recipe = makefile.partition("\ncheck:")[2].partition("\n\n")[0]
    assert {"$(MAKE) test ", "$(MAKE) test-long "} <= set(re.findall(r"\$\(MAKE\) \S+ ", recipe))
    assert "$(call both_halves,not long)" in makefile
    assert "$(call both_halves,long)" in makefile


def test_of_every_module_something_is_not_long(request: pytest.FixtureRequest) -> None:
    items = [each for each in request.session.items if each.path.is_relative_to(TESTS)]
    short = {each.path for each in items if each.get_closest_marker("long") is None}
    selected = request.config.getoption("markexpr")
    assert selected or not {each.path for each in items} - short


def test_what_measures_is_alone(request: pytest.FixtureRequest) -> None:
    (here,) = (item for item in request.session.items if item is request.node)
    assert here.get_closest_marker("alone") is None
    assert "unit/test_limits.py" in ALONE


def test_reasons_are_matched_from_their_start() -> None:
    found = {"no root here: sorry": 1, "there is no root": 2}
    assert not_allowed(found, "# comment\n\nno root\n") == ["there is no root"]


@pytest.mark.parametrize(("allowed", "code"), [("not on a \\w+day", 0), ("# nothing", 1)])
def test_a_skip_is_told_and_fails_where_it_is_not_allowed(tmp_path: Path, allowed: str, code: int) -> None:
    (tmp_path / "conftest.py").write_text("from tests.skips import *\n")
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "test_it.py").write_text("import pytest\ndef test(): pytest.skip('not on a Sunday')\n")
    (tmp_path / "allowed").write_text(allowed)
    command = [sys.executable, "-m", "pytest", f"--rootdir={tmp_path}", "-q", f"{OPTION}={tmp_path / 'allowed'}"]
    done = subprocess.run([*command, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    assert "NOT TRIED HERE: 1 tests" in done.stdout
    assert "    1  not on a Sunday" in done.stdout
    assert ("allows this reason: not on a Sunday" in done.stdout) == bool(code)


WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


@pytest.mark.parametrize("path", [*WORKFLOWS, ROOT / ".ci" / "run"], ids=lambda path: path.name)
def test_what_ci_calls_is_there(path: Path) -> None:
    text = re.sub(r"^ *#.*$", "", path.read_text(), flags=re.MULTILINE)
    makefile = (ROOT / "Makefile").read_text().replace("$(READY):", ".venv/.ready:")
    for target in re.findall(r"^(?: *run: | +|)make ([^\s]+)", text, flags=re.MULTILINE):
        assert re.search(rf"^{re.escape(target)}:", makefile, flags=re.MULTILINE), target
    for file in re.findall(r"(?<![\w/])\.ci/[\w.]+", text):
        assert (ROOT / file).is_file()


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_by_their_whole_version(path: Path) -> None:
    used = re.findall(r"uses: (\S+)", path.read_text())
    assert used
    assert all(re.fullmatch(r"actions/[a-z-]+@v\d+\.\d+\.\d+", each) for each in used)
