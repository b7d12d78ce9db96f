"""A sound adapter, for the tests of the adapters' test suite.

A model is a line of JSON: its kind, and the seed of its weights. A language model is a recurrent network, whose state
is its cache; any other is one linear layer.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchharness.contract import (
    CACHE_IN_PLACE,
    FALLBACK_FAIL,
    HARNESS_CLOCK,
    Availability,
    Configuration,
    EffectiveConfiguration,
    Inferences,
    ModelDescription,
    Refusal,
    StampClock,
    TensorSpec,
    TokenStream,
)
from benchharness.errors import ModelFailure, Unsupported

Array = NDArray[Any]

VOCABULARY, WIDTH, CONTEXT, FEATURES, CLASSES = 29, 8, 40, 4, 3
VERSION = "1.0"


class Tensors:
    """`x` (batch, FEATURES) to `scores` (batch, CLASSES) and `label` (batch,). It times itself."""

    clock = StampClock(HARNESS_CLOCK, stamped_at="host", resolution_ns=1)

    def __init__(self, seed: int, effective: EffectiveConfiguration) -> None:
        self.matrix = np.random.default_rng(seed).normal(size=(FEATURES, CLASSES)).astype(np.float32)
        self.inputs: Sequence[TensorSpec] = (TensorSpec("x", "float32", ("batch", FEATURES)),)
        self.outputs: Sequence[TensorSpec] = (
            TensorSpec("scores", "float32", ("batch", CLASSES)),
            TensorSpec("label", "int64", ("batch",)),
        )
        self.effective = effective

    def run(self, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        if "x" not in inputs:
            raise ModelFailure("no input 'x'")
        scores = self.scores(inputs["x"])
        return {"scores": scores, "label": np.asarray(scores).argmax(-1)}

    def run_timed(self, inputs: Mapping[str, Array], count: int) -> Inferences:
        stamps = [time.perf_counter_ns()]
        for _ in range(count):
            outputs = self.run(inputs)
            stamps.append(time.perf_counter_ns())
        return Inferences([later - sooner for sooner, later in pairwise(stamps)], outputs)

    def scores(self, x: Array) -> Array:
        scores: Array = x @ self.matrix
        return scores

    def placement(self) -> Mapping[str, Mapping[str, int]]:
        return {"cpu": {"MatMul": 1, "ArgMax": 1}}


class Language:
    """state = tanh(embedding[token] + state @ recurrent); logits = state @ output."""

    vocabulary_size, context_length = VOCABULARY, CONTEXT
    computed_in = "a process that has no id"
    most_at_once, answers_by = 3, "one after the other, a token each in turn"

    def __init__(self, seed: int, effective: EffectiveConfiguration) -> None:
        self.seed = seed
        random = np.random.default_rng(seed)
        sizes = ((VOCABULARY, WIDTH), (WIDTH, WIDTH), (WIDTH, VOCABULARY))
        self.embedding, self.recurrent, self.output = (random.normal(size=size).astype(np.float32) for size in sizes)
        self.inputs: Sequence[TensorSpec] = ()
        self.outputs: Sequence[TensorSpec] = ()
        self.effective = replace(effective, cache=CACHE_IN_PLACE)
        self.state, self.length = np.zeros(WIDTH, np.float32), 0
        self.states: list[Array] = []  # after each token

    def run(self, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        raise ModelFailure("tokens only")

    def reset(self) -> None:
        self.state, self.length = np.zeros(WIDTH, np.float32), 0
        self.states.clear()

    def rewind(self, tokens: int) -> None:
        if not 0 <= tokens <= self.length:
            raise Unsupported(f"{tokens} tokens cannot be kept of {self.length}")
        del self.states[tokens:]
        self.state, self.length = self.states[-1] if tokens else np.zeros(WIDTH, np.float32), tokens

    def extend(self, tokens: Sequence[int]) -> Array:
        self.check(tokens)
        return np.asarray(self.rows(tokens)[-1])

    def decode(self, token: int) -> Array:
        return self.extend([token])

    def score(self, tokens: Sequence[int]) -> Array:
        self.reset()
        rows = self.rows(tokens)
        self.reset()
        return rows

    def check(self, tokens: Sequence[int]) -> None:
        if not tokens:
            raise Unsupported("no tokens")
        for token in tokens:
            if not 0 <= token < VOCABULARY:
                raise Unsupported(f"token {token} is not one of {VOCABULARY}")
        if self.length + len(tokens) > CONTEXT:
            raise Unsupported(f"{self.length + len(tokens)} tokens exceed the context of {CONTEXT}")

    def rows(self, tokens: Sequence[int]) -> Array:
        """Logits after each token."""
        rows = []
        for token in tokens:
            self.state = np.tanh(self.embedding[token] + self.state @ self.recurrent)
            rows.append(self.state @ self.output)
            self.states.append(self.state)
        self.length += len(tokens)
        return np.array(rows)

    def answer_several(self, prompts: Sequence[Sequence[int] | str], count: int) -> Sequence[TokenStream]:
        if len(prompts) > self.most_at_once:
            raise Unsupported(f"{len(prompts)} requests at once; {self.most_at_once} are the most")
        began_ns = time.perf_counter_ns()
        each = [self.alone() for _ in prompts]
        for prompt in prompts:
            self.check_request(prompt, count)
        logits = [session.extend(list(prompt)) for session, prompt in zip(each, prompts, strict=False)]  # type: ignore[arg-type]
        tokens: list[list[int]] = [[] for _ in prompts]
        stamps: list[list[int]] = [[] for _ in prompts]
        for place in range(count):
            for at, session in enumerate(each):
                tokens[at].append(int(logits[at].argmax()))
                stamps[at].append(time.perf_counter_ns())
                if place + 1 < count:
                    logits[at] = session.decode(tokens[at][-1])
        return [
            TokenStream(len(prompt), began_ns, stamped, [1] * count, chosen)
            for prompt, stamped, chosen in zip(prompts, stamps, tokens, strict=False)
        ]

    def alone(self) -> Language:
        """The same model with a text of its own."""
        return Language(self.seed, self.effective)

    def check_request(self, prompt: Sequence[int] | str, count: int) -> None:
        if isinstance(prompt, str):
            raise Unsupported("text is not taken")
        if len(prompt) + count > CONTEXT:
            raise Unsupported(f"{len(prompt) + count} tokens exceed the context of {CONTEXT}")

    def process(self) -> int:
        raise Unsupported("it has no id")

    def placement(self) -> Mapping[str, Mapping[str, int]]:
        return {"cpu": {"Gather": 1, "MatMul": 2, "Tanh": 1}}


class Generating:
    """The language model behind a loop of its own, which stamps each token by the harness's clock."""

    clock = StampClock(HARNESS_CLOCK, stamped_at="host", resolution_ns=1)
    takes_text = False
    vocabulary_size: int | None = VOCABULARY
    context_length = CONTEXT

    def __init__(self, seed: int, effective: EffectiveConfiguration) -> None:
        self.model = Language(seed, effective)
        self.inputs: Sequence[TensorSpec] = ()
        self.outputs: Sequence[TensorSpec] = ()
        self.effective = effective

    def run(self, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        raise Unsupported("tokens only")

    def generate(self, prompt: Sequence[int] | str, count: int) -> TokenStream:
        began_ns = time.perf_counter_ns()
        if isinstance(prompt, str):
            raise Unsupported("text is not taken")
        if len(prompt) + count > CONTEXT:
            raise Unsupported(f"{len(prompt) + count} tokens exceed the context of {CONTEXT}")
        self.begin()
        tokens, stamps = [], []
        logits = self.model.extend(prompt)
        for place in range(count):
            tokens.append(int(logits.argmax()))
            stamps.append(time.perf_counter_ns())
            if place + 1 < count:
                logits = self.model.decode(tokens[-1])
        return TokenStream(len(prompt), began_ns, stamps, [1] * count, tokens)

    def begin(self) -> None:
        self.model.reset()

    def placement(self) -> Mapping[str, Mapping[str, int]]:
        return self.model.placement()


class Sound:
    """An adapter as it should be. `npu` is here and refuses every model."""

    name = "sound"
    formats: Sequence[str] = (".sound",)
    tensors: type[Tensors] = Tensors
    language: type[Language] = Language
    generating: type[Generating] = Generating

    def availability(self) -> Availability:
        return Availability(available=True, version=VERSION, accelerators=("cpu", "npu"))

    def inspect(self, artefact: Path) -> ModelDescription:
        task = "tensor" if self.read(artefact)["kind"] == "tensors" else "causal-lm"
        operators = {"": {"MatMul": 1}}
        return ModelDescription("sound", task, (), (), operators, parameters=(), quantization=(), external_files={})

    @contextmanager
    def open(self, artefact: Path, configuration: Configuration) -> Iterator[Tensors | Language | Generating]:
        self.check(configuration)
        yield self.loaded(self.read(artefact), configuration)

    @contextmanager
    def open_bytes(
        self, artefact: Path, content: bytes, configuration: Configuration
    ) -> Iterator[Tensors | Language | Generating]:
        self.check(configuration)
        yield self.loaded(self.parse(artefact, content), configuration)

    def loaded(self, model: Mapping[str, Any], configuration: Configuration) -> Tensors | Language | Generating:
        kinds: dict[str, type[Tensors | Language | Generating]] = {
            "language": self.language,
            "generating": self.generating,
            "tensors": self.tensors,
        }
        return kinds[model["kind"]](model["seed"], self.effective(configuration))

    def check(self, configuration: Configuration) -> None:
        if configuration.accelerator not in (None, "cpu", "npu"):
            raise Unsupported(f"no accelerator {configuration.accelerator!r}")
        for option in (*configuration.options, *configuration.accelerator_options):
            raise Unsupported(f"no option {option!r}")
        if configuration.accelerator == "npu" and configuration.fallback == FALLBACK_FAIL:
            raise Unsupported("npu refuses the model")

    def effective(self, configuration: Configuration) -> EffectiveConfiguration:
        refusal = Refusal("too large for me", 1000) if configuration.accelerator == "npu" else None
        return EffectiveConfiguration(accelerators=("cpu",), threads=1, runtime_version=VERSION, refusal=refusal)

    def read(self, artefact: Path) -> dict[str, Any]:
        try:
            return self.parse(artefact, artefact.read_bytes())
        except OSError as error:
            raise ModelFailure(f"{artefact}: {error}") from error

    def parse(self, artefact: Path, content: bytes) -> dict[str, Any]:
        try:
            model = json.loads(content)
            return {"kind": model["kind"], "seed": int(model["seed"])}
        except (ValueError, KeyError, TypeError) as error:
            raise ModelFailure(f"{artefact}: {error}") from error


def write_models(folder: Path) -> tuple[Path, Path, Path]:
    """A language model, a tensor model, and a language model behind a loop of its own."""
    paths = folder / "language.sound", folder / "tensors.sound", folder / "generating.sound"
    for path in paths:
        path.write_text(json.dumps({"kind": path.stem, "seed": 3}))
    return paths
