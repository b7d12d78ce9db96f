"""What revision 0002 fills its columns with, as it was then. Never changed.

What today's code makes of a job or of samples may come to differ; a store of before has to go through everything that
followed, in its order. A revision that needs other values writes them itself.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Mapping
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

_MOST_BLOB_BYTES = 80_000_000
_LENGTH = 32
_LONGEST = {"model": 200, "variant": 200, "configuration": 200, "scenario": 60, "digest": 64, "hardware": 200}
_FOR_PEOPLE = ("name", "asks", "models")
_PATHS, _OPTIONS = ("python", "library", "accelerator"), ("custom_op_libraries", "program", "reader")
#: The fewest samples that carry a percentile.
_NEEDED = {50: 1, 90: 64, 95: 130, 99: 662}
_TAILS = (90, 95, 99)
#: By metric the percentiles that were kept.
_KEPT = {
    **dict.fromkeys(("model_ttft", "request_ttft", "tpot"), _TAILS),
    **dict.fromkeys(("itl", "chunk_gap", "steady_inference"), (50, *_TAILS)),
}


def unpack(blob: bytes) -> NDArray[np.float64]:
    """The samples of a blob: zlib of little-endian float64. Raises `ValueError` where they are damaged."""
    unpacker = zlib.decompressobj()
    try:
        unpacked = unpacker.decompress(blob, _MOST_BLOB_BYTES)
    except zlib.error as error:
        raise ValueError(f"samples cannot be unpacked: {error}") from error
    if not unpacker.eof:
        raise ValueError("samples are cut off, or far more than any attempt has")
    return np.frombuffer(unpacked, np.dtype("<f8"))


def percentiles_of(metric: str, samples: NDArray[np.float64]) -> dict[str, float]:
    """By percentile, what a measurement's samples carry."""
    wanted = [each for each in _KEPT.get(metric, ()) if len(samples) >= _NEEDED[each]]
    if not wanted:
        return {}
    return {str(each): float(value) for each, value in zip(wanted, np.percentile(samples, wanted), strict=True)}


def job_columns(job: Mapping[str, Any]) -> dict[str, str]:
    """What of a job, as it is stored, stands in columns of its own; names are cut where a column ends."""
    named = {name: str(job.get(name, "")) for name in ("model", "variant", "scenario", "digest", "hardware")}
    named["configuration"] = str((job.get("configuration") or {}).get("name", ""))
    return {"cell": _cell_of(job), **{name: value[: _LONGEST[name]] for name, value in named.items()}}


def _cell_of(job: Mapping[str, Any]) -> str:
    """The cell of a job as it is stored: 32 hexadecimal digits."""
    against = job.get("against")
    facts = {
        **{key: job.get(key) for key in ("hardware", "model", "task", "scenario", "settings", "timeout_s")},
        "configuration": _configuration(job.get("configuration") or {}),
        "workload": _workload(job.get("workload") or {}),
        # Runs of before have no digest of it.
        "tokenizer": job.get("tokenizer_digest") or _file_name(job.get("tokenizer")),
        "against": None if against is None else _opened(against),
        "chain": [_opened(each) for each in job.get("chain") or ()],
    }
    told = json.dumps(_without_nothing(facts), sort_keys=True)
    return hashlib.sha256(told.encode()).hexdigest()[:_LENGTH]


def _opened(told: Mapping[str, Any]) -> dict[str, Any]:
    """A reference or another variant that the same job opens: which model file it is, and how it is run."""
    return {"digest": told.get("digest"), "configuration": _configuration(told.get("configuration") or {})}


def _configuration(told: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: _file_name(value) if key in _PATHS else value for key, value in told.items() if key not in _FOR_PEOPLE}
    options = kept.get("options")
    if isinstance(options, Mapping):
        kept["options"] = {key: _file_names(each) if key in _OPTIONS else each for key, each in options.items()}
    return kept


def _file_names(paths: Any) -> Any:
    return [_file_name(each) for each in paths] if isinstance(paths, list | tuple) else _file_name(paths)


def _workload(told: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in told.items() if key not in _FOR_PEOPLE}
    if isinstance(data := kept.get("data"), Mapping):
        # The calibration file and what it shares with these data are the variant's matter.
        kept["data"] = {
            key: value for key, value in data.items() if key not in ("path", "calibration", "shared_samples")
        }
    if isinstance(prompt := kept.get("prompt"), Mapping):
        kept["prompt"] = {key: value for key, value in prompt.items() if key != "file"}
    return kept


def _file_name(path: Any) -> Any:
    """A path's last part; what has no folders, such as an execution provider's name, is itself."""
    if not isinstance(path, str):
        return path
    return PureWindowsPath(path).name if "\\" in path else PurePosixPath(path).name


def _without_nothing(told: Any) -> Any:
    """Keys that say nothing are left out, so that one which a later version adds changes no cell of before."""
    if isinstance(told, Mapping):
        kept = {str(key): _without_nothing(each) for key, each in told.items()}
        return {key: each for key, each in kept.items() if each not in (None, {}, [], "")}
    return [_without_nothing(each) for each in told] if isinstance(told, list | tuple) else told
