"""A job's cell: what two results must share to be compared, whatever run and machine they are of.

It is everything that a job asks for but the variant, without what names things for people or says where they lie:
evaluation data and tokenizers count by their hash, interpreters and libraries by their file's name, timeouts by their
value. So the same suite in another folder, or on another machine, has the same cells.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

_LENGTH = 32
#: What names a configuration or a workload for people, or says which models it is for.
_FOR_PEOPLE = ("name", "asks", "models")
#: Of a configuration: what may be a path, and the options that are some or list some.
_PATHS, _OPTIONS = ("python", "library", "accelerator"), ("custom_op_libraries", "program", "reader")


def cell_of(job: Mapping[str, Any]) -> str:
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
