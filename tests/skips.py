"""What could not be tried on this machine: told at the end, where nobody overlooks it, and refused where CI says so."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest

OPTION = "--skips-allowed"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        OPTION,
        type=Path,
        metavar="FILE",
        help="fail if a test was skipped for a reason that no line of FILE, a regular expression each, matches",
    )


def reasons(reporter: pytest.TerminalReporter) -> Counter[str]:
    """Why tests were skipped, and how many each."""
    found: Counter[str] = Counter()
    for report in reporter.stats.get("skipped", []):
        told = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        found[told.removeprefix("Skipped: ")] += 1
    return found


def not_allowed(found: Iterable[str], allowed: str) -> list[str]:
    """The reasons that no line of the list matches from its start."""
    patterns = [line for line in allowed.splitlines() if line.strip() and not line.startswith("#")]
    return [reason for reason in found if not any(re.match(pattern, reason) for pattern in patterns)]


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    allowed = session.config.getoption(OPTION)
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if allowed is not None and reporter is not None and not_allowed(reasons(reporter), allowed.read_text()):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    found = reasons(terminalreporter)
    if not found:
        return
    terminalreporter.section(f"NOT TRIED HERE: {sum(found.values())} tests", yellow=True, bold=True)
    for reason, count in found.most_common():
        terminalreporter.write_line(f"{count:5}  {reason}")
    allowed = config.getoption(OPTION)
    for reason in not_allowed(found, allowed.read_text()) if allowed is not None else []:
        terminalreporter.write_line(f"no line of {allowed} allows this reason: {reason}", red=True)
