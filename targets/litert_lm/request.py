"""Checks a configuration: what LiteRT-LM would take in silence, and do otherwise, is refused here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from benchharness.contract import Configuration
from benchharness.errors import Unsupported
from targets.asked import refuse_plugins, whole_number

CPU, GPU = "CPU", "GPU"
#: Where packed weights are kept: by itself LiteRT-LM writes them beside the model, and a second start is another one.
NO_CACHE = ":nocache"
_OPTIONS = ("max_num_tokens", "activation_data_type", "cache_dir")
_ACTIVATIONS = ("fp32", "fp16", "int16", "int8")
#: 0.18.1 took an NPU whose folder had no library in it, and ran the model on the CPU: standard error alone tells.
_NO_NPU = (
    "LiteRT-LM takes an NPU that is not there: without a fitting library it runs the model on the CPU in silence, and "
    'with litert_dispatch_lib_dir = "" it simulates one; this adapter measures CPU and GPU'
)


@dataclass(frozen=True)
class Request:
    """A checked configuration."""

    accelerator: str  # as the request spells it
    threads: int | None  # None: LiteRT-LM's default
    max_num_tokens: int | None  # None: the bundle's
    activation_data_type: str | None  # None: LiteRT-LM's default
    cache_dir: str

    @property
    def gpu(self) -> bool:
        """Whether the GPU is asked for."""
        return self.accelerator.upper() == GPU

    @property
    def keeps_nothing(self) -> bool:
        """Whether packed weights are made anew at every start."""
        return self.cache_dir == NO_CACHE


def read_request(configuration: Configuration) -> Request:
    """What is asked for. Raises `Unsupported` for what cannot be met, or would be ignored."""
    accelerator, options = configuration.accelerator or CPU, configuration.options
    if accelerator.upper() == "NPU" or "litert_dispatch_lib_dir" in configuration.accelerator_options:
        raise Unsupported(f"accelerator {accelerator!r}: {_NO_NPU}")
    if accelerator.upper() not in (CPU, GPU):
        raise Unsupported(f"accelerator {accelerator!r}: LiteRT-LM has {CPU} and {GPU}")
    for name in configuration.accelerator_options:
        raise Unsupported(f"accelerator_options.{name}: LiteRT-LM's backends take none here; leave it out")
    refuse_plugins(configuration, "LiteRT-LM's backends are part of it")
    for name in options:
        if name not in _OPTIONS:
            raise Unsupported(f"options.{name}: unknown; the litert-lm adapter takes {', '.join(_OPTIONS)}")
    if accelerator.upper() == GPU and configuration.threads is not None:
        raise Unsupported("threads: LiteRT-LM takes them for the CPU only; leave them out")
    activations, cache = options.get("activation_data_type"), options.get("cache_dir", NO_CACHE)
    if activations is not None and activations not in _ACTIVATIONS:
        raise Unsupported(f"options.activation_data_type: {activations!r} is none of {', '.join(_ACTIVATIONS)}")
    if not isinstance(cache, str) or not cache:
        raise Unsupported(f"options.cache_dir: {cache!r} is no folder")
    return Request(
        accelerator=accelerator,
        threads=_given("threads", configuration.threads),
        max_num_tokens=_given("options.max_num_tokens", options.get("max_num_tokens")),
        activation_data_type=activations,
        cache_dir=cache,
    )


def _given(option: str, value: Any) -> int | None:
    return None if value is None else whole_number(option, value)
