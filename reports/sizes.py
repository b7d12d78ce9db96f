"""Sizes: what an artefact takes on disk and as a download, and what its runtime adds. Exact, so without intervals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from benchharness.result import Job
from reports.entries import Entry
from reports.page import Smallest
from reports.tables import Size
from reports.units import quantity_text
from reports.visible import name_text, value_text

Rows = Sequence[Sequence[Entry]]


def smallest(rows: Rows) -> Smallest | None:
    """The smallest artefact; None where there are not two to compare."""
    sizes = _on_disk(rows)
    if len(sizes) < 2:
        return None
    variant = min(sizes, key=sizes.__getitem__)
    equals = [other for other, size in sizes.items() if size == sizes[variant]]
    job = next(row[0].result.job for row in rows if row[0].result.job.variant == variant)
    downloads = _downloads(rows)
    return Smallest(
        variant=", ".join(name_text(other) for other in equals),
        size=quantity_text(sizes[variant], "bytes"),
        ratio=_ratio(job.reference, variant, sizes),
        download=quantity_text(downloads[variant], "bytes") if variant in downloads else "",
    )


def is_smallest(job: Job, rows: Rows) -> bool:
    """Whether a job's artefact is the smallest of several."""
    sizes = _on_disk(rows)
    return len(set(sizes.values())) > 1 and job.artefact_bytes == min(sizes.values())


def sizes_of(row: Sequence[Entry], rows: Rows) -> Iterator[Size]:
    """The sizes of one row: on disk, as a download, and the runtime's libraries where they were read."""
    job = row[0].result.job
    on_disk, downloads = _on_disk(rows), _downloads(rows)
    known = job.variant in on_disk
    yield Size(
        title="on disk",
        text=quantity_text(on_disk[job.variant], "bytes") if known else "unknown",
        ratio=_ratio(job.reference, job.variant, on_disk),
        reason="" if known else "it cannot be read",
    )
    if job.variant in downloads:
        text = quantity_text(downloads[job.variant], "bytes")
        yield Size(title="download", text=text, ratio=_ratio(job.reference, job.variant, downloads))
    elif reason := _why_no_download(row):
        yield Size(title="download", text="unknown", ratio="", reason=reason)
    libraries = [
        metric.estimate.value
        for entry in row
        for metric in entry.result.metrics
        if metric.name == "runtime_libraries" and metric.estimate.value is not None
    ]
    if libraries:
        yield Size(title="runtime libraries", text=quantity_text(max(libraries), "bytes"), ratio="")


def _on_disk(rows: Rows) -> dict[str, int]:
    """Known artefact sizes by variant. A size of 0 means that the artefact could not be read."""
    jobs = [row[0].result.job for row in rows]
    return {job.variant: job.artefact_bytes for job in jobs if job.artefact_bytes > 0}


def _downloads(rows: Rows) -> dict[str, int]:
    jobs = [row[0].result.job for row in rows]
    return {job.variant: job.download_bytes for job in jobs if job.download_bytes is not None}


def _why_no_download(row: Sequence[Entry]) -> str:
    metrics = (metric for entry in row for metric in entry.result.metrics)
    return next((value_text(metric.estimate.reason) for metric in metrics if metric.name == "download_size"), "")


def _ratio(reference: str, variant: str, sizes: Mapping[str, int]) -> str:
    if variant == reference or variant not in sizes or not sizes.get(reference):
        return ""
    return f"{quantity_text(sizes[variant] / sizes[reference], '')}×"
