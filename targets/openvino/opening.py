"""Opens a model as what it is: on tensors, or as a causal language model with its cache in variables.

A model with its cache among inputs and outputs, as ONNX exporters write it, becomes a stateful one first, by the
transformation that Optimum uses: this is how OpenVINO's applications run it, and no cache crosses the binding.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import openvino

from benchharness.contract import CACHE_GROWN_BY_GRAPH, CACHE_IN_PLACE, CACHE_NONE, Configuration
from benchharness.errors import ModelFailure, Unsupported
from targets.onnx_format.causality import read_evidence
from targets.onnx_format.files import describe
from targets.onnx_format.signature import MASK, POSITIONS, SEGMENTS, TOKENS, LanguageSignature, signature_or_why
from targets.openvino.language import OpenVinoLanguageSession, UncachedSession
from targets.openvino.loading import Compiled, check_request, compile_model, floats_of, read, words_of
from targets.openvino.session import OpenVinoSession, Ports, effective_of, last_operators
from targets.openvino_format.files import is_onnx
from targets.openvino_format.names import BEAMS, DTYPES, stateful_evidence

#: The layer that appends to a cache which it owns.
_ATTENTION = "ScaledDotProductAttention"


def open_session(file: Path, configuration: Configuration) -> OpenVinoSession:
    """The session that fits the model. Raises `ModelFailure`, `Unsupported`."""
    core = openvino.Core()
    request = check_request(core, configuration)  # a wrong request is told before anything is loaded for it
    model = read(core, file)
    ports, description = Ports(model, file), describe(file)
    floats, last = floats_of(model), last_operators(model, ports.outputs)
    inputs = [spec for spec in ports.inputs if spec.name != BEAMS]
    stateful = bool(model.get_variables())
    evidence = partial(read_evidence, file) if is_onnx(file) else partial(stateful_evidence, stateful)
    signature = signature_or_why(configuration, inputs, ports.outputs, description, evidence, str(file))
    if isinstance(signature, str):
        compiled = compile_model(core, model, file, request)
        facts = {"layout": "tensors", "no_language_model": signature}
        return OpenVinoSession(compiled, file, effective_of(compiled, floats, None, facts), ports, last)
    if signature.cache:
        _make_stateful(model, signature, file)
    compiled = compile_model(core, model, file, request)
    cache, held = _cache_of(compiled)
    facts = {
        "layout": "made stateful" if signature.cache else "stateful" if stateful else "no-cache",
        "described_by": description.source,
        "context_length_source": signature.context_length_source,
        **held,
    }
    cached = stateful or bool(signature.cache)
    kind = OpenVinoLanguageSession if cached else UncachedSession
    effective = effective_of(compiled, floats, cache if cached else CACHE_NONE, facts)
    return kind(compiled, file, effective, Ports(model, file), signature)


def _make_stateful(model: Any, signature: LanguageSignature, file: Path) -> None:
    """Turns caches among inputs and outputs into variables, in place. Raises `Unsupported` for one of fixed length."""
    from openvino._offline_transformations import apply_make_stateful_transformation

    if any(tensor.capacity is not None for tensor in signature.cache):
        raise Unsupported(f"{file}: a cache of fixed length cannot become a state; export it with a dynamic length")
    # Without the batch's length its variables have no shape to begin with.
    shapes = {name: [1, -1] for name in (TOKENS, MASK, POSITIONS, SEGMENTS)}
    shapes.update({tensor.past: [1, tensor.heads, -1, tensor.head_size] for tensor in signature.cache})
    try:
        model.reshape({port: shapes[name] for port in model.inputs for name in port.get_names() if name in shapes})
        apply_make_stateful_transformation(model, {tensor.past: tensor.present for tensor in signature.cache})
    except RuntimeError as error:
        raise ModelFailure(f"{file}: OpenVINO cannot make it stateful: {words_of(error)}") from error


def _cache_of(compiled: Compiled) -> tuple[str, dict[str, str]]:
    """How the cache is kept, and in what type: the property's where attention owns it, else that of its variables."""
    if any(layer.kind == _ATTENTION for layer in compiled.layers):
        kind, held = CACHE_IN_PLACE, [compiled.properties.get("KV_CACHE_PRECISION", "unknown")]
    else:
        kind, held = CACHE_GROWN_BY_GRAPH, [each.precision for each in compiled.layers if each.kind == "MemoryInput"]
    names = sorted({DTYPES.get(element, element) for element in held})
    return kind, {"cache_dtype": "+".join(names)} if names else {}
