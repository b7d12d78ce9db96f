"""Finds a llama.cpp library here, and declares what of its C interface is called.

Two packages bring one. llama-cpp-python describes the structures of the library that it was built with. xllamacpp has
prebuilt wheels whose library exports the same functions, and describes none: the structures of the versions known
here are written down from `llama.h` in that version's own source archive, and held against what the library itself
fills in before anything is loaded.
"""

from __future__ import annotations

import ctypes
import importlib
import os
from ctypes import c_bool, c_char_p, c_int, c_int32, c_size_t, c_uint32, c_void_p
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchharness.errors import Unsupported
from targets.c_structures import check_filled, structure
from targets.installed import version_of

LOG_CALLBACK = ctypes.CFUNCTYPE(None, c_int, c_char_p, c_void_p)

#: xllamacpp's versions whose structures these are, with the defaults that their source gives, where they are not zero.
KNOWN_VERSIONS = ("2026.10.11549",)
ModelParams, _MODEL_DEFAULTS = structure(
    "ModelParams",
    """
    ptr devices tensor_buft_overrides
    i32 n_gpu_layers=-1
    int split_mode=1 load_mode=-1 lazy_mode=1
    i32 main_gpu
    ptr tensor_split progress_callback progress_callback_user_data kv_overrides
    bool vocab_only check_tensors use_extra_bufts=1 no_host no_alloc load_mtp
    """,
)
ContextParams, _CONTEXT_DEFAULTS = structure(
    "ContextParams",
    """
    u32 n_ctx=512 n_batch=2048 n_ubatch=512 n_seq_max=1 n_rs_seq n_outputs_max n_outputs_max_per_seq=1
    i32 n_threads=4 n_threads_batch=4
    int ctx_type rope_scaling_type=-1 pooling_type=-1 attention_type=-1 flash_attn_type=-1
    f32 rope_freq_base rope_freq_scale yarn_ext_factor=-1 yarn_attn_factor=-1 yarn_beta_fast=-1 yarn_beta_slow=-1
    u32 yarn_orig_ctx
    f32 defrag_thold=-1
    ptr cb_eval cb_eval_user_data
    int type_k=1 type_v=1
    size moe_cache_size
    ptr abort_callback abort_callback_data
    bool embeddings offload_kqv=1 no_perf=1 op_offload=1 swa_full=1 kv_unified
    ptr samplers
    size n_samplers
    ptr ctx_other
    """,
)
#: What is NULL llama.cpp fills in: the next positions, one sequence, the last token's logits.
Batch, _ = structure(
    "Batch",
    """
    i32 n_tokens
    i32s token
    ptr embd pos n_seq_id seq_id
    i8s logits
    """,
)


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

    def devices(self) -> dict[str, int]:
        """The handle of each device that ggml has here, by its name: "CPU", "CUDA0"."""
        lib = self.functions
        handles = [lib.ggml_backend_dev_get(index) for index in range(lib.ggml_backend_dev_count())]
        return {lib.ggml_backend_dev_name(handle).decode("utf-8", "replace"): handle for handle in handles}


def load_library() -> Library:
    """The library of llama-cpp-python, else of xllamacpp. Raises `Unsupported` where none can be driven."""
    # Else a failed assertion starts gdb, whose pages drown the line that says why; a user's own word holds.
    os.environ.setdefault("GGML_NO_BACKTRACE", "1")
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
    except ImportError:
        installed = "of an unknown version"
    if installed not in KNOWN_VERSIONS:
        raise Unsupported(
            f"xllamacpp {installed} is installed, and its structures are known here of {', '.join(KNOWN_VERSIONS)} "
            f"only; pip install 'xllamacpp=={KNOWN_VERSIONS[-1]}', or llama-cpp-python, which describes its own"
        )
    folders = getattr(find_spec("xllamacpp"), "submodule_search_locations", None) or ()
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
    check_filled(lib, "llama_model_default_params", ModelParams, _MODEL_DEFAULTS)
    check_filled(lib, "llama_context_default_params", ContextParams, _CONTEXT_DEFAULTS)


def _declare(lib: Any, model_params: Any, context_params: Any, batch: Any) -> None:
    """Gives every function that is called its types. Raises `AttributeError` for one that the library has not."""
    for names, result, *arguments in (
        ("llama_model_default_params", model_params),
        ("llama_context_default_params", context_params),
        ("llama_backend_init", None),
        ("llama_log_set", None, LOG_CALLBACK, c_void_p),
        ("llama_print_system_info", c_char_p),
        ("llama_model_load_from_file", c_void_p, c_char_p, model_params),
        ("llama_init_from_model", c_void_p, c_void_p, context_params),
        ("llama_free llama_model_free", None, c_void_p),
        ("llama_model_get_vocab llama_get_memory llama_get_logits", c_void_p, c_void_p),
        ("llama_vocab_n_tokens llama_model_n_ctx_train llama_n_threads llama_n_threads_batch", c_int32, c_void_p),
        ("llama_n_ctx llama_n_batch llama_n_ubatch", c_uint32, c_void_p),
        ("llama_model_has_encoder", c_bool, c_void_p),
        ("llama_memory_clear", None, c_void_p, c_bool),
        ("llama_memory_seq_rm", c_bool, c_void_p, c_int32, c_int32, c_int32),
        ("llama_decode", c_int32, c_void_p, batch),
        ("llama_get_logits_ith", c_void_p, c_void_p, c_int32),
        ("ggml_backend_dev_count", c_size_t),
        ("ggml_backend_dev_get", c_void_p, c_size_t),
        ("ggml_backend_dev_name", c_char_p, c_void_p),
    ):
        for name in names.split():
            function = getattr(lib, name)
            function.restype, function.argtypes = result, arguments
