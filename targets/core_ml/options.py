"""Checks a configuration, and a model, against what Core ML can do on this system."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchharness.contract import Configuration
from benchharness.errors import Unsupported
from targets.core_ml import system

#: Sets of compute units, as Core ML and coremltools call them; a configuration's `accelerator` is one of them.
ALL, CPU_ONLY, CPU_AND_GPU, CPU_AND_NE = "ALL", "CPU_ONLY", "CPU_AND_GPU", "CPU_AND_NE"
UNITS = (ALL, CPU_ONLY, CPU_AND_GPU, CPU_AND_NE)
#: The accelerator that computes what the weights say, on any system.
REFERENCE = "reference"

#: Places where operators run.
CPU, GPU, NEURAL_ENGINE = "CPU", "GPU", "NeuralEngine"

COLD, WARM = "cold", "warm"

_FUNCTION, _HINTS, _CACHE = "function", "optimization_hints", "compile_cache"
_OPTIONS = (_FUNCTION, _HINTS, _CACHE)
_HINT_VALUES: Mapping[str, tuple[Any, ...]] = {
    "reshapeFrequency": ("Frequent", "Infrequent"),
    "specializationStrategy": ("Default", "FastPrediction"),
    "allowLowPrecisionAccumulationOnGPU": (True, False),
}

#: The macOS that first runs each version of the specification, from coremltools' table of iOS releases.
_MACOS_OF_SPECIFICATION = {
    1: (10, 13),
    2: (10, 13),
    3: (10, 14),
    4: (10, 15),
    5: (11,),
    6: (12,),
    7: (13,),
    8: (14,),
    9: (15,),
    10: (26,),
}
_MACOS_OF_UNITS = {CPU_AND_NE: (13,)}
_MACOS_OF_HINTS = (15,)

NOT_HERE = (
    'Core ML predicts on macOS only; here accelerator = "reference" computes what the weights say '
    "(quality, never latency or memory)"
)


@dataclass(frozen=True)
class Request:
    """A checked configuration."""

    units: str | None  # one of UNITS; None: reference execution
    function: str | None = None  # None: the model's default
    hints: Mapping[str, Any] = field(default_factory=dict)
    compile_cache: str = WARM


def check_request(configuration: Configuration) -> Request:
    """The request, checked. Raises `Unsupported` for what Core ML, this system or this adapter cannot do."""
    options = configuration.options
    for name in options:
        if name not in _OPTIONS:
            raise Unsupported(f"options.{name}: Core ML has no such option here{_nearest(name, _OPTIONS)}")
    for name in configuration.accelerator_options:
        raise Unsupported(f"accelerator_options.{name}: Core ML's compute units take no options")
    threads = configuration.threads
    if threads is not None and (not isinstance(threads, int) or isinstance(threads, bool) or threads < 1):
        raise Unsupported(f"threads: {threads!r} is not a whole number above zero; leave it out for the default")
    function = options.get(_FUNCTION)
    if function is not None and not isinstance(function, str):
        raise Unsupported(f"options.{_FUNCTION}: {function!r} is not a function's name")
    if configuration.accelerator == REFERENCE:
        return _reference_request(options)
    units = configuration.accelerator or ALL
    if units not in UNITS:
        raise Unsupported(
            f"accelerator {units!r}: not a set of Core ML's compute units{_nearest(units, (*UNITS, REFERENCE))}; "
            f"there are {', '.join(UNITS)}, and {REFERENCE}"
        )
    if not system.on_macos():
        raise Unsupported(NOT_HERE)
    _need_macos(_MACOS_OF_UNITS.get(units, ()), f"accelerator {units!r}")
    hints = _check_hints(options.get(_HINTS, {}))
    return Request(units, function, hints, _check_cache(options.get(_CACHE, WARM)))


def check_specification(path: Path, version: int, *, stateful: bool) -> None:
    """Raises `Unsupported` where this macOS is too old for a model."""
    what = f"{path}: specification version {version}" + (" with states" if stateful else "")
    if version > max(_MACOS_OF_SPECIFICATION):
        return  # newer than this adapter: the framework decides
    _need_macos(_MACOS_OF_SPECIFICATION.get(version, ()), what)


def _reference_request(options: Mapping[str, Any]) -> Request:
    for name in (_HINTS, _CACHE):
        if name in options:
            raise Unsupported(f"options.{name}: reference execution neither compiles nor specializes; leave it out")
    return Request(units=None, function=options.get(_FUNCTION))


def _need_macos(needed: tuple[int, ...], what: str) -> None:
    here = system.macos_version()
    if here and here < needed:
        raise Unsupported(f"{what} needs macOS {_dotted(needed)} or later; this is macOS {_dotted(here)}")


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


def _check_hints(hints: Any) -> Mapping[str, Any]:
    if not isinstance(hints, Mapping):
        raise Unsupported(f"options.{_HINTS}: {hints!r} is not a table of hints")
    for name, value in hints.items():
        if name not in _HINT_VALUES:
            raise Unsupported(f"options.{_HINTS}.{name}: Core ML has no such hint{_nearest(name, _HINT_VALUES)}")
        if not any(value is known or (isinstance(value, str) and value == known) for known in _HINT_VALUES[name]):
            known = ", ".join(map(str, _HINT_VALUES[name]))
            raise Unsupported(f"options.{_HINTS}.{name}: {value!r} is none of {known}")
    if hints:
        _need_macos(_MACOS_OF_HINTS, f"options.{_HINTS}")
    return dict(hints)


def _check_cache(value: Any) -> str:
    if value not in (COLD, WARM):
        raise Unsupported(f"options.{_CACHE}: {value!r} is neither {COLD!r} nor {WARM!r}")
    return str(value)


def _nearest(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(str(name), list(known), n=1, cutoff=0.4)
    return f"; did you mean {near[0]!r}?" if near else ""
