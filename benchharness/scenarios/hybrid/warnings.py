"""What makes the figures of simulated networks less sure."""

from __future__ import annotations

from collections.abc import Iterator

from benchharness.results.result import Result, ResultWarning, WarningKind
from benchharness.scenarios.hybrid.trade import trade_of

#: A simulated network may deliver so much later than it should, in so large a share of requests.
MOST_LATE_NS, _MOST_SHARE = 2e6, 0.05


def late_network(result: Result) -> Iterator[ResultWarning]:
    """Bytes that came later than the network's course says: the process that simulates it waited for a core."""
    trade = trade_of(result)
    late = [row.late for each in trade.candidates for cell in each.cells for row in cell.rows] if trade else []
    beyond = [each for each in late if each > MOST_LATE_NS]
    if beyond and len(beyond) > _MOST_SHARE * len(late):
        yield ResultWarning(
            kind=WarningKind.LATE_NETWORK,
            message=f"in {len(beyond)} of {len(late)} requests the simulated network delivered something more than "
            f"{MOST_LATE_NS / 1e6:g} ms later than it should have, by {max(beyond) / 1e6:.0f} ms at most",
            hint="give it a core: fewer threads for the model, and nothing else on the device",
        )
