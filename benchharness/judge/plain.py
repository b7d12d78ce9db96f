"""Which accelerator is a runtime's plain CPU path: what others of it are compared with."""

from __future__ import annotations

import functools

from benchharness.device import adapters
from benchharness.results.result import Job


def plain_accelerator(job: Job) -> str | None:
    """The accelerator of the job's runtime that is its plain CPU path; None: no accelerator named."""
    return _of_runtime(job.configuration.runtime)


#: Asked for every pair of jobs; looking through what is installed takes 20 ms.
_of_runtime = functools.lru_cache(adapters.plain_accelerator)
