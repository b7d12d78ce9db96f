"""What language sessions share: checks of token ids before a runtime sees them, and the step of the clock."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from benchharness.errors import Unsupported

if TYPE_CHECKING:
    from benchharness.contract import Array

#: So few are looked at by Python: after an inference numpy's reductions are in no cache of the processor, and two of
#: them took 8 us of a first token of 250 us; Python's took 2 us.
_FEW = 512
_CLOCK_LOOKS = 1000


def check_tokens(
    tokens: Sequence[int],
    vocabulary_size: int,
    used: int,
    context_length: int,
    dtype: str | np.dtype[Any] = "int64",
) -> Array:
    """Token ids, shape (tokens,), of a type that holds the vocabulary. `used`: tokens that are in the cache already.

    They are made of that type at once: numpy's cast to another took 20 us of a first token's 780 on a busy machine.

    Raises `Unsupported` where they are none, outside the vocabulary, or more than the context has room for.
    """
    if not len(tokens):
        raise Unsupported("no tokens: a language model needs at least one")
    if isinstance(tokens, list) and len(tokens) <= _FEW:
        least, most = min(tokens), max(tokens)
    else:
        given = np.asarray(tokens)
        least, most = int(given.min()), int(given.max())
    if least < 0 or most >= vocabulary_size:
        refuse_token(next(int(token) for token in tokens if not 0 <= token < vocabulary_size), vocabulary_size)
    if used + len(tokens) > context_length:
        refuse_length(used + len(tokens), context_length)
    return np.array(tokens, dtype)


def check_holds(dtype: np.dtype[Any], vocabulary_size: int, name: str) -> None:
    """Raises `Unsupported` where a model takes its token ids as numbers that are too small for the largest one."""
    largest = 1
    if dtype.kind in "iu":
        largest = int(np.iinfo(dtype).max)
    elif dtype.kind == "f":
        largest = 2 ** (int(np.finfo(dtype).nmant) + 1)
    if vocabulary_size - 1 > largest:
        raise Unsupported(
            f"{name}: it takes token ids as {dtype}, which holds none above {largest}, and its vocabulary is "
            f"{vocabulary_size}; export it with int32 or int64 ids"
        )


def check_token(token: int, vocabulary_size: int, used: int, context_length: int) -> None:
    """The same for a single token, without an array: it runs between two decoded tokens."""
    if not 0 <= token < vocabulary_size:
        refuse_token(token, vocabulary_size)
    if used >= context_length:
        refuse_length(used + 1, context_length)


def check_kept(tokens: int, used: int) -> None:
    """Raises `Unsupported` where a cache of `used` tokens has no first `tokens` to keep."""
    if not 0 <= tokens <= used:
        raise Unsupported(f"{tokens} tokens cannot be kept of the {used} in the cache")


def check_prompt(
    prompt: Sequence[int] | str, count: int, vocabulary_size: int, context_length: int, name: str, dtype: str = "int64"
) -> Array:
    """A prompt's token ids, as `check_tokens` gives them, with room for an answer of `count` tokens.

    Raises `Unsupported`, for a text too; `name` is the model's.
    """
    if isinstance(prompt, str):
        raise Unsupported(f"{name}: a prompt is token ids here")
    ids = check_tokens(prompt, vocabulary_size, 0, context_length, dtype)
    if len(ids) + count > context_length:
        refuse_length(len(ids) + count, context_length)
    return ids


def check_prompts(
    prompts: Sequence[Sequence[int] | str], count: int, vocabulary_size: int, context_length: int
) -> list[list[int]]:
    """Several prompts as token ids, each with room for an answer of `count` tokens. Raises `Unsupported`."""
    found = []
    for prompt in prompts:
        if isinstance(prompt, str):
            raise Unsupported("a prompt is token ids here, and a text was given")
        ids = [int(token) for token in prompt]
        check_tokens(ids, vocabulary_size, count, context_length)
        found.append(ids)
    return found


def refuse_token(token: int, vocabulary_size: int) -> None:
    """Raises `Unsupported` for a token that the model does not know."""
    raise Unsupported(
        f"token {token} is outside the model's vocabulary of {vocabulary_size}; "
        "was the text encoded with this model's tokenizer?"
    )


def refuse_length(tokens: int, context_length: int) -> None:
    """Raises `Unsupported` for more tokens than the context holds."""
    raise Unsupported(
        f"{tokens} tokens do not fit the model's context of {context_length}; shorten the prompt or the output"
    )


def smallest_step_ns() -> int:
    """Of the harness's clock, as it is seen here."""
    looks = [time.perf_counter_ns() for _ in range(_CLOCK_LOOKS)]
    return min(later - sooner for sooner, later in zip(looks, looks[1:]) if later > sooner)
