"""The harness's own code paths, called as its worker calls them: an adapter's session and what scenarios do with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from benchharness.contract import Configuration, LanguageSession
from benchharness.device import adapters
from benchharness.device.inputs.requests import LanguageRequest, language_request
from benchharness.device.line.orders import Prompt, Workload
from benchharness.device.scenarios import first_token, steady
from benchharness.device.timing import quiet_collector
from benchharness.errors import NothingRan


@contextmanager
def opened(folder: Path, *, threads: int, spinning: bool | None) -> Iterator[LanguageSession]:
    """A language session from the ONNX Runtime adapter. `spinning` None leaves onnxruntime's default."""
    entries = {} if spinning is None else {"session.intra_op.allow_spinning": "1" if spinning else "0"}
    configuration = Configuration(runtime="onnxruntime", threads=threads, options={"session_config": entries})
    with adapters.load("onnxruntime").open(folder, configuration) as session:
        if not isinstance(session, LanguageSession):
            raise NothingRan(f"{folder}: the adapter does not take it for a language model")
        yield session


def request(
    session: LanguageSession, prompt: Mapping[str, Any], *, output_tokens: int, greedy: bool
) -> LanguageRequest:
    """A request as the worker makes it of a workload: at depth 0, feeding its own choice or fixed tokens."""
    continuation = "greedy" if greedy else "fixed"
    asked = cast("Prompt", {"seed": 0, **prompt})
    workload: Workload = {"prompt": asked, "output_tokens": output_tokens, "continuation": continuation}
    return language_request(session, {**workload, "context_depth": 0}, None)


def decode_rate(session: LanguageSession, asked: LanguageRequest) -> float:
    """`decode_rate` in tokens/s of one answer of scenario `steady`."""
    with quiet_collector():
        given = steady.answer(session, asked, asked.output_tokens)
    return (asked.output_tokens - 1) * 1e9 / (given.chosen[-1] - given.chosen[0])


def model_ttft_ns(session: LanguageSession, asked: LanguageRequest) -> int:
    """`model_ttft` in ns of one request of scenario `first-token`."""
    with quiet_collector():
        model_ns, _ = first_token.timed_request(session, asked)  # the scenario's own, or it would not be its cost
    return model_ns


def greedy_tokens(session: LanguageSession, prompt: Sequence[int], output_tokens: int) -> list[int]:
    """The tokens that greedy decoding chooses."""
    session.reset()
    tokens = [int(session.extend(prompt).argmax())]
    while len(tokens) < output_tokens:
        tokens.append(int(session.decode(tokens[-1]).argmax()))
    return tokens
