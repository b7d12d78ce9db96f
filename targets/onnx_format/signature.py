"""Tells a causal language model by its signature, and finds the shape of its key/value cache.

Exporters agree on the names: `input_ids`, `attention_mask`, `position_ids`, `use_cache_branch` and
`past_key_values.N.key|value` in; `logits` and `present.N.key|value` out. Some take `num_logits_to_keep`: of how many
tokens from the end logits are computed, 0 for all, as transformers documents it. Some with a cache take
`token_type_ids`, which are zeros; without a cache a model that takes them is an encoder.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from benchharness.contract import Configuration, TensorSpec
from benchharness.errors import Unsupported
from targets.onnx_format.causality import Evidence
from targets.onnx_format.files import Description

TOKENS, MASK, POSITIONS, SEGMENTS = "input_ids", "attention_mask", "position_ids", "token_type_ids"
CACHE_BRANCH, LOGITS = "use_cache_branch", "logits"
KEPT = ("num_logits_to_keep", "logits_to_keep")
_PAST = re.compile(r"past_key_values\.(\d+)\.(key|value)")

#: The context assumed where no file names one: long enough for any test, short enough to allocate a mask of it.
UNKNOWN_CONTEXT_TOKENS = 32_768

_FLOATS = ("float32", "float16")
#: Logits for each row of the table of tokens: some pad the one or the other, and leave a part of it out.
_FEWEST_LOGITS, _MOST_LOGITS = 0.5, 1.1
_OVERRULED = '; task = "causal-lm" overrules this'


@dataclass(frozen=True)
class CacheTensor:
    """One layer's keys or values: what goes in, what comes out. Shape (1, heads, tokens, head_size)."""

    past: str
    present: str
    dtype: str
    heads: int
    head_size: int
    capacity: int | None  # tokens, where the graph fixes them


@dataclass(frozen=True)
class LanguageSignature:
    """A causal language model as its graph and the files beside it describe it."""

    vocabulary_size: int
    context_length: int
    context_length_source: str
    cache: tuple[CacheTensor, ...]
    token_dtype: str
    mask_dtype: str | None  # None: the graph takes no mask
    position_dtype: str | None  # None: the graph takes no positions
    has_cache_branch: bool
    logits_dtype: str
    all_logits: bool  # False: the graph yields the last token's only
    segment_dtype: str | None = None  # None: the graph takes no token types
    kept: TensorSpec | None = None  # the input that says of how many tokens logits are computed


def why_no_language_model(
    inputs: Sequence[TensorSpec],
    outputs: Sequence[TensorSpec],
    description: Description,
    evidence: Callable[[], Evidence],
    *,
    asked: bool = False,
) -> str:
    """The reason why a model is not a causal language model, empty where it is one.

    Token classifiers and masked language models have the signature of one without a cache: where no configuration file
    tells, the graph does. `asked`: the user says that it is one, which holds wherever it could be.
    """
    reason = _why_no_signature(inputs, outputs)
    if reason:
        return reason
    cached = any(_PAST.fullmatch(spec.name) for spec in inputs)
    if description.causal is False and not asked:
        return f"{description.source} names an architecture that does not predict the next token{_OVERRULED}"
    if cached or (description.causal and not asked):
        return ""
    found = evidence()
    logits = next(spec for spec in outputs if spec.name == LOGITS)
    size = logits.shape[2] if isinstance(logits.shape[2], int) else description.vocabulary_size
    rows = found.rows.get(TOKENS)
    if size and rows and not rows * _FEWEST_LOGITS < size <= rows * _MOST_LOGITS:
        return f"{LOGITS} are over {size} classes, and {TOKENS} pick from a table of {rows} rows: no next token"
    if not asked and not found.causal:
        return f"{found.words}, so that {LOGITS} may look ahead as a masked language model's do{_OVERRULED}"
    return ""


def _why_no_signature(inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> str:
    taken = {spec.name: spec for spec in inputs}
    given = {spec.name: spec for spec in outputs}
    if TOKENS not in taken or LOGITS not in given:
        return f"no {TOKENS} in or no {LOGITS} out"
    if len(given[LOGITS].shape) != 3:
        return f"{LOGITS} have {len(given[LOGITS].shape)} dimensions, not batch x tokens x vocabulary"
    pasts = [name for name in taken if _PAST.fullmatch(name)]
    for name in pasts:
        if _present(name) not in given:
            return f"{name} goes in and {_present(name)} does not come out"
    known = {TOKENS, MASK, POSITIONS, CACHE_BRANCH, *KEPT, *pasts, *((SEGMENTS,) if pasts else ())}
    unknown = sorted(set(taken) - known)
    if unknown:
        return f"inputs that no language model layout here has: {', '.join(unknown)}"
    return _why_not_shaped(taken)


def _why_not_shaped(taken: Mapping[str, TensorSpec]) -> str:
    flat = [name for name in (TOKENS, MASK, POSITIONS, SEGMENTS) if name in taken and len(taken[name].shape) != 2]
    if flat:
        return f"{flat[0]} is not batch x tokens"
    kept = [name for name in KEPT if name in taken]
    if len(kept) > 1 or any(not _is_one_number(taken[name]) for name in kept):
        return f"{' and '.join(kept)}: one whole number was expected"
    return ""


def read_signature(
    inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec], description: Description, where: str
) -> LanguageSignature:
    """The signature of a causal language model. Raises `Unsupported` where a size is in no file, or a type unknown."""
    taken = {spec.name: spec for spec in inputs}
    logits = next(spec for spec in outputs if spec.name == LOGITS)
    if logits.dtype not in _FLOATS:
        raise Unsupported(f"{where}: logits of type {logits.dtype}; this adapter reads {' and '.join(_FLOATS)}")
    pasts = sorted((name for name in taken if _PAST.fullmatch(name)), key=_layer)
    cache = tuple(_cache_tensor(taken[name], description, where) for name in pasts)
    context, source = _context_length(cache, description)
    return LanguageSignature(
        vocabulary_size=_known(logits.shape[2], description.vocabulary_size, "vocabulary size", where),
        context_length=context,
        context_length_source=source,
        cache=cache,
        token_dtype=taken[TOKENS].dtype,
        mask_dtype=taken[MASK].dtype if MASK in taken else None,
        position_dtype=taken[POSITIONS].dtype if POSITIONS in taken else None,
        has_cache_branch=CACHE_BRANCH in taken,
        logits_dtype=logits.dtype,
        all_logits=logits.shape[1] != 1,
        segment_dtype=taken[SEGMENTS].dtype if SEGMENTS in taken else None,
        kept=next((taken[name] for name in KEPT if name in taken), None),
    )


def signature_or_why(
    configuration: Configuration,
    inputs: Sequence[TensorSpec],
    outputs: Sequence[TensorSpec],
    description: Description,
    evidence: Callable[[], Evidence],
    where: str,
) -> LanguageSignature | str:
    """A causal language model's signature, or why a model is run on tensors as it is asked. Raises as the former."""
    asked = configuration.task is not None
    reason = configuration.why_tensors or why_no_language_model(inputs, outputs, description, evidence, asked=asked)
    return reason or read_signature(inputs, outputs, description, where)


def told_task(
    inputs: Sequence[TensorSpec],
    outputs: Sequence[TensorSpec],
    description: Description,
    evidence: Callable[[], Evidence],
    where: str,
) -> tuple[str, dict[str, object]]:
    """The task that an adapter would see in the signature, and what a language model's says of its sizes."""
    reason = why_no_language_model(inputs, outputs, description, evidence)
    if reason:
        return "tensor", {"no_language_model": reason}
    try:
        signature = read_signature(inputs, outputs, description, where)
    except Unsupported as error:
        return "causal-lm", {"cannot_run": str(error)}
    return "causal-lm", {
        "vocabulary_size": signature.vocabulary_size,
        "context_length": signature.context_length,
        "context_length_source": signature.context_length_source,
        "cache_tensors": len(signature.cache),
    }


def _is_one_number(spec: TensorSpec) -> bool:
    return spec.dtype in ("int64", "int32") and len(spec.shape) <= 1 and list(spec.shape) in ([], [1])


def _present(past: str) -> str:
    return past.replace("past_key_values", "present")


def _layer(past: str) -> tuple[int, str]:
    match = _PAST.fullmatch(past)
    assert match, past
    return int(match[1]), match[2]


def _cache_tensor(spec: TensorSpec, description: Description, where: str) -> CacheTensor:
    if len(spec.shape) != 4:
        raise Unsupported(
            f"{where}: {spec.name} has {len(spec.shape)} dimensions; this adapter knows caches of four: "
            "batch, heads, tokens, head size"
        )
    _, heads, tokens, head_size = spec.shape
    return CacheTensor(
        past=spec.name,
        present=_present(spec.name),
        dtype=spec.dtype,
        heads=_known(heads, description.kv_heads, "number of key/value heads", where),
        head_size=_known(head_size, description.head_size, "head size", where),
        capacity=tokens if isinstance(tokens, int) else None,
    )


def _known(in_graph: object, described: int | None, what: str, where: str) -> int:
    """A size from the graph where it is a number, else from the configuration file."""
    if isinstance(in_graph, int):
        return in_graph
    if described is None:
        raise Unsupported(
            f"{where}: the {what} is neither in the graph nor in a config.json or genai_config.json beside it; "
            "give the folder that the exporter wrote"
        )
    return described


def _context_length(cache: Sequence[CacheTensor], description: Description) -> tuple[int, str]:
    fixed = [tensor.capacity for tensor in cache if tensor.capacity is not None]
    if fixed:
        return min(fixed), "graph"
    if description.context_length is not None:
        return description.context_length, description.source
    return UNKNOWN_CONTEXT_TOKENS, "assumed"
