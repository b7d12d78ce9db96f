"""Checks a configuration: what llama.cpp would ignore, or end the process over, is refused here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from benchharness.contract import Configuration
from benchharness.errors import Unsupported
from targets.asked import one_of, refuse_accelerator_options, refuse_unknown, threads_of, whole_number

#: ggml's name of the processor.
CPU = "CPU"
#: ggml's numbers of the types that a key/value cache can have.
CACHE_TYPES = {"f32": 0, "f16": 1, "bf16": 30, "q8_0": 8, "q4_0": 2, "q4_1": 3, "iq4_nl": 20, "q5_0": 6, "q5_1": 7}
#: By option, what it may be, with the number that stands for it in C.
_CHOICES: Mapping[str, Mapping[Any, int]] = {
    "type_k": CACHE_TYPES,
    "type_v": CACHE_TYPES,
    "flash_attn": {"auto": -1, False: 0, True: 1},
    "use_mmap": {True: 1, False: 0},
    "use_extra_bufts": {True: 1, False: 0},
}
#: Fields of C that are called otherwise than the option.
_FIELDS = {"flash_attn": "flash_attn_type", "use_mmap": "load_mode"}
_LAYERS, _LENGTHS = "n_gpu_layers", ("n_ctx", "n_batch", "n_ubatch")


@dataclass(frozen=True)
class Request:
    """A checked configuration. None: llama.cpp's own default."""

    threads: int | None
    device: str | None
    options: dict[str, Any]

    def fill_model(self, params: Any, handles: Any) -> None:
        """Writes what is asked for into `llama_model_params`; `handles`: the devices that may be used, else None."""
        wanted = self._given(_LAYERS, "use_mmap", "use_extra_bufts")
        if handles is not None:
            wanted["devices"] = handles
        if self.device == CPU:
            wanted[_LAYERS] = 0
        _fill(params, wanted)

    def fill_context(self, params: Any, context_length: int, texts: int = 1) -> None:
        """Writes what is asked for into `llama_context_params`; of several texts each has that length."""
        wanted = self._given("n_batch", "n_ubatch", "type_k", "type_v", "flash_attn")
        wanted["n_ctx"] = context_length * texts
        if texts > 1:
            wanted["n_seq_max"] = texts
        if self.threads is not None:
            wanted.update(n_threads=self.threads, n_threads_batch=self.threads)
        if self.device == CPU:
            wanted.update(offload_kqv=False, op_offload=False)
        _fill(params, wanted)

    def _given(self, *names: str) -> dict[str, Any]:
        """Of these options those that are asked for, as C has them."""
        given = {name: self.options[name] for name in names if name in self.options}
        return {_FIELDS.get(name, name): _CHOICES.get(name, {}).get(value, value) for name, value in given.items()}


def read_request(configuration: Configuration, devices: Iterable[str]) -> Request:
    """What is asked for. `devices`: those that ggml has here. Raises `Unsupported` for what cannot be met."""
    here, device, options = list(devices), configuration.accelerator, dict(configuration.options)
    if device is not None and device not in here:
        raise Unsupported(f"accelerator {device!r}: this build of llama.cpp has {', '.join(here)}; name one of them")
    refuse_accelerator_options(configuration, "llama.cpp's devices take no options")
    refuse_unknown(configuration, (*_LENGTHS, *_CHOICES, _LAYERS), "llama-cpp")
    for name, value in options.items():
        if name in _CHOICES:
            one_of(f"options.{name}", value, _CHOICES[name])
        elif name == _LAYERS and (type(value) is not int or value < -1):
            raise Unsupported(f"options.{name}: {value!r} is no number of layers; -1 means all, 0 none")
        elif name != _LAYERS or value > 0:
            whole_number(f"options.{name}", value)
    layers = options.get(_LAYERS, 0)
    if layers > 0 and (device == CPU or here == [CPU]):
        raise Unsupported(
            f"options.n_gpu_layers = {layers}: there is no device to offload layers to (accelerator: {device or 'any'};"
            f" this llama.cpp has {', '.join(here)}), and llama.cpp would run all of them on the CPU without a word; "
            "leave it out, or install a build for the device"
        )
    return Request(threads_of(configuration), device, options)


def _fill(params: Any, wanted: Mapping[str, Any]) -> None:
    """Writes fields that the structure has: ctypes would take any other name, and the library never see it."""
    known = {field for field, *_ in params._fields_}
    for name, value in wanted.items():
        if name not in known:
            raise Unsupported(f"this llama.cpp has no {name}: it is older than what this adapter knows; update it")
        setattr(params, name, value)
