"""Whether two models write the same, whatever tokens they write it in."""

from __future__ import annotations

import pytest

from benchharness.device.inputs.tokenizer import Tokenizer
from benchharness.device.scenarios.quality.answers import SLACK, Answer, alike, answer, goes_on, normalised
from tests.conftest import ARTEFACTS


def row(reference: str, variant: str, *, ended: tuple[bool, bool] = (False, False)) -> tuple[float, ...]:
    return tuple(alike(Answer(reference, ended[0]), Answer(variant, ended[1])))


@pytest.mark.parametrize(
    ("reference", "variant", "expected"),
    [
        (" and the king", " and the king of Judah", (1, 1, 13, 13)),
        (" and the king", " and the queen", (0, 0, 9, 13)),
        (" and the king", " And, the  King said", (0, 1, 1, 13)),
        (" and the king", " and the ki", (0, 0, 11, 13)),  # it goes no further: nothing says that it would
        (" ... !!", " anything at all", (0, 0, 1, 7)),  # of signs alone nothing is left that the two could share
        (" ... !!", " ... !! and", (1, 1, 7, 7)),
        ("", " anything", (1, 1, 0, 0)),
    ],
)
def test_answers_are_compared_as_far_as_the_references_goes(
    reference: str, variant: str, expected: tuple[float, ...]
) -> None:
    assert row(reference, variant) == expected


@pytest.mark.parametrize(
    ("variant", "ended", "expected"),
    [
        ("Yes.", True, (1, 1, 4, 4)),
        ("yes", True, (0, 1, 0, 4)),
        ("Yes. And", False, (0, 0, 4, 4)),
        ("", True, (0, 0, 0, 4)),
    ],
)
def test_an_answer_that_has_ended_is_the_same_only_where_the_other_ends_there(
    variant: str, ended: bool, expected: tuple[float, ...]
) -> None:
    assert row("Yes.", variant, ended=(True, ended)) == expected


def test_a_variant_is_read_on_until_its_text_is_long_enough_in_characters() -> None:
    theirs = Answer("x" * 30, ended=False)
    assert goes_on(theirs, Answer("x" * (29 + SLACK), ended=False))
    assert not goes_on(theirs, Answer("x" * (30 + SLACK), ended=False))
    assert not goes_on(theirs, Answer("", ended=True))


def test_an_answer_ends_at_the_first_special_token_and_keeps_its_first_blank() -> None:
    tokenizer = Tokenizer(ARTEFACTS / "onnx-fp32" / "tokenizer.json")
    prompt, tokens = tokenizer.spans("And it came")[0], tokenizer.spans(" to pass")[0]
    assert answer(tokenizer, prompt, tokens) == (" to pass", False)
    assert answer(tokenizer, prompt, [*tokens, 0, *tokens]) == (" to pass", True)
    assert answer(tokenizer, prompt, [0]) == ("", True)
    euro = tokenizer.spans("€")[0]
    assert len(euro) == 3
    assert answer(tokenizer, prompt, [*tokens, *euro[:2]]) == (" to pass", False)  # a character that is not all there


def test_normalised() -> None:
    assert normalised(" The  “King”,\n said:\t\N{FULLWIDTH LATIN CAPITAL LETTER H}ey! ") == "the king said hey"
