"""Checks a configuration and turns it into ONNX Runtime's session options and providers.

ONNX Runtime ignores much of what it does not know: provider options it does not take, session entries it never heard
of. What can be checked is checked here or read back after loading; the rest is named as unconfirmed.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import onnxruntime

from benchharness.contract import Configuration
from benchharness.errors import Unsupported
from targets.asked import whole_number
from targets.onnx_runtime import plugins

CPU = "CPUExecutionProvider"

#: Makes a session remember which provider runs which operator. Measured on SmolLM2: no difference in load time.
RECORD_PLACEMENT = "session.record_ep_graph_assignment_info"

#: Positions of key/value cache reserved at load. This adapter's own option; the others are ONNX Runtime's.
CACHE_CAPACITY = "cache_capacity"

_ENUMERATIONS = {
    "graph_optimization_level": onnxruntime.GraphOptimizationLevel,
    "execution_mode": onnxruntime.ExecutionMode,
}
_NUMBERS = ("inter_op_num_threads",)
_SWITCHES = ("enable_mem_pattern", "enable_mem_reuse", "enable_cpu_mem_arena")
_PASSED_ON = (*_ENUMERATIONS, *_NUMBERS, *_SWITCHES)
_DIMENSIONS = "free_dimension_overrides"
_OPTIONS = (*_PASSED_ON, "custom_op_libraries", "session_config", _DIMENSIONS, CACHE_CAPACITY)

#: Types that the CPU provider computes in as they are.
_COMPUTED = frozenset(("float32", "float64"))
#: Session entries that let float32 be computed in less, such as mlas.enable_gemm_fastmath_arm64_bfloat16.
_LOWERS = re.compile(r"fastmath|bfloat16|fp16|float16", re.IGNORECASE)

ERRORS_ONLY = 3  # ONNX Runtime's severities: 0 verbose, 1 info, 2 warning, 3 error, 4 fatal


def make_session_options(configuration: Configuration) -> Any:
    """A `SessionOptions` for the request. Raises `Unsupported` for an option that is unknown or has a wrong value."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = ERRORS_ONLY
    options.add_session_config_entry(RECORD_PLACEMENT, "1")
    if configuration.threads is not None:
        options.intra_op_num_threads = whole_number("threads", configuration.threads)
    for name, value in configuration.options.items():
        if name not in _OPTIONS:
            raise Unsupported(f"options.{name}: onnxruntime sessions have no such option{_nearest(name, _OPTIONS)}")
        if name in _ENUMERATIONS:
            setattr(options, name, _member(name, value))
        elif name in _NUMBERS:
            setattr(options, name, whole_number(f"options.{name}", value))
        elif name in _SWITCHES:
            setattr(options, name, _switch(name, value))
    cache_capacity(configuration)  # checked even where the model turns out to have no cache
    for library in _paths(configuration.options.get("custom_op_libraries", [])):
        _register(options, library)
    for key, value in _entries(configuration.options.get("session_config", {})).items():
        options.add_session_config_entry(key, value)
    for name, length in _lengths(configuration.options.get(_DIMENSIONS, {})).items():
        options.add_free_dimension_override_by_name(name, length)
    return options


def read_back(session: Any, configuration: Configuration) -> dict[str, Any]:
    """The requested options as the loaded session holds them, and the session entries that it cannot confirm."""
    held = session.get_session_options()
    facts: dict[str, Any] = {}
    for name in _PASSED_ON:
        if name in configuration.options:
            value = getattr(held, name)
            facts[name] = value.name if name in _ENUMERATIONS else value
    entries = configuration.options.get("session_config", {})
    if entries:
        facts["session_config_unconfirmed"] = dict(entries)
    return facts


def computed_in(
    floats: frozenset[str] | None, providers: Sequence[str], configuration: Configuration
) -> tuple[str | None, str]:
    """What the session computes floating-point operators in, by the types that occur in its file; or None and why.

    The CPU provider computes as the graph says where it has kernels for the types, which is so of float32 and float64.
    It casts others, where it has none, and does not tell which.
    """
    entries = configuration.options.get("session_config", {})
    lowering = [key for key, value in entries.items() if _LOWERS.search(key) and value != "0"]
    others = [name for name in providers if name != CPU]
    if others:
        return None, f"{others[0]} does not tell in what type it computes"
    if lowering:
        return None, f"{lowering[0]} allows less, and onnxruntime does not tell whether it does"
    if floats is None:
        return None, "the types in the file were not read"
    if not floats:
        return None, "the file has no floating-point types"
    cast = sorted(floats - _COMPUTED)
    if cast:
        return None, f"onnxruntime casts where it has no kernel for {', '.join(cast)}, and does not tell where"
    return "+".join(sorted(floats)), ""


@dataclass(frozen=True)
class Provider:
    """The execution provider of a request; `plugin` and `unit` where it is registered at run time."""

    name: str
    options: Mapping[str, str]
    plugin: plugins.Plugin | None = None
    unit: plugins.Unit | None = None


def choose_provider(configuration: Configuration) -> Provider:
    """The provider to register; ONNX Runtime itself adds the CPU's behind it. Raises `Unsupported`."""
    name = configuration.accelerator or CPU
    plugin = None if name == CPU else plugins.find(name, configuration.library)
    if plugin is not None:
        plugins.register(plugin)
        unit = plugins.choose(plugin, name, configuration.unit)
        return Provider(name, _provider_options(configuration), plugin, unit)
    available = onnxruntime.get_available_providers()
    if name not in available:
        broken = "".join(f"; {words}" for words in plugins.broken())
        raise Unsupported(
            f"accelerator {name!r}: this onnxruntime has no such execution provider{_nearest(name, available)}; "
            f"it has {', '.join(available)}. A plug-in is taken from its installed package (onnxruntime-ep-…, "
            f"onnxruntime-qnn), or from the path that `library` gives{broken}"
        )
    for key in ("library", "unit"):
        if getattr(configuration, key) is not None:
            raise Unsupported(f"{key}: {name} is no plug-in of onnxruntime's, and has none to choose")
    return Provider(name, _provider_options(configuration))


def blamed_option(configuration: Configuration, words: str) -> str | None:
    """The accelerator's option that a refusal speaks of, if any: a wrong request, and no wrong device.

    A name behind a dot is a variable of ONNX Runtime's source, as in `cudaSetDevice(info_.device_id)`.
    """
    keys = _provider_options(configuration)
    return next((key for key in keys if re.search(rf"(?<![\w.:>]){re.escape(key)}(?!\w)", words)), None)


def confirm_provider_options(session: Any, configuration: Configuration) -> dict[str, Any]:
    """Compares the provider's options with those it says it took. Raises `Unsupported` for one that it ignored."""
    name = configuration.accelerator or CPU
    asked = _provider_options(configuration)
    held = session.get_provider_options().get(name)
    if asked and held == asked and name != CPU and plugins.is_registered(name):
        return {"accelerator_options_unconfirmed": asked}  # a plug-in's are kept by ONNX Runtime, taken or not
    if not asked or held is None:  # None: the provider refused, which is told on its own
        return {}
    if not held and name != CPU:  # several providers never report their options
        return {"accelerator_options_unconfirmed": asked}
    for key in asked:
        if key not in held:
            raise Unsupported(f"accelerator_options.{key}: {name} takes no such option{_nearest(key, held)}")
    return {"accelerator_options": {key: held[key] for key in asked}}


def cache_capacity(configuration: Configuration) -> int:
    """Positions to reserve at load, 0 where the request leaves it to the adapter."""
    value = configuration.options.get(CACHE_CAPACITY)
    return 0 if value is None else whole_number(f"options.{CACHE_CAPACITY}", value)


def _provider_options(configuration: Configuration) -> dict[str, str]:
    return {str(key): str(value) for key, value in configuration.accelerator_options.items()}


def _member(option: str, value: Any) -> Any:
    members = _ENUMERATIONS[option].__members__
    if value not in members:
        raise Unsupported(f"options.{option}: {value!r} is none of {', '.join(members)}{_nearest(str(value), members)}")
    return members[value]


def _switch(option: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise Unsupported(f"options.{option}: {value!r} is neither true nor false")
    return value


def _paths(value: Any) -> Sequence[str]:
    if isinstance(value, (list, tuple)) and all(isinstance(path, str) for path in value):
        return value
    raise Unsupported(f"options.custom_op_libraries: {value!r} is not a list of paths")


def _register(options: Any, library: str) -> None:
    try:
        options.register_custom_ops_library(library)
    except Exception as error:  # ONNX Runtime's exceptions share no base class of their own
        raise Unsupported(f"options.custom_op_libraries: {library} cannot be loaded: {error}") from error


def _entries(entries: Any) -> Mapping[str, str]:
    if not isinstance(entries, Mapping) or not all(isinstance(value, str) for value in entries.values()):
        raise Unsupported(
            "options.session_config: must map names to strings, as in {'session.dynamic_block_base' = '4'}"
        )
    return entries


def _lengths(given: Any) -> Mapping[str, int]:
    if not isinstance(given, Mapping):
        raise Unsupported(f"options.{_DIMENSIONS}: must map a dimension's name to its length, as in {{ batch = 1 }}")
    return {str(name): whole_number(f"options.{_DIMENSIONS}.{name}", length) for name, length in given.items()}


def _nearest(name: str, known: Iterable[str]) -> str:
    names = list(known)
    near = [one for one in names if name and one.lower().startswith(name.lower())]
    near += difflib.get_close_matches(name, names, n=1, cutoff=0.4)
    return f"; did you mean {near[0]!r}?" if near else ""
