"""Runs `.onnx` and `.ort` models in ONNX Runtime: any network, and causal language models with their cache kept inside.

Importing this package imports ONNX Runtime. A request's `accelerator` is an execution provider by its exact name,
`threads` the intra-op threads, `accelerator_options` the provider's options. A provider that comes as a plug-in is
found in its installed package, or under `library`; `unit` chooses among its units. `options` are session options
(`graph_optimization_level = "ORT_ENABLE_BASIC"`, `execution_mode`, `inter_op_num_threads`, `enable_mem_pattern`,
`enable_mem_reuse`, `enable_cpu_mem_arena`, `custom_op_libraries`, `free_dimension_overrides`, `session_config`) and
`cache_capacity`: the tokens for which an in-place cache reserves room at load.

Its modules: `options` checks the request, `sealed` that of a sealed model, `plugins` registers providers, `loading`
loads, `session` runs it, `language`, `cache` and `memory` run it as a language model. What a file says without being
run stands in `targets.onnx_format`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

try:
    from targets.onnx_format.quiet import keep_quiet

    keep_quiet()
    import onnxruntime

    from targets.onnx_runtime import plugins, sealed
    from targets.onnx_runtime.language import cache_facts, cache_kind, open_language_session
    from targets.onnx_runtime.loading import Loaded, load
    from targets.onnx_runtime.memory import read_memories, uncounted
    from targets.onnx_runtime.options import cache_capacity, computed_in
    from targets.onnx_runtime.session import OnnxSession, make_specs
except ImportError as error:
    _missing = f"onnxruntime cannot be imported ({error}); install benchharness[onnx]"
else:
    _missing = ""

from benchharness.contract import MEMORY_ELSEWHERE, Availability, Configuration, EffectiveConfiguration
from benchharness.errors import Unsupported
from targets.onnx_format.causality import read_evidence
from targets.onnx_format.files import ENDINGS, GENAI_CONFIG, Description, check_files, describe, find_model, list_files
from targets.onnx_format.graph import GraphFacts, read_graph_facts
from targets.onnx_format.inspection import inspect_model
from targets.onnx_format.signature import LanguageSignature, signature_or_why
from targets.wire.held import content_of, holding


class OnnxRuntime:
    """The adapter for ONNX Runtime."""

    name = "onnxruntime"
    formats: Sequence[str] = ENDINGS
    files, inspect = staticmethod(list_files), staticmethod(inspect_model)

    def availability(self) -> Availability:
        """ONNX Runtime's version and execution providers here, or the reason why there is none. Never raises."""
        if _missing:
            return Availability(available=False, reason=_missing)
        units = plugins.units_here()
        return Availability(
            available=True,
            version=onnxruntime.__version__,
            accelerators=tuple(onnxruntime.get_available_providers()),
            units=units,
        )

    @contextmanager
    def open(self, artefact: Path, configuration: Configuration) -> Iterator[OnnxSession]:
        """Loads a `.onnx` or `.ort` file, or the one in a folder; a causal language model gives a `LanguageSession`.

        Raises, on entering, `ModelFailure` for a bad file and `Unsupported` for a request that cannot be met.
        """
        if _missing:
            raise Unsupported(_missing)
        session = _open(Path(artefact), configuration)
        try:
            yield session
        finally:
            session.close()

    @contextmanager
    def open_bytes(self, artefact: Path, content: bytes, configuration: Configuration) -> Iterator[OnnxSession]:
        """The same for a model that was sealed: one file, on providers that keep no copy of it. Raises as `open`."""
        if _missing:
            raise Unsupported(_missing)
        sealed.check_writes_nothing(configuration)
        model = Path(artefact)
        with holding(model, content), self.open(model, configuration) as session:
            yield session


def _open(artefact: Path, configuration: Configuration) -> OnnxSession:
    model = find_model(artefact)
    description = describe(model)
    if content_of(model) is None:
        check_files(model)
    else:
        sealed.check_is_whole(model)
    loaded = load(model, configuration)
    session, facts = loaded.session, loaded.facts
    if content_of(model) is not None:
        facts.update(sealed.facts(session, model))
    memories = read_memories(session)
    elsewhere = uncounted(session, memories)
    if elsewhere:
        facts[MEMORY_ELSEWHERE] = elsewhere
    graph = read_graph_facts(model)
    facts.update(ir_version=graph.ir_version, producer=graph.producer, opsets=dict(graph.opsets))

    inputs, outputs = make_specs(session.get_inputs()), make_specs(session.get_outputs())
    precision, unknown = computed_in(graph.floats, session.get_providers(), configuration)
    if unknown:
        facts["precision_unknown"] = unknown
    precisions = (precision, "+".join(sorted(graph.floats or ())) or None)
    signature = signature_or_why(configuration, inputs, outputs, description, lambda: read_evidence(model), str(model))
    if isinstance(signature, str):
        facts.update(layout="tensors", no_language_model=signature)
        return OnnxSession(session, str(model), _effective(loaded, precisions), graph.last_operators)
    in_place = _appends_in_place(signature, graph)
    facts.update(_language_facts(signature, description))
    return open_language_session(
        session,
        str(model),
        _effective(loaded, precisions, cache_kind(signature, in_place=in_place, memories=memories)),
        signature,
        in_place=in_place,
        capacity=cache_capacity(configuration),
        memories=memories,
    )


def _appends_in_place(signature: LanguageSignature, graph: GraphFacts) -> bool:
    """Whether every cache tensor may share one buffer between its past and its present."""
    pairs = {(tensor.past, tensor.present) for tensor in signature.cache}
    return bool(pairs) and pairs <= graph.appended


def _effective(
    loaded: Loaded, precisions: tuple[str | None, str | None], cache: str | None = None
) -> EffectiveConfiguration:
    return EffectiveConfiguration(
        accelerators=tuple(loaded.session.get_providers()),
        threads=loaded.threads,
        cache=cache,
        runtime_version=onnxruntime.__version__,
        refusal=loaded.refusal,
        execution=loaded.execution,
        unit=loaded.unit,
        facts=loaded.facts,
        precision=precisions[0],
        model_precision=precisions[1],
    )


def _language_facts(signature: LanguageSignature, description: Description) -> dict[str, Any]:
    return {
        "layout": _layout(signature, description),
        "described_by": description.source,
        "context_length_source": signature.context_length_source,
        "logits_dtype": signature.logits_dtype,
        **({signature.kept.name: "1; 0, for all, where every token is scored"} if signature.kept else {}),
        **({"token_type_ids": "zeros"} if signature.segment_dtype else {}),
        **cache_facts(signature),
    }


def _layout(signature: LanguageSignature, description: Description) -> str:
    """The exporter's convention: the same tensor names, told apart by the configuration file."""
    if not signature.cache:
        return "no-cache"
    return "genai" if description.source == GENAI_CONFIG else "optimum"
