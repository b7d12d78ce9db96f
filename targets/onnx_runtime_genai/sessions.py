"""The two ways to a token in onnxruntime-genai: logits, and its own loop. Each has one generator, one cache."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from benchharness.contract import HARNESS_CLOCK, EffectiveConfiguration, StampClock, TensorSpec, TokenStream
from benchharness.errors import ModelFailure, Unsupported
from targets.causal_session import CausalSession, Limits
from targets.onnx_runtime_genai.request import Loaded
from targets.token_checks import check_kept, check_prompt, smallest_step_ns

if TYPE_CHECKING:
    from benchharness.contract import Array


class _Generating:
    """What both share. `inputs` and `outputs` are empty: genai's tensors are its own."""

    inputs: Sequence[TensorSpec] = ()
    outputs: Sequence[TensorSpec] = ()

    def __init__(self, loaded: Loaded, effective: EffectiveConfiguration) -> None:
        self.effective = effective
        self.vocabulary_size: int = loaded.vocabulary_size
        self.context_length = loaded.max_length
        self._name = str(loaded.file)
        self._generator: Any = loaded.generator

    def run(self, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        """Refused."""
        raise Unsupported(f"{self._name}: onnxruntime-genai takes tokens, and no tensors; `onnxruntime` takes them")

    def close(self) -> None:
        """Frees the generator; the model goes with it. The session cannot run any more."""
        del self._generator

    def _failure(self, error: RuntimeError) -> ModelFailure:
        return ModelFailure(f"{self._name}: onnxruntime-genai failed while running: {error}")


class LogitsSession(CausalSession, _Generating):
    """A causal language model: tokens in, logits of the next one out, copied by genai at every step."""

    def __init__(self, loaded: Loaded, effective: EffectiveConfiguration) -> None:
        _Generating.__init__(self, loaded, effective)
        CausalSession.__init__(self, self._name, Limits(loaded.vocabulary_size, loaded.max_length, "int32"))

    def reset(self) -> None:
        """Empties the cache."""
        self._generator.rewind_to(0)
        super().reset()

    def rewind(self, tokens: int) -> None:
        """Keeps the first `tokens` of the text. Raises `Unsupported` where there are fewer."""
        check_kept(tokens, self._length)
        self._generator.rewind_to(tokens)
        self._length = tokens

    def _append(self, row: Array) -> Array:
        try:
            self._generator.append_tokens(row[0])
            # `get_logits` has the last row alone; of a prompt's others genai makes no copy where nobody asks.
            logits: Array = self._generator.get_logits() if self._wanted else self._generator.get_output("logits")
        except RuntimeError as error:
            raise self._failure(error) from error
        self._length += row.shape[1]
        return logits[0]  # type: ignore[no-any-return]


class StreamSession(_Generating):
    """A model that writes by genai's own loop. A token is stamped when `generate_next_token` has given it."""

    takes_text = False

    def __init__(self, loaded: Loaded, effective: EffectiveConfiguration) -> None:
        super().__init__(loaded, effective)
        self.clock = StampClock(HARNESS_CLOCK, stamped_at="device", resolution_ns=smallest_step_ns())

    def generate(self, prompt: Sequence[int] | str, count: int) -> TokenStream:
        """Exactly `count` tokens after the prompt. Raises `Unsupported` for a text or too many, `ModelFailure`."""
        ids = check_prompt(prompt, count, self.vocabulary_size, self.context_length, self._name, "int32")
        generator = self._generator
        stamps: list[int] = []
        tokens: list[int] = []
        try:
            generator.rewind_to(0)
            began_ns = time.perf_counter_ns()
            generator.append_tokens(ids)
            while len(tokens) < count and not generator.is_done():
                generator.generate_next_token()
                tokens.append(int(generator.get_next_tokens()[0]))
                stamps.append(time.perf_counter_ns())
        except RuntimeError as error:
            raise self._failure(error) from error
        if len(tokens) < count:  # it ends in silence; called again it gives padding
            raise ModelFailure(
                f"{self._name}: onnxruntime-genai ended its answer after {len(tokens)} of {count} tokens, with token "
                f"{tokens[-1] if tokens else 'none'}, which it takes for the end of the text; ask for fewer, or for "
                'options = { loop = "logits" }'
            )
        return TokenStream(len(ids), began_ns, stamps, [1] * count, tokens)
