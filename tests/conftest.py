"""What several test modules share: small models, and a way to run the command line as a user does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.command_line import STARTER, Starter
from tests.postgres import database, postgres  # noqa: F401 - pytest finds them
from tests.skips import pytest_addoption, pytest_sessionfinish, pytest_terminal_summary  # noqa: F401 - pytest finds them

TESTS = Path(__file__).parent
ROOT = TESTS.parent
DEMO = ROOT / "examples" / "demo_model"
ARTEFACTS = DEMO / "artefacts"

CommandLine = Callable[..., "subprocess.CompletedProcess[str]"]

# Hundreds of processes start here: what they import is compiled once, whatever the user's shell says.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# A shell's background job ignores Ctrl-C, and so would every program that a test starts from one.
signal.signal(signal.SIGINT, signal.default_int_handler)

#: What measures time, cores or memory, binds or limits them, or looks for strays that nobody may have ended: run beside
#: another test it would measure that one, or its supervisors would end the strays. Everything else runs in two
#: processes (Makefile); those that a test starts carry a mark, or belong to a user of their own: they are told apart.
ALONE = (
    "contract/test_adapter_contract.py",
    "contract/test_onnx_fallback.py",
    "integration/test_bad_models.py",
    "integration/test_constrained.py",
    "integration/test_hardware.py",
    "integration/test_leftovers.py",
    "integration/test_ledger_kill.py",
    "integration/test_memory.py",
    "integration/test_sustained.py",
    "unit/sensors/test_panel.py",
    "unit/test_child.py",
    "unit/test_compress_process.py",
    "unit/test_limits.py",
    "unit/test_noise.py",
    "unit/test_page_cache.py",
    "unit/test_timing.py",
)
#: What `make test-fast` leaves to `make test`: real models, real tools and pages that are drawn.
SLOW = (
    "unit/test_compress_outputs.py",
    "unit/test_earlier.py",
    "unit/test_inspection.py",
    "unit/test_opening.py",
    "unit/test_report_contrasts.py",
    "unit/test_report_placement.py",
    "unit/test_report_safety.py",
    "unit/test_report_sustained.py",
    "unit/test_reports.py",
    "unit/test_store_opening.py",
)


#: What `make test` leaves to `make test-long`, by its path here: whole classes and tests, and single cases of others.
LONG = frozenset(
    line for line in (TESTS / "long.txt").read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")
)


#: Started on purpose alone: `make test-vm`, `make test-phone`.
collect_ignore = [
    folder
    for folder, variable in (("vm", "BENCHHARNESS_VM"), ("phone", "BENCHHARNESS_PHONE"))
    if not os.environ.get(variable)
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks tests by their module, and long ones by their name."""
    for item in items:
        case = item.nodeid.removeprefix("tests/")
        test = case.partition("[")[0]
        if LONG & {case, test, test.rpartition("::")[0]}:
            item.add_marker(pytest.mark.long)
        name = item.path.relative_to(TESTS).as_posix() if item.path.is_relative_to(TESTS) else ""
        for marker, modules in ((pytest.mark.alone, ALONE), (pytest.mark.slow, SLOW)):
            if name in modules:
                item.add_marker(marker)
        if sys.platform == "win32" and item.get_closest_marker("alone"):
            item.add_marker(pytest.mark.skip(reason="processes, sensors and limits are POSIX's; not tried on Windows"))


@pytest.fixture
def store_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'store.db'}"


@pytest.fixture(scope="session", autouse=True)
def _ended_starter() -> Iterator[None]:
    yield
    STARTER.end()


@pytest.fixture
def benchharness(tmp_path: Path, store_url: str) -> CommandLine:
    """Runs `python -m benchharness ...` in a folder of the test's own, with a store of its own."""
    return command_line(tmp_path, store_url)


def command_line(folder: Path, store_url: str, starter: Starter = STARTER, **variables: str) -> CommandLine:
    """Runs `python -m benchharness ...` in a folder, with variables of the environment beside ours.

    What measures draws a report only for a test that looks at it: `report=True`.
    """

    def run(*arguments: str | Path, timeout: float = 300, report: bool = False) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "BENCHHARNESS_STORE": store_url, "COLUMNS": "200", "NO_COLOR": "1", **variables}
        words = [*map(str, arguments)]
        if not report and words[:1] in (["run"], ["sweep"], ["demo"]):
            words.insert(1, "--no-report")
        return starter.run(words, cwd=folder, env=environment, timeout=timeout)

    return run
