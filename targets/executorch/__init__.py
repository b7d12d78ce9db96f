"""Runs `.pte` programs in ExecuTorch's Python runtime: any network, and language models as its exporter writes them.

Where operators run was decided when a program was exported: `accelerator` is a backend that has to be in it
("XnnpackBackend"), and chooses nothing. `threads` are those of the pool that XNNPACK and the optimized kernels share.

The runtime that ships with a product is C++; this one is its Python binding, which brings torch. Answers and rates are
the same; cold start and memory are not, which every result says.

`session` runs. What a program says without ExecuTorch stands in `targets.pte_format`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

try:
    import executorch.extension.pybindings.portable_lib as bindings
    import torch
    from executorch import runtime

    from targets.executorch.session import ExecuTorchLanguageSession, ExecuTorchSession

    _VERSION = version("executorch")
except Exception as error:  # torch of another build fails in ways of its own
    _missing = (
        f"executorch cannot be imported ({type(error).__name__}: {error}); it wants torch: make an environment for it "
        "(pip install torch, then executorch and numpy), and name its interpreter as `python`"
    )
else:
    _missing = ""

from benchharness.contract import (
    CACHE_GROWN_BY_GRAPH,
    CACHE_IN_PLACE,
    ArtefactFiles,
    Availability,
    Configuration,
    EffectiveConfiguration,
    ModelDescription,
    Refusal,
)
from benchharness.errors import ModelFailure, Unsupported
from targets.asked import refuse_plugins, refused, threads_of
from targets.pte_format.files import ENDING, find_model, find_weights, list_files
from targets.pte_format.inspection import KERNELS, describe, facts_of, run_method
from targets.pte_format.program import Method, Program, read_program
from targets.pte_format.signature import read_signature, why_no_language_model

#: What its Python brings along, said on every result.
PYTHON_RUNTIME = (
    "this is ExecuTorch's Python runtime, which brings torch: products ship the one in C++, which starts sooner and "
    "holds less memory"
)
#: Copies that a program makes of what it keeps: the cache is written anew at each step.
_COPIES = ("aten::copy_", "aten::copy")


class ExecuTorch:
    """The adapter for ExecuTorch."""

    name = "executorch"
    formats: Sequence[str] = (ENDING,)

    def availability(self) -> Availability:
        """Its version and backends here, or the reason why there is none. Never raises."""
        if _missing:
            return Availability(available=False, reason=_missing)
        return Availability(available=True, version=_VERSION, accelerators=(KERNELS, *_backends()))

    def files(self, artefact: Path) -> ArtefactFiles:
        """The program, weights beside it, configuration and tokenizer. Raises `ModelFailure`."""
        return list_files(Path(artefact))

    def inspect(self, artefact: Path) -> ModelDescription:
        """What a program holds, without ExecuTorch. Raises `ModelFailure`."""
        return describe(find_model(Path(artefact)))

    @contextmanager
    def open(self, artefact: Path, configuration: Configuration) -> Iterator[ExecuTorchSession]:
        """Loads a program; a causal language model gives a `LanguageSession`.

        Raises, on entering, `ModelFailure` for a bad file and `Unsupported` for a request that cannot be met.
        """
        if _missing:
            raise Unsupported(_missing)
        _check(configuration)
        model = find_model(Path(artefact))
        program = read_program(model)
        name = run_method(program)
        described = program.methods[name]
        _check_backends(model, described)
        refusal = _refusal(configuration, model, described)
        threads = _set_threads(configuration.threads)
        reason = configuration.why_tensors or why_no_language_model(program)
        effective = _effective(configuration, program, described, threads, refusal, reason)
        method = _load(model, name)
        if reason:
            if any(spec is None for spec in (*described.inputs, *described.outputs)):
                raise Unsupported(f"{model}: {name} takes or gives something that is no tensor")
            session = ExecuTorchSession(method, described, model, effective)
        else:
            session = ExecuTorchLanguageSession(method, described, model, effective, read_signature(program))
        with closing(session):
            yield session


def _backends() -> Sequence[str]:
    return tuple(runtime.Runtime.get().backend_registry.registered_backend_names)


def _check(configuration: Configuration) -> None:
    for kind in ("options", "accelerator_options"):
        for name in getattr(configuration, kind):
            raise Unsupported(f"{kind}.{name}: a program was compiled when it was exported; export it otherwise")
    refuse_plugins(configuration, "ExecuTorch's backends are part of it")
    known, asked = (KERNELS, *_backends()), configuration.accelerator
    if asked is not None and asked not in known:
        raise Unsupported(f"accelerator {asked!r}: this build of ExecuTorch has {', '.join(known)}")
    threads_of(configuration)


def _check_backends(model: Path, method: Method) -> None:
    missing = sorted(set(method.delegates) - set(_backends()))
    if missing:
        raise Unsupported(
            f"{model}: was exported for {', '.join(missing)}, which this build of ExecuTorch has not (it has "
            f"{', '.join(_backends())}); export it for one of these"
        )


def _refusal(configuration: Configuration, model: Path, method: Method) -> Refusal | None:
    """Where a backend is asked for that the program has nothing of."""
    asked = configuration.accelerator
    if asked is None or asked == KERNELS or asked in method.delegates:
        return None
    return refused(asked, model, f"nothing in {model.name} was exported for it", None, configuration)


def _set_threads(wanted: int | None) -> int | None:
    """Threads of the pool, read back; None where this build does not tell."""
    if wanted is not None:
        torch.set_num_threads(wanted)  # tensors go in and out through it
    try:
        if wanted is not None:
            bindings._unsafe_reset_threadpool(wanted)
        return int(bindings._threadpool_get_thread_count())
    except AttributeError:
        return None


def _load(model: Path, name: str) -> Any:
    weights = find_weights(model)
    more: Mapping[str, Any] = {"data_path": weights} if weights else {}
    try:
        method = runtime.Runtime.get().load_program(model, **more).load_method(name)
    except MemoryError:
        raise
    except Exception as error:
        raise ModelFailure(f"{model}: ExecuTorch cannot load it: {error}") from error
    if method is None:
        raise ModelFailure(f"{model}: ExecuTorch gave no method {name}")
    return method


def _effective(
    configuration: Configuration,
    program: Program,
    method: Method,
    threads: int | None,
    refusal: Refusal | None,
    reason: str,
) -> EffectiveConfiguration:
    places = [*method.delegates, *([KERNELS] if method.operators else [])]
    asked = configuration.accelerator
    cached = CACHE_GROWN_BY_GRAPH if any(name in method.operators for name in _COPIES) else CACHE_IN_PLACE
    return EffectiveConfiguration(
        accelerators=sorted(places, key=lambda place: place != asked),
        threads=threads,
        cache=None if reason else cached,
        runtime_version=_VERSION,
        refusal=refusal,
        facts={
            **facts_of(program),
            "python_runtime": PYTHON_RUNTIME,
            "precision_unknown": "ExecuTorch does not tell in what type a delegate computes",
            **({} if threads is not None else {"threads_source": "unknown: this build does not tell its threads"}),
            **({"no_language_model": reason} if reason else {}),
        },
    )
