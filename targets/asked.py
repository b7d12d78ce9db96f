"""Checks of a configuration that most adapters make alike, in the same words."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Callable

from benchharness.contract import FALLBACK_FAIL, Configuration, Refusal
from benchharness.errors import Unsupported

#: Sizes go into C's whole numbers of 32 bits, which would take the rest of a larger one in silence.
_MOST = (1 << 31) - 1


def whole_number(option: str, value: Any) -> int:
    """A number of threads or tokens. Raises `Unsupported` for anything that is none above zero, or is too large."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise Unsupported(f"{option}: {value!r} is not a whole number above zero; leave it out for the default")
    if value > _MOST:
        raise Unsupported(f"{option}: {value} is more than {_MOST}, which no runtime takes; ask for fewer")
    return value


def threads_of(configuration: Configuration) -> int | None:
    """The number of threads that is asked for; None for the runtime's default. Raises `Unsupported`."""
    return None if configuration.threads is None else whole_number("threads", configuration.threads)


def one_of(option: str, value: Any, allowed: Iterable[Any]) -> Any:
    """A value that is one of those: texts, true or false. Raises `Unsupported`; 1 is not true."""
    known = list(allowed)
    if not any(value is each or (isinstance(value, str) and value == each) for each in known):
        told = ", ".join(str(each).lower() if isinstance(each, bool) else str(each) for each in known)
        raise Unsupported(f"{option}: {value!r} is none of {told}{nearest(value, known)}")
    return value


def true_or_false(option: str, value: Any) -> bool:
    """A switch. Raises `Unsupported`."""
    if not isinstance(value, bool):
        raise Unsupported(f"{option}: {value!r} is neither true nor false")
    return value


def table(option: str, value: Any) -> dict[str, Any]:
    """Names and values. Raises `Unsupported`."""
    if not isinstance(value, Mapping):
        raise Unsupported(f"{option}: {value!r} is no table of names and values")
    return dict(value)


def text(option: str, value: Any) -> str | None:
    """A text; None for the default. Raises `Unsupported`."""
    if not isinstance(value, (str, type(None))):
        raise Unsupported(f"{option}: {value!r} is no text")
    return value


def read_options(
    configuration: Configuration, checks: Mapping[str, Callable[[str, Any], Any]], adapter: str
) -> dict[str, Any]:
    """The options that are given, each as the check of its name takes it. Raises `Unsupported` for an unknown one."""
    refuse_unknown(configuration, checks, adapter)
    return {name: checks[name](f"options.{name}", value) for name, value in configuration.options.items()}


def refuse_unknown(configuration: Configuration, known: Iterable[str], adapter: str) -> None:
    """Raises `Unsupported` for an option that an adapter does not have."""
    names = list(known)
    for name in configuration.options:
        if name not in names:
            told = ", ".join(names)
            raise Unsupported(f"options.{name}: unknown; the {adapter} adapter takes {told}{nearest(name, names)}")


def refuse_accelerator_options(configuration: Configuration, why: str) -> None:
    """Raises `Unsupported` for an option of an accelerator, with why this one takes none."""
    for name in configuration.accelerator_options:
        raise Unsupported(f"accelerator_options.{name}: {why}; leave it out")


def refuse_plugins(configuration: Configuration, why: str) -> None:
    """Raises `Unsupported` for a plug-in's library or unit, with why this runtime takes none."""
    for key in ("library", "unit"):
        if getattr(configuration, key) is not None:
            raise Unsupported(f"{key}: {why}; leave it out")


def unconfirmed(configuration: Configuration) -> dict[str, Any]:
    """For the facts of a runtime that does not tell what it made of its accelerator's options."""
    given = {str(key): value for key, value in configuration.accelerator_options.items()}
    return {"accelerator_options_unconfirmed": given} if given else {}


def refused(accelerator: str, model: Path, words: str, lost_ns: int | None, configuration: Configuration) -> Refusal:
    """What is told of an accelerator that took nothing of a model. Raises `Unsupported` where it was to fail then."""
    if configuration.fallback == FALLBACK_FAIL:
        raise Unsupported(f'fallback = "fail": {accelerator} takes no part in {model}: {words}')
    return Refusal(words, lost_ns)


def nearest(name: Any, known: Iterable[Any]) -> str:
    """What was perhaps meant, to be put behind a refusal; empty where nothing is near."""
    names = {str(each).casefold(): str(each) for each in known}
    near = difflib.get_close_matches(str(name).casefold(), list(names), n=1, cutoff=0.7)
    return f"; did you mean {names[near[0]]!r}?" if near else ""
