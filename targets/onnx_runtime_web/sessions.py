"""A loaded page as the contract has it: any model, and causal language models, timed by the page itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchharness.contract import EffectiveConfiguration, Inferences, TensorSpec, TokenStream
from benchharness.errors import ModelFailure, Unsupported
from targets.onnx_format.graph import GraphFacts
from targets.onnx_format.input_rows import read_input_rows
from targets.onnx_format.signature import (
    CACHE_BRANCH,
    LOGITS,
    MASK,
    POSITIONS,
    SEGMENTS,
    TOKENS,
    LanguageSignature,
)
from targets.onnx_runtime_web.request import WASM, Opened, stamps_ns
from targets.token_checks import check_token, check_tokens, refuse_length

if TYPE_CHECKING:
    from benchharness.contract import Array

#: What a page's tensors may be, by numpy's names, which JavaScript's are too but for two.
_DTYPES = frozenset(
    ("float32", "float64", "float16", "bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64")
)
_MOST_TENSORS, _MOST_AXES = 1000, 16
_MOST_STEPS = 1 << 20  # stamps of one call


class WebSession:
    """Any model in a page."""

    computed_in = "the page's process (chromium --type=renderer)"

    def __init__(self, opened: Opened, effective: EffectiveConfiguration, graph: GraphFacts) -> None:
        self._page = opened
        self._graph = graph
        self.clock = opened.clock
        self.effective = effective
        self.inputs: Sequence[TensorSpec] = specs(opened.told.get("inputs"), opened.name)
        self.outputs: Sequence[TensorSpec] = specs(opened.told.get("outputs"), opened.name)

    def run(self, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        """One inference. Raises `ModelFailure`."""
        return self.run_timed(inputs, 1).outputs

    def run_timed(self, inputs: Mapping[str, Array], count: int) -> Inferences:
        """So many inferences on the same inputs, in one loop of the page. Raises `ModelFailure`."""
        told = self._page.ask("infer", {"inputs": self._lay_ready(inputs), "count": min(count, _MOST_STEPS)})
        answer = told if isinstance(told, dict) else {}
        stamps = stamps_ns(answer.get("stamps"), min(count, _MOST_STEPS) + 1, self._page.name)
        return Inferences(
            taken_ns=[later - sooner for sooner, later in zip(stamps, stamps[1:])],
            outputs=self._given(answer.get("outputs")),
        )

    def placement(self) -> Mapping[str, Mapping[str, int]]:
        """The file's operators, where WebAssembly is all that there is. Raises `Unsupported` beside WebGPU."""
        if self._page.provider != WASM:
            raise Unsupported("onnxruntime-web does not tell which operators WebGPU leaves to WebAssembly")
        from targets.onnx_format.inspection import inspect_model

        operators: dict[str, int] = {}
        for counts in inspect_model(Path(self._page.name)).operators.values():
            for name, count in counts.items():
                operators[name] = operators.get(name, 0) + count
        return {WASM: operators}

    def last_operators(self) -> Mapping[str, str]:
        """By output, the operator that computes it, as the file says."""
        return self._graph.last_operators

    def input_rows(self) -> Mapping[str, int]:
        """By input: the rows of the smallest stored table that its numbers pick from, as the file tells."""
        return read_input_rows(Path(self._page.name))

    def process(self) -> int:
        """The page's process on this machine. Raises `Unsupported`."""
        return self._page.browser.process()

    def close(self) -> None:
        """Ends the browser. The session cannot run any more."""
        self._page.close()

    def _lay_ready(self, inputs: Mapping[str, Array]) -> list[dict[str, Any]]:
        """Puts arrays where the page takes them, one after the other; what each is."""
        told, parts = [], []
        for name, value in inputs.items():
            array = np.ascontiguousarray(value)
            if array.dtype.name not in _DTYPES:
                raise ModelFailure(f"{self._page.name}: input {name!r}: a page takes no tensors of {array.dtype.name}")
            told.append({"name": name, "type": array.dtype.name, "dims": list(np.shape(value)), "length": array.nbytes})
            parts.append(array.tobytes())
        self._page.server.files["take"] = b"".join(parts)
        return told

    def _given(self, told: Any) -> dict[str, Array]:
        """The arrays that the page gave, which have to be what it says of them."""
        wrong = ModelFailure(f"{self._page.name}: the page gave tensors that cannot be")
        if not isinstance(told, list) or len(told) > _MOST_TENSORS:
            raise wrong
        content, at, found = self._page.server.taken, 0, {}
        self._page.server.taken = b""
        for each in told:
            if not isinstance(each, dict):
                raise wrong
            name, dtype, dims = each.get("name"), each.get("type"), each.get("dims")
            if not isinstance(name, str) or not isinstance(dtype, str) or not _are_lengths(dims):
                raise wrong
            if dtype not in _DTYPES:
                raise wrong
            count = int(np.prod(dims, dtype=object)) if dims else 1
            length = count * np.dtype(dtype).itemsize
            if at + length > len(content):
                raise wrong
            found[name] = np.frombuffer(content, dtype, count, at).reshape(dims)
            at += length
        if at != len(content):
            raise wrong
        return found


class WebLanguageSession(WebSession):
    """A causal language model in a page, which keeps its cache and writes by its own loop.

    Logits come one call at a time, for quality. Their way here takes longer than many a token, and is in no figure.
    """

    takes_text = False

    def __init__(
        self, opened: Opened, effective: EffectiveConfiguration, graph: GraphFacts, signature: LanguageSignature
    ) -> None:
        super().__init__(opened, effective, graph)
        self._all_logits = signature.all_logits
        self._dtype = signature.logits_dtype
        self.vocabulary_size: int = signature.vocabulary_size
        self.context_length = signature.context_length
        self._length = 0
        opened.ask("language", _plan(signature))

    def reset(self) -> None:
        """Empties the cache."""
        self._page.ask("reset")
        self._length = 0

    def extend(self, tokens: Sequence[int]) -> Array:
        """Appends one or more tokens; the logits of the next one, float32, shape (vocabulary_size,)."""
        ids = check_tokens(tokens, self.vocabulary_size, self._length, self.context_length)
        row = self._logits("extend", ids, "row")
        self._length += len(ids)
        return row

    def decode(self, token: int) -> Array:
        """Appends one token; the logits of the next one, float32, shape (vocabulary_size,)."""
        check_token(token, self.vocabulary_size, self._length, self.context_length)
        return self.extend([token])

    def score(self, tokens: Sequence[int]) -> Array:
        """Logits after each token, float32, shape (len(tokens), vocabulary_size). Leaves the cache empty.

        Raises `Unsupported` where the graph yields the last token's logits only.
        """
        if not self._all_logits:
            raise Unsupported(f"{self._page.name}: the graph yields the last token's logits only; score by decoding")
        ids = check_tokens(tokens, self.vocabulary_size, 0, self.context_length)
        self._length = 0
        rows: Array = self._logits("score", ids, "rows")[0]
        return rows

    def generate(self, prompt: Sequence[int] | str, count: int) -> TokenStream:
        """Exactly `count` tokens after the prompt, by the page. Raises `Unsupported` for a text or too many."""
        if isinstance(prompt, str):
            raise Unsupported(f"{self._page.name}: a prompt is token ids here")
        ids = check_tokens(prompt, self.vocabulary_size, 0, self.context_length)
        if len(ids) + count > self.context_length:
            refuse_length(len(ids) + count, self.context_length)
        told = self._page.ask("generate", {"prompt": ids.tolist(), "count": count})
        self._length = len(ids) + count - 1
        answer = told if isinstance(told, dict) else {}
        tokens = answer.get("tokens")
        if not isinstance(tokens, list) or not all(type(token) is int for token in tokens):
            raise ModelFailure(f"{self._page.name}: the page gave tokens that cannot be")
        began, *stamps = stamps_ns(answer.get("stamps"), count + 1, self._page.name)
        return TokenStream(len(ids), began, stamps, [1] * count, tokens)

    def _logits(self, verb: str, ids: Array, name: str) -> Array:
        found = self._given(self._page.ask(verb, {"tokens": ids.tolist()}))
        if (
            set(found) != {name}
            or found[name].dtype.name != self._dtype
            or found[name].shape[-1] != self.vocabulary_size
        ):
            raise ModelFailure(f"{self._page.name}: the page gave logits that cannot be")
        return found[name].astype(np.float32, copy=False)


def _plan(signature: LanguageSignature) -> dict[str, Any]:
    """What the page has to know of a language model."""

    def put(name: str, dtype: str | None) -> dict[str, Any] | None:
        return None if dtype is None else {"name": name, "type": dtype}

    kept = signature.kept
    return {
        "logits": LOGITS,
        "logitsType": signature.logits_dtype,
        "tokens": put(TOKENS, signature.token_dtype),
        "mask": put(MASK, signature.mask_dtype),
        "positions": put(POSITIONS, signature.position_dtype),
        "segments": put(SEGMENTS, signature.segment_dtype),
        "kept": None if kept is None else {"name": kept.name, "type": kept.dtype, "dims": [1] * len(kept.shape)},
        "branch": {"name": CACHE_BRANCH} if signature.has_cache_branch else None,
        "cache": [
            {
                "past": each.past,
                "present": each.present,
                "type": each.dtype,
                "heads": each.heads,
                "size": each.head_size,
            }
            for each in signature.cache
        ],
    }


def specs(told: Any, name: str) -> list[TensorSpec]:
    """The signature as the page tells it. Raises `ModelFailure` for what is none."""
    wrong = ModelFailure(f"{name}: the page told a signature that cannot be")
    if not isinstance(told, list) or len(told) > _MOST_TENSORS:
        raise wrong
    found = []
    for each in told:
        if not isinstance(each, dict) or not isinstance(each.get("name"), str):
            raise wrong
        shape = each.get("shape", ())
        if not isinstance(each.get("type", "unknown"), str) or not isinstance(shape, (list, tuple)):
            raise wrong
        if len(shape) > _MOST_AXES or not all(isinstance(length, (int, str)) for length in shape):
            raise wrong
        dtype = str(each.get("type", "unknown"))
        found.append(TensorSpec(each["name"], "str" if dtype == "string" else dtype, tuple(shape)))
    return found


def _are_lengths(dims: Any) -> bool:
    return (
        isinstance(dims, list)
        and len(dims) <= _MOST_AXES
        and all(type(dim) is int and 0 <= dim < 1 << 32 for dim in dims)
    )
