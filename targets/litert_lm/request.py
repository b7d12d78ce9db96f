"""Checks a configuration: what LiteRT-LM would take in silence, and do otherwise, is refused here."""

from __future__ import annotations

from dataclasses import dataclass

from benchharness.contract import Configuration
from benchharness.errors import Unsupported
from targets.asked import (
    one_of,
    refuse_accelerator_options,
    refuse_plugins,
    refuse_unknown,
    threads_of,
    whole_number,
)

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
    refuse_accelerator_options(configuration, "LiteRT-LM's backends take none here")
    refuse_plugins(configuration, "LiteRT-LM's backends are part of it")
    refuse_unknown(configuration, _OPTIONS, "litert-lm")
    if accelerator.upper() == GPU and configuration.threads is not None:
        raise Unsupported("threads: LiteRT-LM takes them for the CPU only; leave them out")
    activations, cache = options.get("activation_data_type"), options.get("cache_dir", NO_CACHE)
    if activations is not None:
        one_of("options.activation_data_type", activations, _ACTIVATIONS)
    if not isinstance(cache, str) or not cache:
        raise Unsupported(f"options.cache_dir: {cache!r} is no folder")
    most = options.get("max_num_tokens")
    return Request(
        accelerator=accelerator,
        threads=threads_of(configuration),
        max_num_tokens=None if most is None else whole_number("options.max_num_tokens", most),
        activation_data_type=activations,
        cache_dir=cache,
    )
