"""Sizes: what an artefact takes on disk and as a download, and what its runtime adds. Exact, so without intervals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from benchharness.results.result import Job
from benchharness.units import quantity_text
from reports.model.entries import Entry
from reports.model.tables import Size
from reports.model.visible import name_text, value_text

Rows = Sequence[Sequence[Entry]]
#: (run, variant, digest; None where the artefact cannot be read).
Key = tuple[str, str, str | None]


@dataclass(frozen=True, kw_only=True)
class Smallest:
    """The variant with the smallest artefact. `ratio` to the reference, "" where it is the reference or unknown."""

    variant: str
    size: str
    ratio: str
    download: str  # "" where it is unknown


def smallest(rows: Rows) -> Smallest | None:
    """The smallest artefact; None where there are not two to compare."""
    sizes = _on_disk(rows)
    if len({(name, digest) for _, name, digest in sizes}) < 2:
        return None
    key = min(sizes, key=sizes.__getitem__)
    equals = [other for other in sizes if sizes[other] == sizes[key]]
    row = next(row for row in rows if _key(row) == key)
    downloads = _downloads(rows)
    return Smallest(
        variant=", ".join(dict.fromkeys(_told_apart(other, sizes) for other in equals)),
        size=quantity_text(sizes[key], "bytes"),
        ratio=_ratio(row, rows, sizes) or ("" if row[0].result.job.is_reference else "no ratio"),
        download=quantity_text(downloads[key], "bytes") if key in downloads else "",
    )


def is_smallest(job: Job, rows: Rows) -> bool:
    """Whether a job's artefact is the smallest of several."""
    sizes = _on_disk(rows)
    return smallest(rows) is not None and len(set(sizes.values())) > 1 and job.artefact_bytes == min(sizes.values())


def sizes_of(row: Sequence[Entry], rows: Rows) -> Iterator[Size]:
    """The sizes of one row: on disk, as a download, and the runtime's libraries where they were read."""
    on_disk, downloads = _on_disk(rows), _downloads(rows)
    key = _key(row)
    known = key in on_disk
    yield Size(
        title="on disk",
        text=quantity_text(on_disk[key], "bytes") if known else "unknown",
        ratio=_ratio(row, rows, on_disk),
        reason="" if known else "it cannot be read",
    )
    if key in downloads:
        text = quantity_text(downloads[key], "bytes")
        yield Size(title="download", text=text, ratio=_ratio(row, rows, downloads))
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


def _told_apart(key: Key, sizes: Mapping[Key, int]) -> str:
    """A variant's name, with its run where another run has another artefact under the same name."""
    run, name, digest = key
    others = any(name == other and digest != its for _, other, its in sizes)
    return " · ".join((name_text(name), run)) if others else name_text(name)


def _key(row: Sequence[Entry]) -> Key:
    """Runs may have different artefacts under one name."""
    job = row[0].result.job
    return row[0].run, job.variant, job.digest or None


def _on_disk(rows: Rows) -> dict[Key, int]:
    """Known artefact sizes. A size of 0 means that the artefact could not be read."""
    return {_key(row): size for row in rows if (size := row[0].result.job.artefact_bytes) > 0}


def _downloads(rows: Rows) -> dict[Key, int]:
    return {_key(row): size for row in rows if (size := row[0].result.job.download_bytes) is not None}


def _why_no_download(row: Sequence[Entry]) -> str:
    metrics = (metric for entry in row for metric in entry.result.metrics)
    return next((value_text(metric.estimate.reason) for metric in metrics if metric.name == "download_size"), "")


def _ratio(row: Sequence[Entry], rows: Rows, sizes: Mapping[Key, int]) -> str:
    """Over the reference of the same run."""
    job, key = row[0].result.job, _key(row)
    others = (_key(other) for other in rows if (other[0].run, other[0].result.job.variant) == (key[0], job.reference))
    reference = next(others, None)
    if job.is_reference or reference is None or key not in sizes or not sizes.get(reference):
        return ""
    return f"{quantity_text(sizes[key] / sizes[reference], '')}×"
