"""A model as lm-eval drives one, whose answers come from a session on a device: whoever has it says how it is asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lm_eval.api.model import LM

from benchharness.device.scenarios.task.asked import GENERATE, LIKELIHOOD, MOST_TOKENS, ROLLING, Request
from benchharness.errors import Unsupported
from benchharness.scenarios.task.sets import Answer

#: What lm-eval calls the kinds of requests.
_KINDS = {"loglikelihood": LIKELIHOOD, "loglikelihood_rolling": ROLLING, "generate_until": GENERATE}
#: What an answer may have where its task does not say, as lm-eval's own models have it.
MOST_WRITTEN = 256

Ask = Callable[[Sequence[Request]], Sequence[Answer]]


class SessionLM(LM):  # type: ignore[misc]  # lm-eval is not typed
    """All requests of a kind come at once, and are asked at once."""

    def __init__(self, ask: Ask, most_tokens: int = MOST_WRITTEN) -> None:
        super().__init__()
        self._ask = ask
        self._most_tokens = most_tokens

    def loglikelihood(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        """Of continuations: the log-likelihood in nats, and whether greedy decoding would give them."""
        return [(each.log_likelihood, each.greedy) for each in self._answers("loglikelihood", requests)]

    def loglikelihood_rolling(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[float]:
        """Of whole texts: the log-likelihood in nats."""
        return [each.log_likelihood for each in self._answers("loglikelihood_rolling", requests)]

    def generate_until(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[str]:
        """What the model writes, greedily, without what ended it."""
        return [each.text for each in self._answers("generate_until", requests)]

    def _answers(self, kind: str, requests: Sequence[Any]) -> list[Answer]:
        asked = [request_of(kind, each.args, self._most_tokens) for each in requests]
        different = list(dict.fromkeys(asked))
        found = dict(zip(different, self._ask(different), strict=True))
        answers = [found[each] for each in asked]
        for each, answer in zip(requests, answers, strict=True):
            told = answer.text if kind == "generate_until" else (answer.log_likelihood, answer.greedy)
            self.cache_hook.add_partial(kind, each.args, answer.log_likelihood if kind.endswith("rolling") else told)
        return answers


def request_of(kind: str, arguments: Sequence[Any], most_tokens: int) -> Request:
    """A request of lm-eval's as ours. Raises `Unsupported` for one that asks for chance or for anything else."""
    ours = _KINDS.get(kind)
    if ours is None:
        raise Unsupported(f"it asks for {kind!r}, which is not answered here (there are: {', '.join(_KINDS)})")
    if ours == LIKELIHOOD:
        before, text = arguments
        return Request(LIKELIHOOD, str(before), str(text))
    if ours == ROLLING:
        return Request(ROLLING, "", str(arguments[0]))
    before, said = arguments
    return _to_write(str(before), said if isinstance(said, Mapping) else {}, most_tokens)


def _to_write(before: str, said: Mapping[str, Any], most_tokens: int) -> Request:
    if said.get("do_sample") or float(said.get("temperature") or 0.0) > 0:
        raise Unsupported("it asks for sampled answers; here they are greedy: set do_sample: false in its file")
    until = said.get("until") or ()
    until = (until,) if isinstance(until, str) else tuple(map(str, until))
    most = said.get("max_gen_toks", said.get("max_new_tokens", said.get("max_tokens", most_tokens)))
    return Request(GENERATE, before, "", until, max(1, min(int(most), MOST_TOKENS)))
