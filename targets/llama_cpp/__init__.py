"""Runs `.gguf` causal language models in llama.cpp, through the library of llama-cpp-python or of xllamacpp.

A request's `accelerator` is one of ggml's devices ("CPU", "CUDA0"), `threads` those of prompts and of decoding.
`options` go by llama.cpp's names: `n_ctx` (default: the model's, at most 4096), `n_batch`, `n_ubatch`, `type_k` and
`type_v` ("f16", "f32", "q8_0"), `flash_attn` (true, false, "auto"), `use_mmap`, `use_extra_bufts` (repacked weights),
`n_gpu_layers`.

Its modules: `library` finds and checks the library, `options` checks the request, `log` hears what llama.cpp says,
`session` runs, and `several` texts at once. What a file says without llama.cpp stands in `targets.gguf_format`.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from benchharness.contract import CACHE_IN_PLACE, Availability, Configuration, EffectiveConfiguration
from benchharness.errors import AttemptError, ModelFailure, Unsupported
from targets.causal_session import Limits
from targets.gguf_format.contents import Contents, read_files
from targets.gguf_format.files import ENDING, find_model, list_files, parts_of
from targets.gguf_format.inspection import inspect_model, why_no_language_model
from targets.llama_cpp.library import Library, load_library
from targets.llama_cpp.log import Log, listen
from targets.llama_cpp.options import CPU, Request, filled, read_request
from targets.llama_cpp.session import LlamaSession
from targets.llama_cpp.several import Together

try:
    _library: Library | None = load_library()
except Unsupported as reason:
    _library, _missing = None, str(reason)
else:
    _missing = ""

#: Longer contexts reserve gigabytes of cache, wanted or not: `n_ctx` asks for them.
LONGEST_UNASKED_CONTEXT_TOKENS = 4096
_NO_MEMORY = ("failed to allocate", "unable to allocate", "out of memory", "bad_alloc")


class LlamaCpp:
    """The adapter for llama.cpp."""

    name = "llama-cpp"
    formats: Sequence[str] = (ENDING,)
    files, inspect = staticmethod(list_files), staticmethod(inspect_model)

    def availability(self) -> Availability:
        """The library's package, version and devices, or the reason why there is none. Never raises."""
        if _library is None:
            return Availability(available=False, reason=_missing)
        return Availability(available=True, version=_library.version, accelerators=tuple(_library.devices()))

    @contextmanager
    def open(self, artefact: Path, configuration: Configuration) -> Iterator[LlamaSession]:
        """Loads a `.gguf` file. Raises, on entering, `ModelFailure` for a bad file, `Unsupported` for a bad request."""
        if _library is None:
            raise Unsupported(_missing)
        request = read_request(configuration, _library.devices())
        model = find_model(Path(artefact))
        contents = read_files(parts_of(model))
        if reason := configuration.why_tensors or why_no_language_model(contents):
            raise Unsupported(f"{model}: llama.cpp is driven here for causal language models only: {reason}")
        with ExitStack() as held:
            yield held.enter_context(closing(_loaded(_library, model, contents, request, held)))


def _loaded(library: Library, model: Path, contents: Contents, request: Request, held: ExitStack) -> LlamaSession:
    """The session; what it stands on goes when `held` is left."""
    lib, devices = library.functions, library.devices()
    log = listen(lib)
    lib.llama_backend_init()
    _warn_of_known_crash(library, contents, request)
    # A list that ends with NULL; the processor needs no mention, and an empty list leaves all others out.
    chosen = (ctypes.c_void_p * 2)(None if request.device in (None, CPU) else devices[request.device], None)
    wanted = {} if request.device is None else {"devices": ctypes.addressof(chosen)}
    params = filled(lib.llama_model_default_params(), {**request.model, **wanted})
    loaded = lib.llama_model_load_from_file(os.fsencode(model), params)
    if not loaded:
        raise _failure(model, log, "load it")
    held.callback(lib.llama_model_free, loaded)
    places = _places(model, log, request, devices)
    if lib.llama_model_has_encoder(loaded):
        raise Unsupported(f"{model}: has an encoder, whose input this adapter does not give")
    trained = int(lib.llama_model_n_ctx_train(loaded))
    if trained < 1:  # C's number has a sign, and the file's has none
        name, said = f"{contents.architecture}.context_length", contents.of_architecture("context_length")
        raise ModelFailure(f"{model}: {name} is {said}, which no model was trained for; convert it again")
    length = request.options.get("n_ctx", min(trained, LONGEST_UNASKED_CONTEXT_TOKENS))
    if length > trained:
        raise Unsupported(f"options.n_ctx = {length}: the model was trained for {trained} tokens; ask for fewer")

    def make(texts: int, tokens: int) -> int:
        room = {"n_ctx": tokens * texts, **({"n_seq_max": texts} if texts > 1 else {})}
        params = filled(lib.llama_context_default_params(), {**request.context, **room})
        return int(lib.llama_init_from_model(loaded, params) or 0)

    if not (context := make(1, length)):
        asked = ", ".join(f"{name} = {value}" for name, value in request.options.items()) or "all defaults"
        raise _failure(model, log, f"make a context for it ({asked})", Unsupported)
    limits = Limits(int(lib.llama_vocab_n_tokens(lib.llama_model_get_vocab(loaded))), length, "int32")
    effective = _effective(library, contents, context, log, trained, places)
    together = Together(lib, library.batch, make, log, str(model))
    return LlamaSession(library, context, log, str(model), effective, limits, together)


def _places(model: Path, log: Log, request: Request, devices: Collection[str]) -> Sequence[str]:
    """The devices that layers went to, the CPU last. Raises `Unsupported` where that is not told and not certain."""
    if log.layers:
        return sorted(log.layers, key=lambda place: place == CPU)
    if request.device == CPU or list(devices) == [CPU]:
        return (CPU,)
    raise Unsupported(
        f"{model}: this llama.cpp has {', '.join(devices)} and logged no device for any layer, so what ran where is "
        f'unknown; configure accelerator = "{CPU}", or install a build that this adapter knows'
    )


def _effective(
    library: Library, contents: Contents, context: int, log: Log, trained_tokens: int, places: Sequence[str]
) -> EffectiveConfiguration:
    lib = library.functions
    return EffectiveConfiguration(
        accelerators=tuple(places),
        threads=int(lib.llama_n_threads(context)),
        cache=CACHE_IN_PLACE,
        runtime_version=library.version,
        model_precision="+".join(contents.floats) or None,
        facts={
            "package": library.package,
            "system_info": library.system_info,
            "precision_unknown": "llama.cpp does not tell in what type it computes",
            "architecture": contents.architecture,
            "n_ctx_train": trained_tokens,
            **{f"n_{size}": int(getattr(lib, f"llama_n_{size}")(context)) for size in ("ctx", "batch", "ubatch")},
            "threads_batch": int(lib.llama_n_threads_batch(context)),
            **log.facts,
            "buffers_mib": dict(log.buffers_mib),
            "repacked": dict(log.repacked),
        },
    )


def _warn_of_known_crash(library: Library, contents: Contents, request: Request) -> None:
    """Standard error is the evidence that a crashed attempt leaves: the cure stands there before it happens."""
    if "AMX_INT8 = 1" in library.system_info and contents.quantized and request.options.get("use_extra_bufts", True):
        sys.stderr.write(
            "llama.cpp repacks quantized weights for AMX on this processor, and some builds end with SIGSEGV over it; "
            "if this attempt did, configure options = { use_extra_bufts = false }\n"
        )
        sys.stderr.flush()


def _failure(model: Path, log: Log, what: str, kind: type[AttemptError] = ModelFailure) -> Exception:
    reason = log.reason
    if any(words in reason for words in _NO_MEMORY):
        return MemoryError(f"{model}: {reason}")
    if "unknown model architecture" in reason:
        return Unsupported(f"{model}: an architecture that this llama.cpp does not know; update it: {reason}")
    return kind(f"{model}: llama.cpp cannot {what}: {reason}")
