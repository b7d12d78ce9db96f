"""A loaded page as the contract has it: any model, and causal language models, timed by the page itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from benchharness.contract import EffectiveConfiguration, Inferences, TensorSpec, TokenStream
from benchharness.errors import ModelFailure, Unsupported
from targets.causal_session import CausalSession
from targets.onnx_format.graph import GraphFacts
from targets.onnx_format.input_rows import ToldByFile
from targets.onnx_format.inspection import inspect_model
from targets.onnx_format.signature import LanguageSignature
from targets.onnx_runtime_web.request import WASM, Opened
from targets.token_checks import check_prompt
from targets.web_page.told import given, lay_ready, specs, stamps_ns

if TYPE_CHECKING:
    from benchharness.contract import Array

_MOST_STEPS = 1 << 20  # stamps of one call


class WebSession(ToldByFile):
    """Any model in a page."""

    computed_in = "the page's process (chromium --type=renderer)"

    def __init__(self, opened: Opened, effective: EffectiveConfiguration, graph: GraphFacts) -> None:
        self._page, self._file = opened, Path(opened.name)
        self._last_operators = graph.last_operators
        self.clock = opened.clock
        self.effective = effective
        self.inputs: Sequence[TensorSpec] = specs(opened.told.get("inputs"), opened.name)
        self.outputs: Sequence[TensorSpec] = specs(opened.told.get("outputs"), opened.name)

    def run(self, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        """One inference. Raises `ModelFailure`."""
        return self.run_timed(inputs, 1).outputs

    def run_timed(self, inputs: Mapping[str, Array], count: int) -> Inferences:
        """So many inferences on the same inputs, in one loop of the page. Raises `ModelFailure`."""
        page, count = self._page, min(count, _MOST_STEPS)
        ready = lay_ready(page.server, inputs, page.name)
        answer = page.ask_table("infer", {"inputs": ready, "count": count})
        stamps = stamps_ns(answer.get("stamps"), count + 1, page.name)
        return Inferences(
            taken_ns=[later - sooner for sooner, later in zip(stamps, stamps[1:])],
            outputs=given(page.server, answer.get("outputs"), page.name),
        )

    def placement(self) -> Mapping[str, Mapping[str, int]]:
        """The file's operators, where WebAssembly is all that there is. Raises `Unsupported` beside WebGPU."""
        if self._page.provider != WASM:
            raise Unsupported("onnxruntime-web does not tell which operators WebGPU leaves to WebAssembly")
        operators: Counter[str] = Counter()
        for counts in inspect_model(self._file).operators.values():
            operators.update(counts)
        return {WASM: dict(operators)}

    def process(self) -> int:
        """The page's process on this machine. Raises `Unsupported`."""
        return self._page.browser.process()

    def close(self) -> None:
        """Ends the browser. The session cannot run any more."""
        self._page.close()


class WebLanguageSession(CausalSession, WebSession):
    """A causal language model in a page, which keeps its cache and writes by its own loop.

    Logits come one call at a time, for quality. Their way here takes longer than many a token, and is in no figure.
    """

    takes_text = False

    def __init__(
        self, opened: Opened, effective: EffectiveConfiguration, graph: GraphFacts, signature: LanguageSignature
    ) -> None:
        WebSession.__init__(self, opened, effective, graph)
        CausalSession.__init__(self, opened.name, signature)
        self._dtype = signature.logits_dtype
        opened.ask("language", asdict(signature))

    def reset(self) -> None:
        """Empties the cache."""
        self._page.ask("reset")
        super().reset()

    def _append(self, row: Array) -> Array:
        page = self._page
        told = page.ask("append", {"tokens": row[0].tolist(), "kept": self._wanted})
        logits = given(page.server, told, page.name).get("logits")
        shape = () if logits is None or not logits.size or logits.dtype.name != self._dtype else logits.shape
        if logits is None or shape[-1:] != (self.vocabulary_size,):
            raise ModelFailure(f"{page.name}: the page gave logits that cannot be")
        self._length += row.shape[1]
        return logits.reshape(-1, self.vocabulary_size)

    def generate(self, prompt: Sequence[int] | str, count: int) -> TokenStream:
        """Exactly `count` tokens after the prompt, by the page. Raises `Unsupported` for a text or too many."""
        ids = check_prompt(prompt, count, self.vocabulary_size, self.context_length, self._name)
        answer = self._page.ask_table("generate", {"prompt": ids.tolist(), "count": count})
        self._length = len(ids) + count - 1
        tokens = answer.get("tokens")
        if not isinstance(tokens, list) or not all(type(token) is int for token in tokens):
            raise ModelFailure(f"{self._name}: the page gave tokens that cannot be")
        began, *stamps = stamps_ns(answer.get("stamps"), count + 1, self._name)
        return TokenStream(len(ids), began, stamps, [1] * count, tokens)
