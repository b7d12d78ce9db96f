"""Runs `.litertlm` bundles in LiteRT-LM, which writes by a loop of its own: tokens by its callback, no logits.

A request's `accelerator` is "CPU" or "GPU"; `threads` are the CPU's. `options` go by LiteRT-LM's names:
`max_num_tokens` (room for prompt and answer, default: the bundle's), `activation_data_type` ("fp32", "fp16"),
`cache_dir` (a folder for packed weights; without it none is kept: by itself LiteRT-LM writes beside the model).

Quality of the same weights is `tflite`'s to measure, which opens the model inside a bundle. LiteRT-LM's own scores of
a text are not used: on a model whose probabilities are known they were wrong.

Its modules: `request` checks what is asked for, `session` writes. `targets.litert_lm_bundle` reads bundles.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

try:
    import litert_lm

    from targets.litert_lm.session import StreamSession, words_of

    _VERSION = version("litert-lm-api")
except Exception as error:  # a library for another system's C library fails in ways of its own
    _missing = (
        f"litert_lm cannot be imported ({type(error).__name__}: {error}); install benchharness[litert-lm], on Python "
        "3.10 or later"
    )
else:
    _missing = ""

from benchharness.contract import (
    HARNESS_CLOCK,
    ArtefactFiles,
    Availability,
    Configuration,
    EffectiveConfiguration,
)
from benchharness.errors import ModelFailure, Unsupported
from targets.litert_lm.request import CPU, GPU, Request, read_request
from targets.litert_lm_bundle import MODEL, read_sections
from targets.model_files import find_only, listing, with_ending

ENDING = ".litertlm"


class LiteRtLm:
    """The adapter for LiteRT-LM."""

    name = "litert-lm"
    formats: Sequence[str] = (ENDING,)

    def availability(self) -> Availability:
        """Its version here, or why there is none. Never raises. Of accelerators only the CPU is sure."""
        if _missing:
            return Availability(available=False, reason=_missing)
        return Availability(available=True, version=_VERSION, accelerators=(CPU,))

    def files(self, artefact: Path) -> ArtefactFiles:
        """The bundle, which holds its tokenizer too. Raises `ModelFailure`."""
        bundle = find_only(Path(artefact), ENDING)
        return listing(bundle.parent, bundle, [bundle], with_ending(bundle.parent, ENDING))

    @contextmanager
    def open(self, artefact: Path, configuration: Configuration) -> Iterator[StreamSession]:
        """Loads a bundle. Raises, on entering, `ModelFailure` for a bad file, `Unsupported` for a bad request."""
        if _missing:
            raise Unsupported(_missing)
        if configuration.why_tensors:
            raise Unsupported(f"{configuration.why_tensors}: LiteRT-LM runs causal language models only")
        bundle = find_only(Path(artefact), ENDING)
        kinds = [section.kind for section in read_sections(bundle)]  # before a library that would crash over it
        if MODEL not in kinds:
            raise ModelFailure(f"{bundle}: holds no model, only {', '.join(sorted(set(kinds))) or 'nothing'}")
        request = read_request(configuration)
        context = _context(bundle, request)
        with _engine(bundle, request, context) as engine:
            yield StreamSession(engine, bundle, context, _effective(request, context))


def _context(bundle: Path, request: Request) -> int:
    """Tokens of prompt and answer: LiteRT-LM takes any number, and ends an answer where the model's cache ends."""
    try:
        with litert_lm.ModelInfo(str(bundle)) as info:
            most = int(info.max_context_tokens or 0)
            endless = bool(info.is_dynamic_context)
    except (RuntimeError, ValueError) as error:
        raise ModelFailure(f"{bundle}: LiteRT-LM cannot read it: {words_of(error)}") from error
    asked = request.max_num_tokens
    if asked is not None and most and asked > most and not endless:
        raise Unsupported(f"options.max_num_tokens = {asked}: the model has room for {most} tokens; ask for fewer")
    if asked is None and not most:
        raise Unsupported(f"{bundle}: does not say how many tokens it has room for; give options.max_num_tokens")
    return asked if asked is not None else most


@contextmanager
def _engine(bundle: Path, request: Request, context: int) -> Iterator[Any]:
    litert_lm.set_min_log_severity(litert_lm.LogSeverity.ERROR)  # its reasons stand on standard error, behind others
    backend = litert_lm.Backend.GPU() if request.gpu else litert_lm.Backend.CPU(thread_count=request.threads)
    activations = request.activation_data_type
    try:
        engine = litert_lm.Engine(
            str(bundle),
            backend=backend,
            max_num_tokens=context,
            cache_dir=request.cache_dir,
            activation_data_type=activations and litert_lm.ActivationDataType.from_str(activations),
            enable_benchmark=True,  # it counts the tokens, which nothing else tells
        )
    except RuntimeError as error:
        words = words_of(error)
        if request.gpu:  # of one that is here and refuses, its words are no other
            raise Unsupported(f"accelerator {GPU!r}: LiteRT-LM cannot use it here: {words}") from error
        raise ModelFailure(f"{bundle}: LiteRT-LM cannot load it: {words}") from error
    try:
        yield engine
    finally:
        engine.close()


def _effective(request: Request, context: int) -> EffectiveConfiguration:
    return EffectiveConfiguration(
        accelerators=(request.accelerator,),
        threads=None,
        runtime_version=_VERSION,
        facts={
            "loop": f"runtime: LiteRT-LM's own; each token stamped in its callback, by {HARNESS_CLOCK}",
            "max_num_tokens": context,
            "sampling": "the most probable token: top_k = 1",
            "packed_weights": "not kept" if request.keeps_nothing else f"kept in {request.cache_dir}",
            "activation_data_type": f"{request.activation_data_type or 'default'}, unconfirmed",
            "quality": "the same bundle opens in the runtime tflite, which gives logits",
            "precision_unknown": "LiteRT-LM does not tell in what type it computes; by itself it asks for float16",
            "threads_source": "unknown: LiteRT-LM does not tell how many threads run",
            **({} if request.threads is None else {"threads_unconfirmed": request.threads}),
        },
    )
