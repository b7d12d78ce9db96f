"""Finds a llama.cpp library here, and declares what of its C interface is called.

Two packages bring one. llama-cpp-python describes the structures of the library that it was built with. xllamacpp has
prebuilt wheels whose library exports the same functions, and describes none: the structures of the versions known
here are written down from `llama.h` in that version's own source archive, and held against what the library itself
fills in before anything is loaded. A structure that is one field off would corrupt memory in silence.
"""

from __future__ import annotations

import ctypes
import importlib
import platform
from ctypes import POINTER, c_bool, c_char_p, c_float, c_int, c_int8, c_int32, c_size_t, c_uint32, c_void_p
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as version_of
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchharness.errors import Unsupported

LOG_CALLBACK = ctypes.CFUNCTYPE(None, c_int, c_char_p, c_void_p)

#: What ctypes copies a structure of unknown size into.
_ROOM_BYTES = 1024


class ModelParams(ctypes.Structure):
    """`llama_model_params` of xllamacpp 2026.10.11549."""

    _fields_ = (
        ("devices", c_void_p),
        ("tensor_buft_overrides", c_void_p),
        ("n_gpu_layers", c_int32),
        ("split_mode", c_int),
        ("load_mode", c_int),
        ("lazy_mode", c_int),
        ("main_gpu", c_int32),
        ("tensor_split", c_void_p),
        ("progress_callback", c_void_p),
        ("progress_callback_user_data", c_void_p),
        ("kv_overrides", c_void_p),
        ("vocab_only", c_bool),
        ("check_tensors", c_bool),
        ("use_extra_bufts", c_bool),
        ("no_host", c_bool),
        ("no_alloc", c_bool),
        ("load_mtp", c_bool),
    )


class ContextParams(ctypes.Structure):
    """`llama_context_params` of xllamacpp 2026.10.11549."""

    _fields_ = (
        *((name, c_uint32) for name in ("n_ctx", "n_batch", "n_ubatch", "n_seq_max", "n_rs_seq")),
        *((name, c_uint32) for name in ("n_outputs_max", "n_outputs_max_per_seq")),
        *((name, c_int32) for name in ("n_threads", "n_threads_batch")),
        *((name, c_int) for name in ("ctx_type", "rope_scaling_type", "pooling_type", "attention_type")),
        ("flash_attn_type", c_int),
        *((name, c_float) for name in ("rope_freq_base", "rope_freq_scale", "yarn_ext_factor", "yarn_attn_factor")),
        *((name, c_float) for name in ("yarn_beta_fast", "yarn_beta_slow")),
        ("yarn_orig_ctx", c_uint32),
        ("defrag_thold", c_float),
        ("cb_eval", c_void_p),
        ("cb_eval_user_data", c_void_p),
        ("type_k", c_int),
        ("type_v", c_int),
        ("moe_cache_size", c_size_t),
        ("abort_callback", c_void_p),
        ("abort_callback_data", c_void_p),
        *((name, c_bool) for name in ("embeddings", "offload_kqv", "no_perf", "op_offload", "swa_full", "kv_unified")),
        ("samplers", c_void_p),
        ("n_samplers", c_size_t),
        ("ctx_other", c_void_p),
    )


class Batch(ctypes.Structure):
    """`llama_batch`. What is NULL llama.cpp fills in: the next positions, one sequence, the last token's logits."""

    _fields_ = (
        ("n_tokens", c_int32),
        ("token", POINTER(c_int32)),
        ("embd", c_void_p),
        ("pos", c_void_p),
        ("n_seq_id", c_void_p),
        ("seq_id", c_void_p),
        ("logits", POINTER(c_int8)),
    )


#: What the defaults of these structures are in the source of that version, where they are not zero.
_MODEL_DEFAULTS = {"n_gpu_layers": -1, "split_mode": 1, "load_mode": -1, "lazy_mode": 1, "use_extra_bufts": True}
_CONTEXT_DEFAULTS = {
    "n_ctx": 512,
    "n_batch": 2048,
    "n_ubatch": 512,
    "n_seq_max": 1,
    "n_outputs_max_per_seq": 1,
    "n_threads": 4,
    "n_threads_batch": 4,
    "rope_scaling_type": -1,
    "pooling_type": -1,
    "attention_type": -1,
    "flash_attn_type": -1,
    "yarn_ext_factor": -1.0,
    "yarn_attn_factor": -1.0,
    "yarn_beta_fast": -1.0,
    "yarn_beta_slow": -1.0,
    "defrag_thold": -1.0,
    "type_k": 1,
    "type_v": 1,
    "offload_kqv": True,
    "no_perf": True,
    "op_offload": True,
    "swa_full": True,
}
#: xllamacpp's versions whose structures these are.
KNOWN_VERSIONS = ("2026.10.11549",)


@dataclass(frozen=True)
class Library:
    """A loaded library with its structures. `functions` has what `_declare` names, with C's names."""

    package: str  # as pip knows it
    package_version: str
    functions: Any  # ctypes.CDLL
    batch: Any  # the structure's class

    @property
    def version(self) -> str:
        """Package and version: the package decides how llama.cpp was built."""
        return f"{self.package} {self.package_version}"

    @property
    def system_info(self) -> str:
        """What of the processor this build uses, and which backends it has: builds of one version differ threefold."""
        return " ".join(str(self.functions.llama_print_system_info().decode("utf-8", "replace")).split()).strip("| ")

    def devices(self) -> dict[str, tuple[int, str]]:
        """Handle and description of each device that ggml has here, by its name: "CPU", "CUDA0"."""
        lib = self.functions
        found = {}
        for index in range(lib.ggml_backend_dev_count()):
            handle = lib.ggml_backend_dev_get(index)
            name, told = lib.ggml_backend_dev_name(handle), lib.ggml_backend_dev_description(handle)
            found[name.decode("utf-8", "replace")] = (handle, told.decode("utf-8", "replace"))
        return found


def load_library() -> Library:
    """The library of llama-cpp-python, else of xllamacpp. Raises `Unsupported` where none can be driven."""
    if find_spec("llama_cpp") is not None:
        return _of_llama_cpp_python()
    if find_spec("xllamacpp") is not None:
        return _of_xllamacpp()
    raise Unsupported("neither llama-cpp-python nor xllamacpp is installed; install benchharness[llama-cpp]")


def _of_llama_cpp_python() -> Library:
    try:
        binding: Any = importlib.import_module("llama_cpp.llama_cpp")
        lib = ctypes.CDLL(binding._lib._name)  # prototypes of our own: pointers as addresses, which a loop reads faster
        _declare(lib, binding.llama_model_params, binding.llama_context_params, binding.llama_batch)
    except (ImportError, OSError, AttributeError, RuntimeError) as error:
        raise Unsupported(f"llama-cpp-python is installed and cannot be used: {error}; install it anew") from error
    return Library("llama-cpp-python", version_of("llama-cpp-python"), lib, binding.llama_batch)


def _of_xllamacpp() -> Library:
    try:
        installed = version_of("xllamacpp")
    except PackageNotFoundError:
        installed = "of an unknown version"
    if installed not in KNOWN_VERSIONS:
        raise Unsupported(
            f"xllamacpp {installed} is installed, and its structures are known here of {', '.join(KNOWN_VERSIONS)} "
            f"only; pip install 'xllamacpp=={KNOWN_VERSIONS[-1]}', or llama-cpp-python, which describes its own"
        )
    spec = find_spec("xllamacpp")
    folders = list(spec.submodule_search_locations or ()) if spec else []
    files = [path for folder in folders for path in sorted(Path(folder).glob("xllamacpp*.so"))]
    try:
        if not files:
            raise OSError("it has no shared library")
        lib = ctypes.CDLL(str(files[0]))
        check_structures(lib)
        _declare(lib, ModelParams, ContextParams, Batch)
    except (OSError, AttributeError) as error:
        raise Unsupported(
            f"xllamacpp {installed} cannot be driven here: {error}; install llama-cpp-python instead"
        ) from error
    return Library("xllamacpp", installed, lib, Batch)


def check_structures(lib: Any) -> None:
    """Holds the structures against the defaults that the library fills in. Raises `OSError` where they differ."""
    for name, structure, defaults in (
        ("llama_model_default_params", ModelParams, _MODEL_DEFAULTS),
        ("llama_context_default_params", ContextParams, _CONTEXT_DEFAULTS),
    ):
        content, written = _filled_in(getattr(lib, name))
        filled = structure.from_buffer_copy(content)
        wrong = [
            f"{field} = {getattr(filled, field)!r}"
            for field, *_ in structure._fields_
            if (getattr(filled, field) or 0) != defaults.get(field, 0)
        ]
        if wrong or written > ctypes.sizeof(structure):
            told = ", ".join(wrong[:5]) or f"{written} bytes instead of {ctypes.sizeof(structure)}"
            raise OSError(f"its {name} are not those of the source of that version ({told})")


def _filled_in(function: Any) -> tuple[bytes, int]:
    """What a function returns by value, and up to where it wrote; 0 where the convention of calls hides that.

    On x86-64 such a value is written to where a hidden first argument points: over zeros and over ones the same bytes.
    """
    if platform.machine().lower() not in ("x86_64", "amd64") or platform.system() == "Windows":
        room = type("Room", (ctypes.Structure,), {"_fields_": (("bytes", ctypes.c_ubyte * _ROOM_BYTES),)})
        function.argtypes, function.restype = (), room
        return bytes(function().bytes), 0
    function.argtypes, function.restype = (c_void_p,), c_void_p
    contents = []
    for fill in (b"\x00", b"\xff"):
        room_bytes = ctypes.create_string_buffer(fill * _ROOM_BYTES, _ROOM_BYTES)
        function(room_bytes)
        contents.append(room_bytes.raw)
    same = [at for at, (one, other) in enumerate(zip(*contents)) if one == other]
    return contents[0], same[-1] + 1 if same else 0


def _declare(lib: Any, model_params: Any, context_params: Any, batch: Any) -> None:
    """Gives every function that is called its types. Raises `AttributeError` for one that the library has not."""
    for name, result, *arguments in (
        ("llama_model_default_params", model_params),
        ("llama_context_default_params", context_params),
        ("llama_backend_init", None),
        ("llama_log_set", None, LOG_CALLBACK, c_void_p),
        ("llama_print_system_info", c_char_p),
        ("llama_model_load_from_file", c_void_p, c_char_p, model_params),
        ("llama_init_from_model", c_void_p, c_void_p, context_params),
        ("llama_free", None, c_void_p),
        ("llama_model_free", None, c_void_p),
        ("llama_model_get_vocab", c_void_p, c_void_p),
        ("llama_vocab_n_tokens", c_int32, c_void_p),
        ("llama_model_n_ctx_train", c_int32, c_void_p),
        ("llama_model_has_encoder", c_bool, c_void_p),
        ("llama_n_ctx", c_uint32, c_void_p),
        ("llama_n_batch", c_uint32, c_void_p),
        ("llama_n_ubatch", c_uint32, c_void_p),
        ("llama_n_threads", c_int32, c_void_p),
        ("llama_n_threads_batch", c_int32, c_void_p),
        ("llama_get_memory", c_void_p, c_void_p),
        ("llama_memory_clear", None, c_void_p, c_bool),
        ("llama_memory_seq_rm", c_bool, c_void_p, c_int32, c_int32, c_int32),
        ("llama_decode", c_int32, c_void_p, batch),
        ("llama_get_logits", c_void_p, c_void_p),
        ("llama_get_logits_ith", c_void_p, c_void_p, c_int32),
        ("ggml_backend_dev_count", c_size_t),
        ("ggml_backend_dev_get", c_void_p, c_size_t),
        ("ggml_backend_dev_name", c_char_p, c_void_p),
        ("ggml_backend_dev_description", c_char_p, c_void_p),
    ):
        function = getattr(lib, name)
        function.restype, function.argtypes = result, arguments
