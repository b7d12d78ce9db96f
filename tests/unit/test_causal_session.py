"""What a runtime is handed by the session that all language models share: ids of its type, and how much is wanted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from benchharness.errors import Unsupported
from targets.causal_session import CausalSession, Limits

VOCABULARY, CONTEXT = 40, 600


class Recording(CausalSession):
    """Answers with a row a token, and notes what it was handed."""

    def __init__(self, dtype: str) -> None:
        super().__init__("recording", Limits(VOCABULARY, CONTEXT, dtype))
        self.rows: list[np.ndarray[Any, Any]] = []
        self.wanted: list[tuple[int, int]] = []  # as a number, as an array

    def _append(self, row: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        self.rows.append(row.copy())
        self.wanted.append((self._wanted, int(self._kept[0])))
        self._length += row.shape[1]
        logits: np.ndarray[Any, Any] = np.eye(VOCABULARY, dtype=np.float32)[row[0]]
        return logits


@pytest.mark.parametrize("dtype", ["int32", "int64"])
@pytest.mark.parametrize("make", [list, tuple, np.array], ids=["list", "tuple", "array"])
@pytest.mark.parametrize("length", [1, 513], ids=["short", "long"])
def test_ids_come_as_the_type_that_the_model_takes(
    dtype: str, make: Callable[[Sequence[int]], Any], length: int
) -> None:
    tokens = [index % VOCABULARY for index in range(length)]
    session = Recording(dtype)
    assert int(session.extend(make(tokens)).argmax()) == tokens[-1]
    assert session.score(make(tokens)).argmax(axis=1).tolist() == tokens
    session.decode(7)
    assert [row.dtype.name for row in session.rows] == [dtype] * 3
    assert [row.tolist() for row in session.rows] == [[tokens], [tokens], [[7]]]


def test_all_logits_are_wanted_of_a_score_alone() -> None:
    session = Recording("int32")
    session.extend([1, 2])
    session.score([1, 2])
    with pytest.raises(Unsupported, match="token 40"):
        session.score([VOCABULARY])
    session.decode(3)
    assert session.wanted == [(1, 1), (0, 0), (1, 1)]


@pytest.mark.parametrize(
    ("dtype", "vocabulary", "largest"),
    [("int8", 129, 127), ("uint8", 257, 255), ("int16", 32_769, 32_767), ("float16", 2050, 2048), ("bool", 3, 1)],
)
def test_ids_that_their_type_does_not_hold_are_refused(dtype: str, vocabulary: int, largest: int) -> None:
    class Small(Recording):
        def __init__(self, size: int) -> None:
            CausalSession.__init__(self, "small", Limits(size, CONTEXT, dtype))

    Small(vocabulary - 1)
    with pytest.raises(Unsupported, match=f"small: it takes token ids as {dtype}, which holds none above {largest}"):
        Small(vocabulary)
