"""Checks a configuration and says what it asks of the runtime.

Nothing here is left to the runtime to ignore: what is not known is refused, and what contradicts itself too.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from benchharness.contract import FALLBACK_FAIL, Configuration
from benchharness.errors import Unsupported
from targets.asked import threads_of
from targets.tflite.package import MODULES

#: Where operators run: the built-in kernels, and the delegate for CPUs that is compiled into the packages.
CPU, XNNPACK = "CPU", "XNNPACK"

_OPTIONS = ("package", "signature", "xnnpack")
_LIBRARY_ENDINGS = (".so", ".dylib", ".dll")


@dataclass(frozen=True)
class Request:
    """A checked configuration."""

    package: str | None  # None: the first one there is
    signature: str | None  # None: the one that the adapter chooses
    xnnpack: bool
    names_xnnpack: bool  # as the accelerator: it must take part
    delegate: str | None  # what a delegate from a library is called: as the accelerator that is asked for
    library: str | None  # where that library is
    delegate_options: Mapping[str, Any]
    threads: int | None  # None: the package's default
    fallback_allowed: bool  # where the accelerator refuses the whole model
    why_tensors: str = ""  # why no language model is wanted, whatever the signatures say


def read_request(configuration: Configuration) -> Request:
    """What is asked for. Raises `Unsupported` for an option or accelerator that is unknown or contradicts another."""
    options = configuration.options
    for name in options:
        if name not in _OPTIONS:
            raise Unsupported(f"options.{name}: the tflite adapter has no such option{_nearest(name, _OPTIONS)}")
    accelerator = configuration.accelerator
    if configuration.library is not None and accelerator in (None, CPU, XNNPACK):
        raise Unsupported('library: a delegate from a library has a name of yours: accelerator = "my-delegate"')
    named = accelerator is not None and (configuration.library is not None or _is_library(accelerator))
    delegate = accelerator if named else None
    if delegate is None and accelerator not in (None, CPU, XNNPACK):
        raise Unsupported(
            f"accelerator {accelerator!r}: neither {CPU} nor {XNNPACK} nor the path of a delegate's library, and there "
            f"is no library = … beside it{_nearest(str(accelerator), (CPU, XNNPACK))}"
        )
    if delegate is None and configuration.accelerator_options:
        first = next(iter(configuration.accelerator_options))
        raise Unsupported(f"accelerator_options.{first}: only a delegate from a library takes options")
    return Request(
        package=_package(options.get("package")),
        signature=_text("options.signature", options.get("signature")),
        xnnpack=_xnnpack(accelerator, options.get("xnnpack")),
        names_xnnpack=accelerator == XNNPACK,
        delegate=delegate,
        library=configuration.library or delegate,
        delegate_options=dict(configuration.accelerator_options),
        threads=threads_of(configuration),
        fallback_allowed=configuration.fallback != FALLBACK_FAIL,
        why_tensors=configuration.why_tensors,
    )


def _is_library(accelerator: str) -> bool:
    return "/" in accelerator or "\\" in accelerator or accelerator.endswith(_LIBRARY_ENDINGS)


def _xnnpack(accelerator: str | None, option: Any) -> bool:
    """On by default, as in both packages; `accelerator` and `options.xnnpack` must not contradict each other."""
    if option is not None and not isinstance(option, bool):
        raise Unsupported(f"options.xnnpack: {option!r} is neither true nor false")
    named = {CPU: False, XNNPACK: True}.get(accelerator or "")
    if named is not None and option is not None and named is not option:
        raise Unsupported(f"options.xnnpack = {str(option).lower()} contradicts accelerator = {accelerator!r}")
    wanted = option if named is None else named
    return True if wanted is None else bool(wanted)


def _package(name: Any) -> str | None:
    if name is not None and name not in MODULES:
        raise Unsupported(f"options.package: {name!r} is none of {', '.join(MODULES)}{_nearest(str(name), MODULES)}")
    return None if name is None else str(name)


def _text(option: str, value: Any) -> str | None:
    if value is not None and not isinstance(value, str):
        raise Unsupported(f"{option}: {value!r} is not a name")
    return value


def _nearest(name: str, known: Iterable[str]) -> str:
    names = list(known)
    near = [one for one in names if name and one.lower().startswith(name.lower())]
    near += difflib.get_close_matches(name, names, n=1, cutoff=0.4)
    return f"; did you mean {near[0]!r}?" if near else ""
