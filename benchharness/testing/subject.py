"""What the adapters' test suite works on: an adapter, its artefacts, the sessions that they give."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchharness.contract import Adapter, Configuration, GeneratesTokens, LanguageSession, Session


class Subject:
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
    def generating_artefact(self) -> Path | None:
        """A model of a runtime that writes by its own loop (`GeneratesTokens`); None skips what needs one."""
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
    def generating_session(
        self, adapter: Adapter, configuration: Configuration, generating_artefact: Path | None
    ) -> Iterator[GeneratesTokens]:
        """The artefact that writes by its own loop, opened."""
        if generating_artefact is None:
            pytest.skip("no generating_artefact given")
        with adapter.open(generating_artefact, configuration) as session:
            assert isinstance(session, GeneratesTokens), f"{generating_artefact} opened as {type(session).__name__}"
            yield session

    @pytest.fixture
    def any_artefact(
        self, language_artefact: Path | None, tensor_artefact: Path | None, generating_artefact: Path | None
    ) -> Path:
        """One of the artefacts, for what holds of any model."""
        artefact = language_artefact or tensor_artefact or generating_artefact
        if artefact is None:
            pytest.skip("none of language_artefact, tensor_artefact and generating_artefact given")
        return artefact
