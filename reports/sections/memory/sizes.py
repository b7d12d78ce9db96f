"""Sizes: what an artefact takes on disk and as a download, and what its runtime adds. Exact, so without intervals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from benchharness.units import Scale, quantity_text
from reports.model.entries import Entry
from reports.model.memory import OF_FILES, wished_scale
from reports.model.tables import Cell, Quantity, QuantityRow, QuantityTable
from reports.model.visible import name_text, value_text

Rows = Sequence[Sequence[Entry]]
#: (run, variant, digest; None where the artefact cannot be read).
Key = tuple[str, str | None]
Sizes = Mapping[Key, int]


def sizes_of(rows: Rows) -> QuantityTable | None:
    """The sizes of every row, over those of the reference of its run; None where none is known."""
    on_disk, downloads, scale = _on_disk(rows), _downloads(rows), _scale(rows)
    if not on_disk and not downloads:
        return None
    return QuantityTable(
        scenario="",
        columns=(("on disk", "over the reference"), ("download", "over the reference"), ("runtime libraries", "")),
        rows=tuple(
            QuantityRow(who=row[0].who, cells=tuple(_cells(row, rows, on_disk, downloads, scale))) for row in rows
        ),
    )


def smallest(rows: Rows) -> str:
    """The smallest artefact, with its size; "" where there are not two to compare."""
    sizes = _on_disk(rows)
    if len(sizes) < 2:
        return ""
    key = min(sizes, key=sizes.__getitem__)
    row = next(row for row in rows if _key(row) == key)
    ratio, size = _ratio(row, rows, sizes), quantity_text(sizes[key], "bytes", _scale(rows))
    return f"smallest file {name_text(key[0])}, {size}{f' ({ratio})' if ratio else ''}"


def _cells(row: Sequence[Entry], rows: Rows, on_disk: Sizes, downloads: Sizes, scale: Scale | None) -> Iterator[Cell]:
    key = _key(row)
    for sizes, why in ((on_disk, "it cannot be read"), (downloads, _why_no_download(row) or "not computed")):
        if key not in sizes:
            yield Cell(state="unknown", quantity=Quantity(text="unknown", reason=why))
            continue
        ratio = _ratio(row, rows, sizes)
        told = f"{quantity_text(sizes[key], 'bytes', scale)}{f', {ratio}' if ratio else ''}"
        yield Cell(state="value", quantity=Quantity(text=told))
    libraries = [
        metric.estimate.value
        for entry in row
        for metric in entry.result.metrics
        if metric.name == "runtime_libraries" and metric.estimate.value is not None
    ]
    if libraries:
        yield Cell(state="value", quantity=Quantity(text=quantity_text(max(libraries), "bytes")))
    else:
        yield Cell(state="absent", note="not read")


def _scale(rows: Rows) -> Scale | None:
    """The unit in which a budget on a size is written."""
    return wished_scale([entry for row in rows for entry in row], *OF_FILES)


def _key(row: Sequence[Entry]) -> Key:
    job = row[0].result.job
    return job.variant, job.digest or None


def _on_disk(rows: Rows) -> dict[Key, int]:
    """Known artefact sizes. A size of 0 means that the artefact could not be read."""
    return {_key(row): size for row in rows if (size := row[0].result.job.artefact_bytes) > 0}


def _downloads(rows: Rows) -> dict[Key, int]:
    return {_key(row): size for row in rows if (size := row[0].result.job.download_bytes) is not None}


def _why_no_download(row: Sequence[Entry]) -> str:
    metrics = (metric for entry in row for metric in entry.result.metrics)
    return next((value_text(metric.estimate.reason) for metric in metrics if metric.name == "download_size"), "")


def _ratio(row: Sequence[Entry], rows: Rows, sizes: Sizes) -> str:
    """Over the reference."""
    job, key = row[0].result.job, _key(row)
    others = (_key(other) for other in rows if other[0].result.job.variant == job.reference)
    reference = next(others, None)
    if job.is_reference or reference is None or key not in sizes or not sizes.get(reference):
        return ""
    return f"{quantity_text(sizes[key] / sizes[reference], '')}×"
