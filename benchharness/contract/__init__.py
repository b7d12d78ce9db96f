"""What an adapter promises the harness: the code that loads one model format in one runtime and runs it.

A session only runs. Warm-up, repeats, clocks, sampling and statistics belong to the harness, so they are the
same for every runtime. Needs Python 3.9 and numpy's types only; the worker imports it on the device. Whoever uses it
imports from here: how it is cut into modules is nobody's matter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchharness.contract.adapters import (
    Adapter,
    AdapterRow,
    ArtefactFiles,
    Availability,
    FindsTokenizer,
    ListsFiles,
    OpensBytes,
)
from benchharness.contract.configuration import (
    CACHE_COPIED_BY_BINDING,
    CACHE_GROWN_BY_GRAPH,
    CACHE_IN_PLACE,
    CACHE_NONE,
    CAUSAL_LM,
    EXECUTION_DEVICE,
    EXECUTION_REFERENCE,
    FALLBACK_ALLOW,
    FALLBACK_FAIL,
    FALLBACK_WARN,
    MEMORY_ELSEWHERE,
    PLACE_NOT_TOLD,
    Configuration,
    EffectiveConfiguration,
    Refusal,
)
from benchharness.contract.descriptions import Inspects, ModelDescription, Quantization, StoredNumbers
from benchharness.contract.hidden_modules import hidden
from benchharness.contract.sessions import (
    AllocatesLate,
    LanguageSession,
    ReportsInputRows,
    ReportsPlacement,
    Rewinds,
    ScoresText,
    Session,
    TellsKeptState,
    TellsLastOperators,
)
from benchharness.contract.several import AnswersSeveral
from benchharness.contract.streams import STREAM_ENDS, StreamEnd, StreamsText, TextPiece, TextStream
from benchharness.contract.tensors import TensorSpec
from benchharness.contract.timed import (
    HARNESS_CLOCK,
    STAMPED_AT,
    ComputesElsewhere,
    GeneratesTokens,
    Inferences,
    MeasuresItself,
    OwnFigure,
    OwnReport,
    OwnRequest,
    StampClock,
    TimesInferences,
    TokenStream,
)

if TYPE_CHECKING:
    from benchharness.contract.tensors import Array as Array

__all__ = [
    "CACHE_COPIED_BY_BINDING",
    "CACHE_GROWN_BY_GRAPH",
    "CACHE_IN_PLACE",
    "CACHE_NONE",
    "CAUSAL_LM",
    "EXECUTION_DEVICE",
    "EXECUTION_REFERENCE",
    "FALLBACK_ALLOW",
    "FALLBACK_FAIL",
    "FALLBACK_WARN",
    "HARNESS_CLOCK",
    "MEMORY_ELSEWHERE",
    "PLACE_NOT_TOLD",
    "STAMPED_AT",
    "STREAM_ENDS",
    "Adapter",
    "AdapterRow",
    "AllocatesLate",
    "AnswersSeveral",
    "ArtefactFiles",
    "Availability",
    "ComputesElsewhere",
    "Configuration",
    "EffectiveConfiguration",
    "FindsTokenizer",
    "GeneratesTokens",
    "Inferences",
    "Inspects",
    "LanguageSession",
    "ListsFiles",
    "MeasuresItself",
    "ModelDescription",
    "OpensBytes",
    "OwnFigure",
    "OwnReport",
    "OwnRequest",
    "Quantization",
    "Refusal",
    "ReportsInputRows",
    "ReportsPlacement",
    "Rewinds",
    "ScoresText",
    "Session",
    "StampClock",
    "StoredNumbers",
    "StreamEnd",
    "StreamsText",
    "TellsKeptState",
    "TellsLastOperators",
    "TensorSpec",
    "TextPiece",
    "TextStream",
    "TimesInferences",
    "TokenStream",
    "hidden",
]
