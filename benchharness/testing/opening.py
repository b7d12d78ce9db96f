"""What holds of any model: how it is opened, refused, described, and what it leaves behind."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from benchharness.contract import (
    CACHE_COPIED_BY_BINDING,
    CACHE_GROWN_BY_GRAPH,
    CACHE_IN_PLACE,
    CACHE_NONE,
    EXECUTION_DEVICE,
    EXECUTION_REFERENCE,
    FALLBACK_FAIL,
    Adapter,
    ComputesElsewhere,
    Configuration,
    GeneratesTokens,
    Inspects,
    LanguageSession,
    ListsFiles,
    OpensBytes,
    ReportsPlacement,
    Session,
)
from benchharness.device.processes import leftovers
from benchharness.errors import AttemptError, ModelFailure, Unsupported
from benchharness.testing.materials import truncated_copy, write_no_model
from benchharness.testing.processes import in_its_own_process
from benchharness.testing.subject import Subject

_CACHES = (CACHE_IN_PLACE, CACHE_GROWN_BY_GRAPH, CACHE_COPIED_BY_BINDING, CACHE_NONE)
_NO_MODELS = pytest.mark.parametrize(
    "content", [None, b"", b"This is no model.\n" * 20, "folder"], ids=["missing", "empty", "text", "empty-folder"]
)


class OpeningContract(Subject):
    """Availability, opening, requests, placement, inspection, processes."""

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
            caches = _caches(session)
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

    def test_a_model_in_memory_answers_as_its_file(
        self, adapter: Adapter, configuration: Configuration, any_artefact: Path, tmp_path: Path
    ) -> None:
        """Of what was sealed there is no file: at the path that stands for it there is nothing to be read."""
        if not isinstance(adapter, OpensBytes):
            pytest.skip("from memory: this adapter opens files only")
        with adapter.open(any_artefact, configuration) as session:
            as_file = _told_and_answered(session)
        model, absent = _without_its_file(adapter, any_artefact, tmp_path / "in memory")
        try:
            with adapter.open_bytes(absent, model.read_bytes(), configuration) as session:
                from_memory = _told_and_answered(session)
        except Unsupported as reason:
            pytest.skip(f"from memory: {reason}")
        assert from_memory == as_file
        assert not absent.exists(), "what was decrypted was written"

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

    def test_the_process_that_computes_was_started_here(
        self, adapter: Adapter, configuration: Configuration, any_artefact: Path
    ) -> None:
        """Where it is another one that has an id here: memory is read of no other."""
        with adapter.open(any_artefact, configuration) as session:
            if not isinstance(session, ComputesElsewhere):
                pytest.skip("this session computes in the process that opened it")
            assert session.computed_in, "nobody knows where"
            try:
                process = session.process()
            except Unsupported:
                return  # memory is unknown then
            assert process in leftovers.tree(os.getpid()), f"{process} is no process of ours"

    # Inspection.

    def test_inspection_tells_what_opens(
        self, adapter: Adapter, configuration: Configuration, any_artefact: Path
    ) -> None:
        """What a file says without being run is what a session turns out to be."""
        if not isinstance(adapter, Inspects):
            pytest.skip("this adapter does not inspect files")
        described = adapter.inspect(any_artefact)
        with adapter.open(any_artefact, configuration) as session:
            writes = isinstance(session, (LanguageSession, GeneratesTokens))
        assert described.task == ("causal-lm" if writes else "tensor")
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


def _without_its_file(adapter: Adapter, artefact: Path, folder: Path) -> tuple[Path, Path]:
    """A model's file, and a path in another folder that stands for it beside copies of the artefact's other files."""
    if not isinstance(adapter, ListsFiles):
        folder.mkdir()
        return artefact, folder / artefact.name
    found = adapter.files(artefact)
    for name in set(found.files) - {found.model}:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes((found.root / name).read_bytes())
    (folder / found.model).parent.mkdir(parents=True, exist_ok=True)
    return found.root / found.model, folder / found.model


def _told_and_answered(session: Session) -> list[Any]:
    """What a session is, and the bits of what a language model answers."""
    told: list[Any] = [list(session.inputs), list(session.outputs), session.effective.accelerators]
    if isinstance(session, LanguageSession):
        told += [session.vocabulary_size, session.context_length, session.extend([1, 2, 3]).tobytes()]
        told.append(session.decode(4).tobytes())
    return told


def _caches(session: Session) -> Sequence[str | None]:
    """What a session may say of its cache; one that a runtime's own loop works on it may not know."""
    if isinstance(session, LanguageSession):
        return _CACHES
    return (*_CACHES, None) if isinstance(session, GeneratesTokens) else (None,)


def _check_nothing_left(found: Mapping[str, Any]) -> None:
    assert not found["threads"], f"threads that do not end: {', '.join(found['threads'])}"
    listed = ", ".join(f"{count} x {name}" for name, count in found["left"].items())
    assert not listed, f"processes that run on: {listed}"
    assert found["ended"], "the process did not end"
