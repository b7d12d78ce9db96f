"""A loaded ExecuTorch method: arrays in, arrays out; and as a causal language model, whose cache is inside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from benchharness.contract import EffectiveConfiguration, TensorSpec
from benchharness.errors import ModelFailure, Unsupported
from targets.executorch.inspection import placed
from targets.executorch.program_file import Method
from targets.executorch.signature import LanguageSignature
from targets.token_checks import check_kept, check_token, check_tokens

if TYPE_CHECKING:
    from benchharness.contract import Array


class ExecuTorchSession:
    """Any method whose inputs and outputs are tensors."""

    def __init__(self, method: Any, described: Method, file: Path, effective: EffectiveConfiguration) -> None:
        self.effective = effective
        self.inputs: Sequence[TensorSpec] = [spec for spec in described.inputs if spec is not None]
        self.outputs: Sequence[TensorSpec] = [spec for spec in described.outputs if spec is not None]
        self._method, self._described, self._file = method, described, file

    def run(self, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        """One inference: arrays by input name to arrays by output name. Raises `ModelFailure`."""
        for spec in self.inputs:
            given = inputs[spec.name].dtype.name if spec.name in inputs else "none"
            if given != spec.dtype:
                raise ModelFailure(f"{self._file}: input {spec.name} is {spec.dtype}, and {given} was given")
        fed = [torch.from_numpy(np.ascontiguousarray(inputs[spec.name])) for spec in self.inputs]
        return {spec.name: given.numpy() for spec, given in zip(self.outputs, self._execute(fed))}

    def placement(self) -> Mapping[str, Mapping[str, int]]:
        """Instructions of the program by place; a delegate counts as one, whatever it has taken."""
        return placed(self._described)

    def close(self) -> None:
        """Frees the method. The session cannot run any more."""
        del self._method

    def _execute(self, fed: Sequence[Any]) -> Sequence[Any]:
        try:
            return self._method.execute(fed)  # type: ignore[no-any-return]
        except MemoryError:
            raise
        except Exception as error:
            raise ModelFailure(f"{self._file}: ExecuTorch failed while running: {error}") from error


class ExecuTorchLanguageSession(ExecuTorchSession):
    """A causal language model: what a call takes for the past is told by the position at which its tokens begin."""

    def __init__(
        self,
        method: Any,
        described: Method,
        file: Path,
        effective: EffectiveConfiguration,
        signature: LanguageSignature,
    ) -> None:
        super().__init__(method, described, file, effective)
        self.vocabulary_size, self.context_length = signature.vocabulary_size, signature.context_length
        self._signature = signature
        self._length = 0  # tokens in the cache
        self._positions = torch.arange(self.context_length, dtype=getattr(torch, signature.position_dtype))
        self._token = torch.zeros((1, 1), dtype=getattr(torch, signature.token_dtype))

    def run(self, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        """Refused: raw inputs would change the cache, which is inside."""
        raise Unsupported(f'{self._file}: its cache is inside the model; say task = "tensor" to run it on tensors')

    def reset(self) -> None:
        """Empties the cache: what lies behind the next token's position is not looked at."""
        self._length = 0

    def rewind(self, tokens: int) -> None:
        """Keeps the first `tokens` of the text. Raises `Unsupported` where there are fewer."""
        check_kept(tokens, self._length)
        self._length = tokens

    def extend(self, tokens: Sequence[int]) -> Array:
        """Appends one or more tokens; the logits of the next one, float32, shape (vocabulary_size,)."""
        logits: Array = self._appended(tokens)[-1][-1]
        return logits

    def decode(self, token: int) -> Array:
        """Appends one token; the logits of the next one, like `extend([token])`."""
        check_token(token, self.vocabulary_size, self._length, self.context_length)
        self._token[0, 0] = token
        logits: Array = self._append(self._token)[-1]
        return logits

    def score(self, tokens: Sequence[int]) -> Array:
        """Logits after each token, float32, shape (len(tokens), vocabulary_size). Leaves the cache empty.

        Raises `Unsupported` where the program yields the last token's logits only.
        """
        if not self._signature.all_logits:
            raise Unsupported(f"{self._file}: the graph yields the last token's logits only; score by decoding")
        self.reset()
        try:
            return np.concatenate(self._appended(tokens))
        finally:
            self.reset()

    def _appended(self, tokens: Sequence[int]) -> list[Array]:
        """Appends tokens in as many calls as it takes; the logits that each call gave."""
        ids = check_tokens(tokens, self.vocabulary_size, self._length, self.context_length)
        row = torch.from_numpy(ids)[None].to(self._token.dtype)
        longest = self._signature.longest
        return [self._append(row[:, start : start + longest]) for start in range(0, ids.size, longest)]

    def _append(self, row: Any) -> Array:
        """One call; logits (tokens, vocabulary_size), or of the last token alone (1, ...)."""
        stop = self._length + row.shape[1]
        positions = self._positions[self._length : stop if self._signature.positions else self._length + 1]
        logits: Array = self._execute([row, positions])[0].float().numpy()
        self._length = stop
        return logits.reshape(-1, self.vocabulary_size)
