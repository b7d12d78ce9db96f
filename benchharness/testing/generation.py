"""What holds of runtimes that write by a loop of their own and stamp their tokens themselves (`GeneratesTokens`)."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from benchharness.contract import STAMPED_AT, GeneratesTokens
from benchharness.device.self_timed import SelfTimed, StreamRequest
from benchharness.errors import InvalidOutput, Unsupported
from benchharness.testing.materials import spread_tokens
from benchharness.testing.subject import Subject

_TEXT = "A list of five animals: a cat, a dog,"


class GenerationContract(Subject):
    """Stamps that can be, as many tokens as asked for, the same ones each time."""

    def test_the_clock_is_told(self, generating_session: GeneratesTokens) -> None:
        """Whose it is, where it is read, and its smallest step."""
        clock = generating_session.clock
        assert clock.timed_by, "nobody's clock"
        assert clock.stamped_at in STAMPED_AT
        assert isinstance(clock.resolution_ns, int)
        assert clock.resolution_ns > 0

    @pytest.mark.parametrize("count", [1, 2, 7])
    def test_as_many_tokens_come_as_are_asked_for(self, generating_session: GeneratesTokens, count: int) -> None:
        """Neither more nor fewer, past an end of text too; each with a stamp or in a chunk that has one."""
        stream = generating_session.generate(_prompt(generating_session), count)
        assert sum(stream.tokens_per_stamp) == count
        assert stream.tokens is None or len(stream.tokens) == count
        assert stream.tokens is not None or stream.text is not None, "neither tokens nor text"

    def test_stamps_are_in_order_and_within_the_call(self, generating_session: GeneratesTokens) -> None:
        """As the harness looks at every answer, by its own clock around the call."""
        try:
            SelfTimed(generating_session).write(StreamRequest(_prompt(generating_session), 7), 7)
        except InvalidOutput as error:
            pytest.fail(str(error))

    def test_the_same_prompt_gives_the_same_answer(self, generating_session: GeneratesTokens) -> None:
        """The choice is greedy, and an answer leaves nothing behind for the next."""
        first, second = (generating_session.generate(_prompt(generating_session), 7) for _ in range(2))
        assert (first.tokens, first.text) == (second.tokens, second.text)
        assert first.prompt_tokens == second.prompt_tokens

    def test_an_answer_beyond_the_context_is_refused(self, generating_session: GeneratesTokens) -> None:
        """The message names the context, and the session stays usable."""
        context = generating_session.context_length
        with pytest.raises(Unsupported, match=rf"\b{context}\b"):
            generating_session.generate(_prompt(generating_session), context + 1)
        assert sum(generating_session.generate(_prompt(generating_session), 2).tokens_per_stamp) == 2

    def test_a_prompt_of_a_kind_that_is_not_taken_is_refused(self, generating_session: GeneratesTokens) -> None:
        """Token ids by a runtime that takes text only, and the other way round."""
        kinds: list[tuple[Sequence[int] | str, bool]] = [
            (_TEXT, generating_session.takes_text),
            ([1, 2], generating_session.vocabulary_size is not None),
        ]
        assert any(taken for _, taken in kinds), "no kind of prompt is taken"
        for prompt, taken in kinds:
            if not taken:
                with pytest.raises(Unsupported):
                    generating_session.generate(prompt, 1)


def _prompt(session: GeneratesTokens) -> Sequence[int] | str:
    """Token ids where the runtime takes them, else a text."""
    return _TEXT if session.vocabulary_size is None else spread_tokens(session.vocabulary_size)
