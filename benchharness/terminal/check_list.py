"""What `benchharness device check` shows: a line for each thing that was looked at, and below it what helps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from benchharness.execute.checking import Check, State
from benchharness.terminal.values import one_line

_SIGNS = {State.FINE: ("✓", "green"), State.DOUBT: ("?", "yellow"), State.BAD: ("✗", "red")}
_LONGEST = 400


def check_lines(checks: Sequence[Check]) -> Iterator[tuple[str, str]]:
    """Each line and its style; what is bad first."""
    order = [State.BAD, State.DOUBT, State.FINE]
    for each in sorted(checks, key=lambda check: order.index(check.state)):
        sign, style = _SIGNS[each.state]
        yield f"{sign} {one_line(each.of, 40)}: {one_line(each.found, _LONGEST)}", style
        if each.helps:
            yield f"  {one_line(each.helps, _LONGEST)}", ""
