"""What jobs, metrics and findings are called in files that other programs read; untrusted names are in them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from benchharness.judge.gate import Finding
from benchharness.metrics import METRICS
from benchharness.results.result import Job

#: What XML has no way to write, and no reader of such a file expects.
_UNWRITABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
_LONGEST = 1000


def clean(text: str) -> str:
    """The text without what cannot be written, on one line, cut where it is longer than any reader's limit."""
    return _UNWRITABLE.sub("\ufffd", " ".join(text.split()))[:_LONGEST]


def subject_of(job: Job, where: str = "") -> str:
    """A job as a benchmark's name: `digits/int8/onnxruntime/default/steady`, or `phone/digits/…` on one of several."""
    names = (job.model, job.variant, job.configuration.name, job.workload.name, job.scenario)
    return clean("/".join((where, *names) if where else names))


def measure_of(metric: str, parameters: Mapping[str, Any]) -> str:
    """A metric as a measure's name: `steady-inference-p50`; parameters by their values."""
    told = [f"p{value}" if key == "percentile" else f"{key}-{value}" for key, value in sorted(parameters.items())]
    return clean("-".join([metric, *told]).replace("_", "-").replace(" ", "-"))


def title_of(finding: Finding) -> str:
    """What a finding is of: a metric, a budget, or the whole job."""
    return METRICS[finding.name].title if finding.name else "job"
