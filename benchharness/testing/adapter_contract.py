"""The test suite that every adapter passes: subclass `AdapterContract`, give it an adapter and an artefact or two.

::

    class TestMyRuntime(AdapterContract):
        @pytest.fixture
        def adapter(self):
            return MyRuntime()

        @pytest.fixture
        def language_artefact(self):
            return Path("tiny.mymodel")

pytest collects the subclass and runs what the artefacts allow; the rest is skipped with a reason. Needs pytest and
numpy. Subclass once for each kind of artefact (float32, float16, quantized).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from benchharness.contract import (
    CACHE_COPIED_BY_BINDING,
    CACHE_GROWN_BY_GRAPH,
    CACHE_IN_PLACE,
    CACHE_NONE,
    EXECUTION_DEVICE,
    EXECUTION_REFERENCE,
    FALLBACK_FAIL,
    Adapter,
    Configuration,
    Inspects,
    LanguageSession,
    ReportsPlacement,
    ScoresText,
    Session,
)
from benchharness.errors import AttemptError, ModelFailure, Unsupported
from benchharness.testing.materials import make_inputs, prompt, truncated_copy, write_no_model
from benchharness.testing.processes import in_its_own_process

#: A context longer than this is not filled by the tests: it would take a real model minutes.
LONGEST_FILLED_CONTEXT_TOKENS = 1024

#: A prompt longer than this is not made, be the context as long as it says.
LONGEST_PROMPT_TOKENS = 1 << 20

_CACHES = (CACHE_IN_PLACE, CACHE_GROWN_BY_GRAPH, CACHE_COPIED_BY_BINDING, CACHE_NONE)
_NO_MODELS = pytest.mark.parametrize(
    "content", [None, b"", b"This is no model.\n" * 20, "folder"], ids=["missing", "empty", "text", "empty-folder"]
)


class AdapterContract:
    """What the harness relies on. Override fixtures to supply the subject, attributes to say what it can keep."""

    #: Largest difference between logits computed in two ways that must agree, where the artefact computes in float32.
    #: A float32 model of 30 layers differed by 5e-5 between one pass and token by token; this allows twenty times that.
    tolerance = 1e-3

    #: False for float16 and for dynamically quantized artefacts: their rounding depends on how tokens are grouped.
    chunks_agree = True

    #: False for a format in which half a file is a whole one.
    truncation_shows = True

    #: How long a process may take to open a model, answer once and close it.
    patience_s = 120.0

    @pytest.fixture
    def adapter(self) -> Adapter:
        """The adapter under test. Every subclass overrides this one."""
        raise NotImplementedError("override the `adapter` fixture")

    @pytest.fixture
    def configuration(self, adapter: Adapter) -> Configuration:
        """How artefacts are opened: by default the runtime's CPU with one thread."""
        return Configuration(runtime=adapter.name, threads=1)

    @pytest.fixture
    def language_artefact(self) -> Path | None:
        """A causal language model; None skips what needs one."""
        return None

    @pytest.fixture
    def tensor_artefact(self) -> Path | None:
        """Any other network; None skips what needs one."""
        return None

    @pytest.fixture
    def language_session(
        self, adapter: Adapter, configuration: Configuration, language_artefact: Path | None
    ) -> Iterator[LanguageSession]:
        """The language artefact, opened."""
        if language_artefact is None:
            pytest.skip("no language_artefact given")
        with adapter.open(language_artefact, configuration) as session:
            assert isinstance(session, LanguageSession), f"{language_artefact} opened as {type(session).__name__}"
            yield session

    @pytest.fixture
    def tensor_session(
        self, adapter: Adapter, configuration: Configuration, tensor_artefact: Path | None
    ) -> Iterator[Session]:
        """The tensor artefact, opened."""
        if tensor_artefact is None:
            pytest.skip("no tensor_artefact given")
        with adapter.open(tensor_artefact, configuration) as session:
            yield session

    @pytest.fixture
    def any_artefact(self, language_artefact: Path | None, tensor_artefact: Path | None) -> Path:
        """One of the artefacts, for what holds of any model."""
        artefact = language_artefact or tensor_artefact
        if artefact is None:
            pytest.skip("neither language_artefact nor tensor_artefact given")
        return artefact

    # Availability and opening.

    def test_name_and_formats_are_words(self, adapter: Adapter) -> None:
        """A configuration names the adapter, and file endings tell which models it opens."""
        assert adapter.name
        assert not isinstance(adapter.formats, str), "formats: a sequence of endings is wanted, not one text"
        assert adapter.formats
        assert all(ending.startswith(".") for ending in adapter.formats), "a file ending begins with a dot"

    def test_availability_names_a_version_or_a_reason(self, adapter: Adapter) -> None:
        """An adapter says what it can do here without raising."""
        availability = adapter.availability()
        if availability.available:
            assert availability.version not in {"", "unknown"}, "an available runtime has a version"
            assert availability.accelerators, "an available runtime runs somewhere"
        else:
            assert availability.reason, "an unavailable runtime says why"

    @_NO_MODELS
    def test_a_bad_file_is_named(
        self, adapter: Adapter, configuration: Configuration, tmp_path: Path, content: bytes | str | None
    ) -> None:
        """What is missing, empty or another kind of file ends the attempt with an error that names it."""
        path = write_no_model(tmp_path / f"bad{adapter.formats[0]}", content)
        with pytest.raises(AttemptError, match=re.escape(path.name)), adapter.open(path, configuration):
            pass

    def test_a_truncated_artefact_is_named(
        self, adapter: Adapter, configuration: Configuration, any_artefact: Path, tmp_path: Path
    ) -> None:
        """Half a file is an error, not half a model."""
        if not self.truncation_shows:
            pytest.skip("half a file of this format is a whole one")
        artefact, cut = truncated_copy(any_artefact, tmp_path / "truncated")
        names = "|".join(re.escape(path.name) for path in (artefact, cut))
        with pytest.raises(AttemptError, match=names), adapter.open(artefact, configuration):
            pass

    def test_an_unknown_accelerator_is_refused(self, adapter: Adapter, any_artefact: Path) -> None:
        """What is not there is not replaced in silence."""
        configuration = Configuration(runtime=adapter.name, accelerator="NoSuchAccelerator")
        with pytest.raises(Unsupported, match="NoSuchAccelerator"), adapter.open(any_artefact, configuration):
            pass

    def test_an_accelerator_takes_part_or_refuses(self, adapter: Adapter, any_artefact: Path) -> None:
        """Each one that is said to be here is used under the name that was asked for, or says why it is not."""
        for accelerator in adapter.availability().accelerators:
            configuration = Configuration(runtime=adapter.name, accelerator=accelerator)
            with adapter.open(any_artefact, configuration) as session:
                effective = session.effective
            if effective.refusal is None:
                assert accelerator in effective.accelerators, f"{accelerator} was left out without a refusal"
            else:
                assert effective.refusal.reason, f"{accelerator} refused without a reason"

    def test_a_refusal_can_be_made_to_fail(self, adapter: Adapter, any_artefact: Path) -> None:
        """With `fallback = "fail"` no session runs without the accelerator."""
        for accelerator in adapter.availability().accelerators:
            configuration = Configuration(runtime=adapter.name, accelerator=accelerator, fallback=FALLBACK_FAIL)
            try:
                with adapter.open(any_artefact, configuration) as session:
                    effective = session.effective
            except Unsupported as refused:
                told = str(refused)
            else:
                assert effective.refusal is None, f"{accelerator} refused, and the session runs on without it"
                told = " ".join(effective.accelerators)
            assert accelerator in told

    def test_an_unknown_option_is_refused(self, adapter: Adapter, any_artefact: Path) -> None:
        """An option that the runtime would ignore is an error."""
        configuration = Configuration(runtime=adapter.name, options={"no_such_option": 1})
        with pytest.raises(Unsupported, match="no_such_option"), adapter.open(any_artefact, configuration):
            pass

    def test_an_unknown_accelerator_option_is_refused_or_told(self, adapter: Adapter, any_artefact: Path) -> None:
        """Where a runtime takes any option and says nothing, the session's facts name it as unconfirmed."""
        configuration = Configuration(runtime=adapter.name, accelerator_options={"no_such_option": 1})
        try:
            with adapter.open(any_artefact, configuration) as session:
                told = str(session.effective.facts)
        except Unsupported as refused:
            told = str(refused)
        assert "no_such_option" in told, "an unknown accelerator option was ignored in silence"

    def test_the_effective_configuration_is_told(
        self, adapter: Adapter, configuration: Configuration, any_artefact: Path
    ) -> None:
        """A session names what it really runs on, and how."""
        with adapter.open(any_artefact, configuration) as session:
            effective = session.effective
            caches = _CACHES if isinstance(session, LanguageSession) else (None,)
        assert effective.accelerators, "no effective accelerator"
        assert not isinstance(effective.accelerators, str), "accelerators: a sequence of names is wanted, not one text"
        assert all(effective.accelerators), "an accelerator without a name"
        assert effective.threads is None or effective.threads > 0
        assert effective.cache in caches
        assert effective.execution in (EXECUTION_DEVICE, EXECUTION_REFERENCE)
        if effective.execution == EXECUTION_DEVICE:
            assert effective.runtime_version == adapter.availability().version
        json.dumps(dict(effective.facts), allow_nan=False)

    def test_placement_counts_operators(
        self, adapter: Adapter, configuration: Configuration, any_artefact: Path
    ) -> None:
        """Where an adapter tells where operators run, there are some, and in places that the session names."""
        with adapter.open(any_artefact, configuration) as session:
            if not isinstance(session, ReportsPlacement):
                pytest.skip("sessions of this adapter do not report placement")
            try:
                placement = session.placement()
            except Unsupported as reason:
                pytest.skip(str(reason))
            places = set(session.effective.accelerators)
        counts = [count for operators in placement.values() for count in operators.values()]
        assert counts, "no operator is placed anywhere"
        assert min(counts) > 0, "an operator placed zero times"
        assert set(placement) <= places, "operators run where no effective accelerator is"

    # Processes. A worker ends with its attempt, and nothing that it started may go on beside the next one.

    def test_nothing_runs_on_when_a_session_has_closed(
        self, adapter: Adapter, configuration: Configuration, any_artefact: Path
    ) -> None:
        """Neither helper processes, telemetry for instance, nor threads that an ending program would wait for."""
        found = self._elsewhere(adapter, any_artefact, configuration)
        assert not found["failed"], found["failed"]
        _check_nothing_left(found)

    def test_a_refused_accelerator_leaves_nothing_running(self, adapter: Adapter, any_artefact: Path) -> None:
        """What one member of a quality pass cannot have ends its process, and holds up no other."""
        configuration = Configuration(runtime=adapter.name, accelerator="NoSuchAccelerator", fallback=FALLBACK_FAIL)
        found = self._elsewhere(adapter, any_artefact, configuration)
        assert found["failed"].startswith("Unsupported: "), found["failed"] or "it was not refused"
        _check_nothing_left(found)

    def _elsewhere(self, adapter: Adapter, artefact: Path, configuration: Configuration) -> Mapping[str, Any]:
        try:
            return in_its_own_process(adapter, artefact, configuration, self.patience_s)
        except LookupError as reason:
            pytest.skip(f"the adapter cannot be made in a process of its own: {reason}")

    # Inspection.

    def test_inspection_tells_what_opens(
        self, adapter: Adapter, configuration: Configuration, any_artefact: Path
    ) -> None:
        """What a file says without being run is what a session turns out to be."""
        if not isinstance(adapter, Inspects):
            pytest.skip("this adapter does not inspect files")
        described = adapter.inspect(any_artefact)
        with adapter.open(any_artefact, configuration) as session:
            assert described.task == ("causal-lm" if isinstance(session, LanguageSession) else "tensor")
        assert described.format
        assert described.operators, "a model without operators"
        json.dumps(dict(described.facts), allow_nan=False)

    @_NO_MODELS
    def test_inspection_names_a_bad_file(self, adapter: Adapter, tmp_path: Path, content: bytes | str | None) -> None:
        """A file is not trusted: what cannot be read is an error, not a description."""
        if not isinstance(adapter, Inspects):
            pytest.skip("this adapter does not inspect files")
        path = write_no_model(tmp_path / f"bad{adapter.formats[0]}", content)
        with pytest.raises(ModelFailure, match=re.escape(path.name)):
            adapter.inspect(path)

    # Any network.

    def test_outputs_are_those_of_the_signature(self, tensor_session: Session) -> None:
        """One array for each output, of the type and the fixed lengths that the signature gives."""
        outputs = tensor_session.run(make_inputs(tensor_session.inputs))
        assert set(outputs) == {spec.name for spec in tensor_session.outputs}
        for spec in tensor_session.outputs:
            array = np.asarray(outputs[spec.name])
            dtype = "str" if array.dtype.kind in "OSU" else array.dtype.name
            assert dtype == spec.dtype, spec.name
            assert array.ndim == len(spec.shape), spec.name
            for length, expected in zip(array.shape, spec.shape, strict=True):
                assert not isinstance(expected, int) or length == expected, spec.name

    def test_outputs_can_be_an_answer(self, tensor_session: Session) -> None:
        """Neither NaN nor one value throughout: what a broken conversion answers. Labels may happen to be one."""
        outputs = tensor_session.run(make_inputs(tensor_session.inputs))
        arrays = {name: np.asarray(array) for name, array in outputs.items()}
        for name, array in arrays.items():
            if np.issubdtype(array.dtype, np.inexact):
                assert_varied(array, name)
        assert any(varies(array) for array in arrays.values()), "every output is one value throughout"

    def test_the_same_inputs_give_the_same_outputs(self, tensor_session: Session) -> None:
        """A session holds nothing over from one inference to the next."""
        inputs = make_inputs(tensor_session.inputs)
        first = {name: np.array(array) for name, array in tensor_session.run(inputs).items()}
        for name, array in tensor_session.run(inputs).items():
            np.testing.assert_array_equal(array, first[name], err_msg=name)

    def test_a_missing_input_is_refused(self, tensor_session: Session) -> None:
        """An inference without its inputs ends the attempt and not the worker."""
        with pytest.raises(AttemptError):
            tensor_session.run({})

    # Language models.

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
        np.testing.assert_array_equal(scored[-1], expected)
        self._needs_agreeing_chunks()
        language_session.reset()
        for row, token in enumerate(tokens):
            self._assert_close(scored[row], np.array(language_session.decode(token)))

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


def assert_varied(array: NDArray[Any], what: str) -> None:
    """Fails for NaN, infinity, and for one value throughout more than one element."""
    assert np.isfinite(array).all(), f"{what}: not all finite"
    assert varies(array), f"{what}: one value throughout, {array.flat[0]}"


def varies(array: NDArray[Any]) -> bool:
    """Whether an array holds different values, or too few to tell."""
    return array.size < 2 or bool((array != array.flat[0]).any())


def _check_nothing_left(found: Mapping[str, Any]) -> None:
    assert not found["threads"], f"threads that do not end: {', '.join(found['threads'])}"
    listed = ", ".join(f"{count} x {name}" for name, count in found["left"].items())
    assert not listed, f"processes that run on: {listed}"
    assert found["ended"], "the process did not end"
