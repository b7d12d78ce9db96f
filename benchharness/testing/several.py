"""What holds of sessions that answer several requests at once (`AnswersSeveral`)."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from benchharness.contract import AnswersSeveral, LanguageSession
from benchharness.errors import Unsupported
from benchharness.testing.materials import spread_tokens
from benchharness.testing.subject import Subject

_TOKENS = 6


class SeveralContract(Subject):
    """Each answer is the one that its prompt gets alone, and what does not fit is refused."""

    def test_several_answers_are_those_of_each_alone(self, language_session: LanguageSession) -> None:
        """Of prompts of different lengths, held against the session's own decoding, whatever it did before."""
        several, prompts = _several(language_session), _prompts(language_session)
        if not self.chunks_agree:
            pytest.skip("this artefact's rounding depends on how tokens are grouped")
        expected = [_alone(language_session, prompt) for prompt in prompts]
        for _ in range(2):
            answers = several.answer_several(prompts, _TOKENS)
            assert [list(answer.tokens or ()) for answer in answers] == expected
        assert _alone(language_session, prompts[0]) == expected[0], "what was answered stays in the session"

    def test_several_answers_have_stamps_that_can_be(self, language_session: LanguageSession) -> None:
        """A stamp a token, in order; of one request and of several."""
        several, prompts = _several(language_session), _prompts(language_session)
        for number in (1, len(prompts)):
            answers = several.answer_several(prompts[:number], _TOKENS)
            assert [answer.prompt_tokens for answer in answers] == [len(prompt) for prompt in prompts[:number]]
            for answer in answers:
                moments = [answer.began_ns, *answer.stamps_ns]
                assert moments == sorted(moments)
                assert list(answer.tokens_per_stamp) == [1] * _TOKENS
        assert several.answers_by, "nothing says how they share the device"

    def test_several_that_do_not_fit_are_refused(self, language_session: LanguageSession) -> None:
        """Too many, one beyond the context, one of another kind; and the session stays usable."""
        several, prompts = _several(language_session), _prompts(language_session)
        with pytest.raises(Unsupported):
            several.answer_several([prompts[0]] * (several.most_at_once + 1), 1)
        with pytest.raises(Unsupported, match=rf"\b{language_session.context_length}\b"):
            several.answer_several([prompts[0], prompts[1]], language_session.context_length)
        with pytest.raises(Unsupported):
            several.answer_several(["a text"], 1)
        assert len(several.answer_several(prompts[:2], 2)) == 2


def _several(session: LanguageSession) -> AnswersSeveral:
    if not isinstance(session, AnswersSeveral):
        pytest.skip("sessions of this adapter do not answer several requests at once")
    return session


def _prompts(session: LanguageSession) -> list[list[int]]:
    tokens = list(spread_tokens(session.vocabulary_size))
    return [tokens[:5], tokens[1:8], tokens[2:4]]


def _alone(session: LanguageSession, prompt: Sequence[int]) -> list[int]:
    session.reset()
    chosen = [int(session.extend(prompt).argmax())]
    while len(chosen) < _TOKENS:
        chosen.append(int(session.decode(chosen[-1]).argmax()))
    session.reset()
    return chosen
