"""Runs an exported LiteRT language model in LiteRT's own interpreter, to hold it against torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter

HIDDEN = -1e9
"""Added to the attention scores of places that a token must not see; 0 is added to the others."""


class LanguageModel:
    """One sequence, with its key/value cache carried from call to call."""

    def __init__(self, file: Path, threads: int = 2) -> None:
        self._interpreter = Interpreter(model_path=str(file), num_threads=threads)
        names = self._interpreter.get_signature_list()
        self._runners = {name: self._interpreter.get_signature_runner(name) for name in names}
        details = self._runners["decode"].get_input_details()
        self._empty = {
            name: np.zeros(one["shape"], one["dtype"]) for name, one in details.items() if "kv_cache" in name
        }
        self.cache_length = int(details["mask"]["shape"][-1])
        self.prefill_lengths = sorted(int(name.removeprefix("prefill_")) for name in names if name != "decode")
        self.reset()

    def reset(self) -> None:
        """Empty the cache."""
        self._cache, self._depth = self._empty, 0

    def decode(self, token: int) -> np.ndarray:
        """Append one token; logits of the next, (vocabulary,)."""
        return self._call("decode", [token], 1)["logits"][0, 0]

    def prefill(self, tokens: Sequence[int], length: int) -> None:
        """Append up to `length` tokens by the signature of that length, padded with zeros; it gives no logits."""
        if self._depth + length > self.cache_length:
            # LiteRT would not refuse: it moves the whole chunk back until it fits, over what is there.
            raise ValueError(f"{length} places after {self._depth} are more than the cache has ({self.cache_length})")
        self._call(f"prefill_{length}", [*tokens, *[0] * (length - len(tokens))], len(tokens))

    def _call(self, signature: str, tokens: Sequence[int], new: int) -> dict[str, np.ndarray]:
        """Run `tokens`, of which the first `new` are real, and keep the cache; return the other outputs."""
        places = np.arange(self._depth, self._depth + len(tokens), dtype=np.int32)
        visible = np.arange(self.cache_length) <= places[:, None]
        outputs = self._runners[signature](
            tokens=np.array([tokens], np.int32),
            input_pos=places,
            mask=np.where(visible, 0, HIDDEN).astype(np.float32)[None, None],
            **self._cache,
        )
        self._cache = {name: outputs.pop(name) for name in self._empty}
        self._depth += new
        return outputs

    def forward(self, tokens: np.ndarray) -> np.ndarray:
        """Ids (1, S) -> logits (1, S, vocabulary), token by token from an empty cache."""
        self.reset()
        return np.stack([self.decode(int(token)) for token in tokens[0]])[None]

    def greedy(self, prompt: Sequence[int], count: int, end: int | None = None) -> list[int]:
        """The `count` most likely next tokens after `prompt`; none after the token `end`."""
        self.reset()
        for token in prompt[:-1]:
            self.decode(token)
        chosen: list[int] = []
        pending = prompt[-1]
        while len(chosen) < count and (not chosen or pending != end):
            pending = int(self.decode(pending).argmax())
            chosen.append(pending)
        return chosen

    def prefill_difference(self, tokens: Sequence[int]) -> float:
        """Largest difference of the last logits after each prefill signature to those token by token.

        Each signature takes whole chunks, then a padded one, and the last token is decoded.
        """
        expected = self.forward(np.array([tokens]))[0, -1]
        differences = []
        for length in self.prefill_lengths:
            self.reset()
            for at in range(0, len(tokens) - 1, length):
                self.prefill(tokens[at : min(at + length, len(tokens) - 1)], length)
            differences.append(float(np.abs(self.decode(tokens[-1]) - expected).max()))
        return max(differences)
