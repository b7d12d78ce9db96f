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
_SWITCH = {True: 1, False: 0}
#: By option, what it may be, with the number that stands for it in C; None: it is a number itself.
_OF_A_CONTEXT: Mapping[str, Mapping[Any, int] | None] = {
    **dict.fromkeys(("n_ctx", "n_batch", "n_ubatch")),
    **dict.fromkeys(("type_k", "type_v"), CACHE_TYPES),
    "flash_attn": {"auto": -1, False: 0, True: 1},
}
_OF_THE_MODEL = {"use_mmap": _SWITCH, "use_extra_bufts": _SWITCH, "n_gpu_layers": None}
#: Fields of C that are called otherwise than the option.
_FIELDS = {"flash_attn": "flash_attn_type", "use_mmap": "load_mode"}


@dataclass(frozen=True)
class Request:
    """A checked configuration: what it sets in C's structures. All else is llama.cpp's own default."""

    device: str | None
    options: Mapping[str, Any]  # as they were given
    model: Mapping[str, Any]  # fields of llama_model_params
    context: Mapping[str, Any]  # fields of llama_context_params


def read_request(configuration: Configuration, devices: Iterable[str]) -> Request:
    """What is asked for. `devices`: those that ggml has here. Raises `Unsupported` for what cannot be met."""
    here, device, options = list(devices), configuration.accelerator, configuration.options
    if device is not None and device not in here:
        raise Unsupported(f"accelerator {device!r}: this build of llama.cpp has {', '.join(here)}; name one of them")
    refuse_accelerator_options(configuration, "llama.cpp's devices take no options")
    known = {**_OF_A_CONTEXT, **_OF_THE_MODEL}
    refuse_unknown(configuration, known, "llama-cpp")
    for name, value in options.items():
        if (allowed := known[name]) is not None:
            one_of(f"options.{name}", value, allowed)
        elif name == "n_gpu_layers" and (type(value) is not int or value < -1):
            raise Unsupported(f"options.{name}: {value!r} is no number of layers; -1 means all, 0 none")
        elif name != "n_gpu_layers" or value > 0:
            whole_number(f"options.{name}", value)
    layers = options.get("n_gpu_layers", 0)
    if layers > 0 and (device == CPU or here == [CPU]):
        raise Unsupported(
            f"options.n_gpu_layers = {layers}: there is no device to offload layers to (accelerator: {device or 'any'};"
            f" this llama.cpp has {', '.join(here)}), and llama.cpp would run all of them on the CPU without a word; "
            "leave it out, or install a build for the device"
        )
    model, context = _in_c(options, _OF_THE_MODEL), _in_c(options, _OF_A_CONTEXT)
    threads = threads_of(configuration)
    if threads is not None:
        context.update(n_threads=threads, n_threads_batch=threads)
    if device == CPU:
        model.update(n_gpu_layers=0)
        context.update(offload_kqv=False, op_offload=False)
    return Request(device, options, model, context)


def _in_c(options: Mapping[str, Any], known: Mapping[str, Mapping[Any, int] | None]) -> dict[str, Any]:
    """By C's fields, what is asked for of these options."""
    given = {name: value for name, value in options.items() if name in known}
    return {_FIELDS.get(name, name): (known[name] or {}).get(value, value) for name, value in given.items()}


def filled(params: Any, wanted: Mapping[str, Any]) -> Any:
    """The structure with fields that it has: ctypes would take any other name, and the library never see it."""
    for name, value in wanted.items():
        if not hasattr(params, name):
            raise Unsupported(f"this llama.cpp has no {name}: it is older than what this adapter knows; update it")
        setattr(params, name, value)
    return params
