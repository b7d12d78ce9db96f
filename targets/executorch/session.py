"""A loaded ExecuTorch method: arrays in, arrays out; and as a causal language model, whose cache is inside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from benchharness.contract import EffectiveConfiguration, TensorSpec
from benchharness.errors import ModelFailure, Unsupported
from targets.causal_session import CausalSession
from targets.pte_format.inspection import placed
from targets.pte_format.program import Method
from targets.pte_format.signature import LanguageSignature
from targets.token_checks import check_kept

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


class ExecuTorchLanguageSession(CausalSession, ExecuTorchSession):
    """A causal language model: what a call takes for the past is told by the position at which its tokens begin.

    Emptying the cache is counting anew: what lies behind the next token's position is not looked at.
    """

    def __init__(
        self,
        method: Any,
        described: Method,
        file: Path,
        effective: EffectiveConfiguration,
        signature: LanguageSignature,
    ) -> None:
        ExecuTorchSession.__init__(self, method, described, file, effective)
        CausalSession.__init__(self, str(file), signature)
        self._signature = signature
        self._positions = torch.arange(self.context_length, dtype=getattr(torch, signature.position_dtype))

    def run(self, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        """Refused: raw inputs would change the cache, which is inside."""
        raise Unsupported(f'{self._file}: its cache is inside the model; say task = "tensor" to run it on tensors')

    def rewind(self, tokens: int) -> None:
        """Keeps the first `tokens` of the text. Raises `Unsupported` where there are fewer."""
        check_kept(tokens, self._length)
        self._length = tokens

    def _append(self, row: Array) -> Array:
        """In as many calls as it takes; without `score` nobody looks at any but the last one's logits."""
        tokens, longest = torch.from_numpy(row), self._signature.longest
        given = [self._call(tokens[:, start : start + longest]) for start in range(0, row.shape[1], longest)]
        return given[-1] if self._wanted else np.concatenate(given)

    def _call(self, row: Any) -> Array:
        """Logits (tokens, vocabulary_size), or of the last token alone (1, ...)."""
        stop = self._length + row.shape[1]
        positions = self._positions[self._length : stop if self._signature.positions else self._length + 1]
        logits: Array = self._execute([row, positions])[0].float().numpy()
        self._length = stop
        return logits.reshape(-1, self.vocabulary_size)
