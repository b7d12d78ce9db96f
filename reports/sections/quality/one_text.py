"""What an interval over the chunks of one text is over, in a sentence."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from benchharness.results.result import MetricResult

#: What intervals are over where there is only one document.
_PARTS = ("chunks", "stretches of text")


def of_one_text(rows: Iterable[Mapping[str, MetricResult]]) -> Iterator[str]:
    """Where any interval of a table's rows, by metric, is over parts of one text."""
    over = {
        (metric.estimate.drawn, metric.estimate.drawn_unit)
        for row in rows
        for metric in row.values()
        if metric.estimate.low is not None and metric.estimate.drawn_unit in _PARTS
    }
    if over:
        counted = " and over ".join(f"{count:,} {unit}" for count, unit in sorted(over))
        yield (
            f"Intervals over {counted} in a row allow for neighbours being alike. They speak of this one text; how far "
            "others are from it, several documents would tell."
        )
