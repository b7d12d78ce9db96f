"""What holds of causal language models that give logits: the cache, the row, tokens and the context."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from benchharness.contract import LanguageSession, Rewinds, ScoresText
from benchharness.errors import Unsupported
from benchharness.testing.materials import prompt
from benchharness.testing.subject import Subject
from benchharness.testing.tensors import assert_varied

#: A context longer than this is not filled by the tests: it would take a real model minutes.
LONGEST_FILLED_CONTEXT_TOKENS = 1024

#: A prompt longer than this is not made, be the context as long as it says.
LONGEST_PROMPT_TOKENS = 1 << 20


class LanguageContract(Subject):
    """Token by token is one pass, `reset` leaves nothing, and what does not fit is refused."""

    def test_logits_are_one_finite_row(self, language_session: LanguageSession) -> None:
        """One number for each token of the vocabulary, which differ."""
        extended = np.array(language_session.extend(prompt(language_session)))  # the next call may overwrite it
        for logits in (extended, np.asarray(language_session.decode(1))):
            assert logits.shape == (language_session.vocabulary_size,)
            assert np.issubdtype(logits.dtype, np.floating), f"logits are {logits.dtype}"
            assert_varied(logits, "logits")

    def test_token_by_token_equals_one_pass(self, language_session: LanguageSession) -> None:
        """The cache gives what a pass over all tokens gives."""
        self._needs_agreeing_chunks()
        tokens = prompt(language_session)
        expected = np.array(language_session.extend(tokens))
        language_session.reset()
        for token in tokens:
            logits = language_session.decode(token)
        self._assert_close(logits, expected)

    def test_appending_at_depth_equals_one_pass(self, language_session: LanguageSession) -> None:
        """A prompt in chunks, with decoded tokens between them, is the same prompt."""
        self._needs_agreeing_chunks()
        tokens = prompt(language_session)
        expected = np.array(language_session.extend(tokens))
        language_session.reset()
        language_session.extend(tokens[:3])
        language_session.decode(tokens[3])
        language_session.extend(tokens[4:6])
        self._assert_close(language_session.extend(tokens[6:]), expected)

    def test_the_same_tokens_give_the_same_logits(self, language_session: LanguageSession) -> None:
        """`reset` leaves nothing behind, not even after longer texts."""
        tokens = prompt(language_session)
        first = np.array(language_session.extend(tokens))
        first_decoded = np.array(language_session.decode(2))
        language_session.extend(tokens[::-1])
        language_session.reset()
        np.testing.assert_array_equal(language_session.extend(tokens), first)
        np.testing.assert_array_equal(language_session.decode(2), first_decoded)

    def test_the_past_matters(self, language_session: LanguageSession) -> None:
        """The same token after another text has other logits: the cache is read, not only written."""
        tokens = prompt(language_session)
        language_session.extend(tokens)
        first = np.array(language_session.decode(1))
        language_session.reset()
        language_session.extend(tokens[::-1])
        assert not np.array_equal(language_session.decode(1), first), "the logits do not depend on what came before"

    def test_the_last_token_matters(self, language_session: LanguageSession) -> None:
        """Logits stand for the token after the last one given, not after an earlier one."""
        *beginning, last = prompt(language_session)
        other = (last + 1) % language_session.vocabulary_size
        for append in (lambda token: language_session.extend([*beginning, token]), language_session.decode):
            language_session.reset()
            first = np.array(append(last))
            language_session.reset()
            assert not np.array_equal(append(other), first), "the logits do not depend on the last token"

    def test_score_gives_the_logits_of_all_positions(self, language_session: LanguageSession) -> None:
        """One pass for quality is the same model, and leaves an empty cache."""
        if not isinstance(language_session, ScoresText):
            pytest.skip("sessions of this adapter do not score texts in one pass")
        tokens = prompt(language_session)
        language_session.extend(tokens[:2])
        try:
            scored = np.array(language_session.score(tokens))
        except Unsupported as reason:
            pytest.skip(str(reason))
        assert scored.shape == (len(tokens), language_session.vocabulary_size)
        expected = np.array(language_session.extend(tokens))
        # A runtime that computes the last row alone multiplies other shapes: llama.cpp's sums differed by 3e-6.
        self._assert_close(scored[-1], expected)
        self._needs_agreeing_chunks()
        language_session.reset()
        for row, token in enumerate(tokens):
            self._assert_close(scored[row], np.array(language_session.decode(token)))

    def test_rewinding_leaves_the_beginning(self, language_session: LanguageSession) -> None:
        """What follows a text that was cut is as if its end had never been; more than there is cannot be kept."""
        if not isinstance(language_session, Rewinds):
            pytest.skip("sessions of this adapter do not rewind")
        *beginning, last = prompt(language_session)
        language_session.extend(beginning)
        expected = np.array(language_session.decode(last))
        try:
            language_session.rewind(0)
        except Unsupported as reason:
            pytest.skip(str(reason))
        language_session.extend(beginning)
        language_session.decode((last + 1) % language_session.vocabulary_size)
        language_session.extend(beginning[::-1])
        language_session.rewind(len(beginning))
        np.testing.assert_array_equal(language_session.decode(last), expected)
        for tokens in (len(beginning) + 2, -1):
            with pytest.raises(Unsupported):
                language_session.rewind(tokens)

    @pytest.mark.parametrize("offset", [0, 7], ids=["first-beyond", "far-beyond"])
    def test_a_token_beyond_the_vocabulary_is_refused(self, language_session: LanguageSession, offset: int) -> None:
        """The message names the token and the vocabulary, and the session stays usable."""
        size = language_session.vocabulary_size
        for append in (lambda token: language_session.extend([1, token]), language_session.decode):
            with pytest.raises(Unsupported, match=rf"{size + offset}\b.*\b{size}\b"):
                append(size + offset)
            with pytest.raises(Unsupported, match="-1"):
                append(-1)
        assert language_session.extend([1]).shape == (size,)

    def test_no_tokens_are_refused(self, language_session: LanguageSession) -> None:
        """There is no next token of nothing."""
        with pytest.raises(Unsupported):
            language_session.extend([])

    def test_a_prompt_longer_than_the_context_is_refused(self, language_session: LanguageSession) -> None:
        """The message names both lengths, and the session stays usable."""
        context = language_session.context_length
        if context > LONGEST_PROMPT_TOKENS:
            pytest.skip(f"a prompt longer than {context} tokens takes too much memory")
        with pytest.raises(Unsupported, match=rf"\b{context + 1}\b.*\b{context}\b"):
            language_session.extend([1] * (context + 1))
        assert language_session.extend([1]).shape == (language_session.vocabulary_size,)

    def test_a_full_context_takes_no_more(self, language_session: LanguageSession) -> None:
        """The last position can be used, the one after it cannot."""
        context = language_session.context_length
        if context > LONGEST_FILLED_CONTEXT_TOKENS:
            pytest.skip(f"a context of {context} tokens takes too long to fill")
        language_session.extend([1] * (context - 1))
        assert_varied(np.asarray(language_session.decode(1)), "logits")
        with pytest.raises(Unsupported, match=rf"\b{context + 1}\b.*\b{context}\b"):
            language_session.decode(1)

    def _needs_agreeing_chunks(self) -> None:
        if not self.chunks_agree:
            pytest.skip("this artefact's rounding depends on how tokens are grouped")

    def _assert_close(self, actual: NDArray[Any], expected: NDArray[Any]) -> None:
        np.testing.assert_allclose(actual, expected, rtol=0, atol=self.tolerance)
