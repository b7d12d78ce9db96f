"""A self-test as lines: what this machine could see, and what disturbs it with the remedy."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from benchharness.judge.disturbances import Disturbance
from benchharness.judge.selftest import SelfTest, least_visible
from benchharness.judge.told import percent
from benchharness.metrics import METRICS
from benchharness.terminal.console import tell
from benchharness.terminal.values import one_line


def show_selftest(tests: Sequence[SelfTest], disturbances: Sequence[Disturbance], noise: str, console: Console) -> None:
    """The answer first, then each metric, then what disturbs."""
    visible = least_visible(tests)
    seen = f"changes from {percent(visible)} on can be seen" if visible is not None else "no change can be seen"
    tell(console, f"This machine: {seen}{f'; the noise probe calls it {noise}' if noise else ''}.", "bold")
    for each in tests:
        tell(console, _line(each))
    for one in disturbances:
        tell(console, one_line(f"{one.what}: {one.found}; {one.remedy}"), "yellow")
    if not disturbances:
        tell(console, "Nothing that the machine tells of disturbs it.", "green")


def _line(test: SelfTest) -> str:
    visible = f"a change of {percent(test.visible)}" if test.visible is not None else "no change"
    return (
        f"{METRICS[test.metric].title}: {visible} would be called; of {test.designs} designs drawn from {test.pairs} "
        f"pairs {test.false_alarms} false alarms and {test.ended_same} ended as no worse; by the {test.apart} that "
        f"share no pair between {percent(test.low)} and {percent(test.high)} are false alarms"
    )
