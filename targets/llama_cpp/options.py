"""Checks a configuration: what llama.cpp would ignore, or end the process over, is refused here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from benchharness.contract import Configuration
from benchharness.errors import Unsupported
from targets.asked import whole_number

#: ggml's name of the processor.
CPU = "CPU"
#: ggml's numbers of the types that a key/value cache can have.
CACHE_TYPES = {"f32": 0, "f16": 1, "bf16": 30, "q8_0": 8, "q4_0": 2, "q4_1": 3, "iq4_nl": 20, "q5_0": 6, "q5_1": 7}
_FLASH_ATTENTION = {"auto": -1, False: 0, True: 1}
_LENGTHS = ("n_ctx", "n_batch", "n_ubatch")
_SWITCHES = ("use_mmap", "use_extra_bufts")
_OPTIONS = (*_LENGTHS, "type_k", "type_v", "flash_attn", *_SWITCHES, "n_gpu_layers")
_MMAP, _NO_MMAP = 1, 0
_LONGEST = 1 << 31


@dataclass(frozen=True)
class Request:
    """A checked configuration. None: llama.cpp's own default."""

    threads: int | None
    device: str | None
    options: dict[str, Any]

    def fill_model(self, params: Any, handles: Any) -> None:
        """Writes what is asked for into `llama_model_params`; `handles`: the devices that may be used, else None."""
        wanted = self._given("n_gpu_layers", "use_extra_bufts")
        if handles is not None:
            wanted["devices"] = handles
        if self.device == CPU:
            wanted["n_gpu_layers"] = 0
        if "use_mmap" in self.options:
            wanted["load_mode"] = _MMAP if self.options["use_mmap"] else _NO_MMAP
        _fill(params, wanted)

    def fill_context(self, params: Any, context_length: int, texts: int = 1) -> None:
        """Writes what is asked for into `llama_context_params`; of several texts each has that length."""
        wanted = {**self._given("n_batch", "n_ubatch"), "n_ctx": context_length * texts}
        if texts > 1:
            wanted["n_seq_max"] = texts
        wanted.update({name: CACHE_TYPES[value] for name, value in self._given("type_k", "type_v").items()})
        if "flash_attn" in self.options:
            wanted["flash_attn_type"] = _FLASH_ATTENTION[self.options["flash_attn"]]
        if self.threads is not None:
            wanted.update(n_threads=self.threads, n_threads_batch=self.threads)
        if self.device == CPU:
            wanted.update(offload_kqv=False, op_offload=False)
        _fill(params, wanted)

    def _given(self, *names: str) -> dict[str, Any]:
        return {name: self.options[name] for name in names if name in self.options}


def read_request(configuration: Configuration, devices: Iterable[str]) -> Request:
    """What is asked for. `devices`: those that ggml has here. Raises `Unsupported` for what cannot be met."""
    here = list(devices)
    device, options = configuration.accelerator, dict(configuration.options)
    if device is not None and device not in here:
        raise Unsupported(f"accelerator {device!r}: this build of llama.cpp has {', '.join(here)}; name one of them")
    if configuration.accelerator_options:
        first = next(iter(configuration.accelerator_options))
        raise Unsupported(f"accelerator_options.{first}: llama.cpp's devices take no options; leave it out")
    for name, value in options.items():
        _check(name, value)
    layers = options.get("n_gpu_layers", 0)
    if layers > 0 and (device == CPU or here == [CPU]):
        raise Unsupported(
            f"options.n_gpu_layers = {layers}: there is no device to offload layers to (accelerator: {device or 'any'};"
            f" this llama.cpp has {', '.join(here)}), and llama.cpp would run all of them on the CPU without a word; "
            "leave it out, or install a build for the device"
        )
    threads = configuration.threads
    return Request(threads if threads is None else whole_number("threads", threads), device, options)


def _fill(params: Any, wanted: Mapping[str, Any]) -> None:
    """Writes fields that the structure has: ctypes would take any other name, and the library never see it."""
    known = {field for field, *_ in params._fields_}
    for name, value in wanted.items():
        if name not in known:
            raise Unsupported(f"this llama.cpp has no {name}: it is older than what this adapter knows; update it")
        setattr(params, name, value)


def _check(name: str, value: Any) -> None:
    allowed: Iterable[Any] = ()
    if name in _LENGTHS and not _is_number(value):
        raise Unsupported(f"options.{name}: {value!r} is not a whole number above zero")
    if name == "n_gpu_layers" and not (isinstance(value, int) and not isinstance(value, bool) and value >= -1):
        raise Unsupported(f"options.n_gpu_layers: {value!r} is no number of layers; -1 means all")
    if name in _SWITCHES:
        allowed = (True, False)
    elif name in ("type_k", "type_v"):
        allowed = CACHE_TYPES
    elif name == "flash_attn":
        allowed = _FLASH_ATTENTION
    elif name not in _OPTIONS:
        raise Unsupported(f"options.{name}: unknown; the llama-cpp adapter takes {', '.join(_OPTIONS)}")
    if allowed and not any(value is each or (isinstance(value, str) and value == each) for each in allowed):
        told = ", ".join(str(each).lower() for each in allowed)
        raise Unsupported(f"options.{name}: {value!r} is none of {told}")


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < _LONGEST
