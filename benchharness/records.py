"""Every raw table that crosses the border between device and host: its columns by name, their units, codes and bounds.

A table is stored as one flat list of numbers and the width of its rows (`samples` and `row_length` of a measurement);
a table of one column has no width. A device writes rows as the classes here and the host reads them by the same names,
so that nobody else knows where in a row a number stands. What is stored stays as it was: a table that once had other
columns is in `EARLIER` beside today's. To report something new: a class for its row and a `Table` in `TABLES`; the
registry of metrics, the checks of what a device says, the store and the export follow.

A matrix that has no columns is none of these: a row of `itl` is an answer, as long as the answer was.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from typing import Annotated, Any, Callable, Generic, NamedTuple, Protocol, TypeVar, get_type_hints

R = TypeVar("R")
S = TypeVar("S", bound="_Sliced")


class _Sliced(Protocol):
    def __getitem__(self, part: slice, /) -> Any: ...


class Column(NamedTuple):
    """What a column may hold: numbers from `low` to `high`, all finite; `whole` ones only, or only these `codes`."""

    unit: str
    low: float = 0.0
    high: float = math.inf
    whole: bool = False
    codes: Sequence[int] = ()
    told: str = ""  # its name in a sentence, where that is another than the field's


NATS, NS, BYTES, COUNT, NUMBER, CODE = "nats", "ns", "bytes", "count", "1", "code"
#: Thirty years.
_LONGEST_NS = 1e18
#: Sums of counters of 64 bits.
_LARGEST = 1e24
#: Whole numbers up to here are all different as doubles.
_LARGEST_EXACT = 2.0**53
#: A sum of rounded terms of which each is tiny may end a little below zero.
_ROUNDED = -1e-9


class TrialEnd(IntEnum):
    """How a trial under a constraint ended."""

    ANSWERED = 0
    LATE = 1  # ended by us at its time limit, at work to the last
    ERROR = 2  # the worker said what went wrong
    OUT_OF_MEMORY = 3  # killed by the kernel because the limit was reached
    HUNG = 4  # ended by us at its time limit, after it had used no processor and paged nothing in for half of it
    CRASHED = 5  # ended otherwise


class CloudEnd(IntEnum):
    """How the answer of an endpoint ended: by itself, or given up by whoever waited for it."""

    COMPLETE = 0
    NO_KEY = 1  # the environment variable that shall hold the key is not set, or holds no key
    UNAUTHORISED = 2  # 401 or 403
    TOO_MANY_REQUESTS = 3  # 429
    SERVER_ERROR = 4  # 5xx, or an error in the stream
    REFUSED = 5  # another status
    REDIRECTED = 6  # elsewhere, where neither key nor prompt is sent
    WRONG_CONTENT = 7  # no stream of events
    MALFORMED = 8  # events that cannot be read
    TOO_LONG = 9  # more than was asked for, or an event beyond all measure
    TLS_FAILURE = 10
    UNREACHABLE = 11  # no connection
    CUT = 12  # the connection broke, or ended before the answer did
    LATE_FIRST_TOKEN = 13  # given up by the policy: no first token in time
    SILENCE = 14  # given up by the policy: too long a gap
    GIVEN_UP = 15  # whoever asks waits no longer, policy or not
    NOT_ASKED = 16  # the device answered alone


class AnsweredBy(IntEnum):
    """Who wrote what a user got."""

    CLOUD = 0
    DEVICE = 1  # all of it
    BOTH = 2  # it began in the cloud and was continued on the device
    NOBODY = 3  # no answer, or one that broke off


class TurnEnd(IntEnum):
    """How a turn of a conversation ended."""

    ANSWERED = 0
    ANSWERED_ANEW = 1  # the context was full: the oldest turns were left out, and the rest was read again
    CONTEXT_FULL = 2  # it had no room, and neither had those after it


_TrialEnd = Annotated[float, Column(CODE, min(TrialEnd), max(TrialEnd), codes=tuple(TrialEnd), told="outcome")]
_Label = Annotated[float, Column(CODE, -1, whole=True)]
_ReferenceClass = Annotated[float, Column(CODE, whole=True, told="reference's class")]
_VariantClass = Annotated[float, Column(CODE, whole=True, told="variant's class")]
_Count = Annotated[float, Column(COUNT, 0, _LONGEST_NS, whole=True)]
_Time = Annotated[float, Column(NS, 0, _LONGEST_NS)]
_TimeTaken = Annotated[float, Column(NS, 1, _LONGEST_NS, told="time")]
_Divergence = Annotated[float, Column(NATS, _ROUNDED, told="KLD")]
_Cosine = Annotated[float, Column(NUMBER, -1 + _ROUNDED, 1 - _ROUNDED, told="cosine")]


class TokenRow(NamedTuple):
    """A scored token of a text: what both models make of it."""

    nll_reference: Annotated[float, Column(NATS, _ROUNDED, told="-ln p of the reference")]
    nll_variant: Annotated[float, Column(NATS, _ROUNDED, told="-ln p of the variant")]
    kld: _Divergence
    same_top: Annotated[float, Column(CODE, 0, 1, codes=(0, 1), told="same top token")]


class ChunkRow(NamedTuple):
    """A chunk of the evaluation data; the tokens that were scored stand in the order of their chunks."""

    document: Annotated[float, Column(NUMBER, whole=True)]
    first: Annotated[float, Column(COUNT, 1, whole=True, told="first scored position")]
    scored: Annotated[float, Column(COUNT, 1, whole=True, told="scored tokens")]


class TextRow(NamedTuple):
    """A stretch of a text that both models have read, each through its own tokenizer: the same bytes of both."""

    document: Annotated[float, Column(NUMBER, whole=True)]
    size: Annotated[float, Column(BYTES, 1, _LARGEST, whole=True, told="bytes scored")]
    reference: Annotated[float, Column(NATS, _ROUNDED, told="-ln p of the reference")]
    variant: Annotated[float, Column(NATS, _ROUNDED, told="-ln p of the variant")]
    reference_tokens: Annotated[float, Column(COUNT, 1, whole=True, told="the reference's tokens")]
    variant_tokens: Annotated[float, Column(COUNT, 1, whole=True, told="the variant's tokens")]


class AnswerRow(NamedTuple):
    """A prompt that both have continued greedily, as texts."""

    exact: Annotated[float, Column(CODE, 0, 1, codes=(0, 1), told="same answer")]
    normalised: Annotated[float, Column(CODE, 0, 1, codes=(0, 1), told="same answer, normalised")]
    shared: Annotated[float, Column(COUNT, whole=True, told="characters in common")]
    characters: Annotated[float, Column(COUNT, whole=True, told="characters of the reference's answer")]


class TemperedRow(NamedTuple):
    """A scored token of a text: the divergence of both distributions at a temperature."""

    kld: _Divergence


class PrefixRow(NamedTuple):
    """A prompt that was continued greedily: how many tokens of both answers are the same."""

    tokens: Annotated[float, Column(COUNT, whole=True)]


class DecisionRow(NamedTuple):
    """An input of a classifier: its label (-1: none) and both decisions."""

    label: _Label
    reference: _ReferenceClass
    variant: _VariantClass


class EarlierDecisionRow(NamedTuple):
    """The same before classes that a side rounds to zero were pooled: with the divergence, floored at such classes."""

    label: _Label
    reference: _ReferenceClass
    variant: _VariantClass
    kld: _Divergence


class ClassDivergenceRow(NamedTuple):
    """An input of a classifier: how far its scores are apart."""

    kld: _Divergence
    total_variation: Annotated[float, Column(NUMBER, told="total variation")]
    pooled: Annotated[float, Column(COUNT, whole=True, told="classes pooled")]


class CosineRow(NamedTuple):
    """An input of an embedding model."""

    cosine: _Cosine


class TensorRow(NamedTuple):
    """One output for one input: the difference of its numbers."""

    signal: Annotated[float, Column(NUMBER, told="signal power")]
    noise: Annotated[float, Column(NUMBER, told="noise power")]
    cosine: _Cosine
    largest_error: Annotated[float, Column(NUMBER, told="largest error")]


class WindowRow(NamedTuple):
    """A window of a sustained attempt. Stamps since the worker was spawned.

    "CPU" is the calling thread's per inference (reading it costs 0.3 us, the process's 1.7 us) and the whole process's
    per window.
    """

    start: _Time
    end: _Time
    inferences: Annotated[float, Column(COUNT, 1, _LONGEST_NS, whole=True)]
    busy: Annotated[float, Column(NS, 1, _LONGEST_NS)]
    process_cpu: Annotated[float, Column(NS, 0, _LONGEST_NS, told="process CPU")]
    least_wall: Annotated[float, Column(NS, 0, _LONGEST_NS, told="least wall time")]
    p50_wall: Annotated[float, Column(NS, 0, _LONGEST_NS, told="p50 wall time")]
    p90_wall: Annotated[float, Column(NS, 0, _LONGEST_NS, told="p90 wall time")]
    p99_wall: Annotated[float, Column(NS, 0, _LONGEST_NS, told="p99 wall time")]
    most_wall: Annotated[float, Column(NS, 0, _LONGEST_NS, told="longest wall time")]
    least_cpu: Annotated[float, Column(NS, 0, _LONGEST_NS, told="least CPU time")]
    requests: _Count
    ttft: Annotated[float, Column(NS, 0, _LONGEST_NS, told="TTFT")]  # 0: no request of the window had one


class ReadingRow(NamedTuple):
    """What a sensor's channel read at a moment since the worker was spawned."""

    moment: _Time
    reading: Annotated[float, Column(NUMBER, -_LARGEST, _LARGEST)]


class TrialRow(NamedTuple):
    """A trial under a constraint."""

    outcome: _TrialEnd
    time: _TimeTaken  # the process's start until its last answer, or until its end where that did not come
    answer: Annotated[float, Column(NS, 0, _LONGEST_NS, told="time of an answer")]  # 0: there was none
    page_ins: Annotated[float, Column(COUNT, 0, _LONGEST_NS, whole=True, told="page-ins")]
    peak: Annotated[float, Column(BYTES, 0, _LARGEST)]  # 0: not known
    kills: _Count  # by the kernel, because the limit was reached


class TryRow(NamedTuple):
    """A try of a fallback chain."""

    place: Annotated[float, Column(NUMBER, 0, 1000, whole=True, told="place in the chain")]
    outcome: _TrialEnd
    time: _TimeTaken


class HandoverRow(NamedTuple):
    """One request that a cloud and a device could answer. Times since it was asked."""

    prompt: Annotated[float, Column(NUMBER, 0, _LONGEST_NS, whole=True)]  # which of the file, from 0
    answered_by: Annotated[float, Column(CODE, 0, max(AnsweredBy), codes=tuple(AnsweredBy), told="who answered")]
    cloud: Annotated[float, Column(CODE, 0, max(CloudEnd), codes=tuple(CloudEnd), told="end of the cloud's answer")]
    first_token: _Time  # that the user sees; 0: there was none
    silence: _Time  # the longest time without a new token, the wait for the first included
    whole: _TimeTaken
    cloud_tokens: _Count  # in the answer
    device_tokens: _Count
    wasted_tokens: _Count  # came from the cloud and are not in the answer
    sent: Annotated[float, Column(BYTES, 0, _LARGEST, whole=True)]
    received: Annotated[float, Column(BYTES, 0, _LARGEST, whole=True)]
    wasted: Annotated[float, Column(BYTES, 0, _LARGEST, whole=True)]  # moved for an answer of which nothing was kept
    energy: Annotated[float, Column("J", -1, _LARGEST)]  # -1: not known
    agreement: Annotated[float, Column(NUMBER, -1, 1)]  # with the cloud's undisturbed answer; -1: not known
    right: Annotated[float, Column(CODE, -1, 1, codes=(-1, 0, 1))]  # -1: nobody says what is right
    late: _Time  # the most that the simulated network was later than asked


class TurnRow(NamedTuple):
    """One turn of a conversation."""

    turn: Annotated[float, Column(NUMBER, 0, _LONGEST_NS, whole=True)]  # from 0
    end: Annotated[float, Column(CODE, 0, max(TurnEnd), codes=tuple(TurnEnd), told="how the turn ended")]
    new: _Count  # tokens of what the user says
    read: _Count  # tokens fed before the first of the answer: `new`, and what had to be read again
    written: _Count  # tokens of the answer
    context: _Count  # tokens in the cache when the turn was over
    ttft: _Time  # the turn's text handed over until its first token; 0: there was none
    rate: Annotated[float, Column("tokens/s", 0, _LARGEST)]  # of tokens after the first; 0: there were none
    resident: Annotated[float, Column(BYTES, 0, _LARGEST, whole=True)]  # when the turn was over; 0: not known


class HeldRow(NamedTuple):
    """The memory that a worker held at a moment since it was spawned, seen from outside."""

    moment: _Time
    resident: Annotated[float, Column(BYTES, 1, _LARGEST, whole=True)]


class LimitsRow(NamedTuple):
    """A moment since the worker was spawned from which on limits held, as seen from outside; they are parameters."""

    moment: _Time


class LikelihoodRow(NamedTuple):
    """A text whose likelihood a task asks for: how likely the model finds it after what stands before it."""

    request: Annotated[float, Column(NUMBER, 0, _LONGEST_NS, whole=True)]  # its place among all requests, from 0
    log_likelihood: Annotated[float, Column(NATS, -_LARGEST, -_ROUNDED, told="log-probability")]  # of all its tokens
    greedy: Annotated[float, Column(CODE, 0, 1, codes=(0, 1))]  # 1: each token of it is the most likely one
    tokens: _Count


class DocumentRow(NamedTuple):
    """A document of a task, as its measure scores it: what it adds to the sum, and to the sum's divisor."""

    document: Annotated[float, Column(CODE, 0, _LARGEST_EXACT, whole=True)]  # a number made of what it says
    total: Annotated[float, Column(NUMBER, -_LARGEST, _LARGEST, told="score")]
    weight: Annotated[float, Column(NUMBER, 0, _LARGEST)]


class ReplicateRow(NamedTuple):
    """A measure of a whole task, computed of documents that were drawn again."""

    value: Annotated[float, Column(NUMBER, -_LARGEST, _LARGEST)]


@dataclass(frozen=True)
class Table(Generic[R]):
    """A raw table, stored under the name of a metric. `row` is the class of its rows.

    Title, unit, direction and definition are its metric's; without a title the registry of metrics has a row for it
    among those that are shown.
    """

    metric: str
    row: Callable[..., R]
    title: str = ""
    unit: str = NUMBER
    better: str = "neither"
    definition: str = ""
    may_be_empty: bool = False  # a constraint that could not be set has no trials
    is_value: bool = True  # else no result shows it as it stands: courses and ladders are made of it

    @cached_property
    def columns(self) -> Mapping[str, Column]:
        """What each column may hold, in order."""
        hints = get_type_hints(self.row, include_extras=True)
        return {name: hint.__metadata__[0] for name, hint in hints.items()}

    @property
    def row_length(self) -> int:
        """As it is stored: 0 for one column, whose numbers are no rows."""
        return len(self.columns) if len(self.columns) > 1 else 0

    def count(self, samples: Sequence[float]) -> int:
        """How many rows there are."""
        return len(samples) // len(self.columns)

    def fits(self, samples: Sequence[float], row_length: int) -> bool:
        """Whether numbers that are stored so are whole rows of this table."""
        return row_length == self.row_length and len(samples) % len(self.columns) == 0

    def rows(self, samples: Sequence[float]) -> list[R]:
        """The rows, one by one."""
        width = len(self.columns)
        return [self.row(*samples[at : at + width]) for at in range(0, len(samples), width)]

    def by_name(self, samples: S) -> dict[str, S]:
        """The columns by name, as slices of a list or as views of an array."""
        return {name: samples[at :: len(self.columns)] for at, name in enumerate(self.columns)}

    def flat(self, rows: Iterable[R]) -> list[float]:
        """Rows as they are stored."""
        return [number for row in rows for number in row]  # type: ignore[attr-defined]  # a row is a tuple


TOKEN_DIVERGENCE = Table(
    "token_divergence",
    TokenRow,
    title="divergence by token",
    unit=NATS,
    better="lower",
    definition="rows of 4: -ln p of reference and variant for the text's token, KLD, same top token",
)
SCORED_CHUNKS = Table(
    "scored_chunks",
    ChunkRow,
    title="tokens scored",
    unit="tokens",
    definition="rows of 3, in the order of the tokens: a chunk's document, first scored position, scored tokens",
)
SCORED_TEXTS = Table(
    "scored_texts",
    TextRow,
    title="texts scored",
    definition="rows of 6: a stretch's document, its bytes, -ln p of reference and variant, tokens of both",
)
ANSWERS_ALIKE = Table(
    "answers_alike",
    AnswerRow,
    title="answers beside the reference's",
    definition="rows of 4: same text, same when normalised, characters in common, characters of the reference's answer",
)
TEMPERED_DIVERGENCE = Table(
    "tempered_divergence",
    TemperedRow,
    title="divergence by token at a temperature",
    unit=NATS,
    better="lower",
    definition="KLD of both distributions at the temperature, in the order of the tokens of token_divergence",
)
GREEDY_PREFIX = Table("greedy_prefix", PrefixRow)
CLASS_DECISIONS = Table(
    "class_decisions",
    DecisionRow,
    title="decisions by input",
    unit="share",
    better="higher",
    definition="rows of 3: label (-1: none), reference's and variant's class; earlier runs have 4, the last KLD",
)
EARLIER_DECISIONS = Table("class_decisions", EarlierDecisionRow)
CLASS_DIVERGENCE = Table(
    "class_divergence",
    ClassDivergenceRow,
    title="divergence by input",
    unit=NATS,
    better="lower",
    definition="rows of 3: KLD, total variation, classes pooled because either side rounds them to zero (0: none)",
)
EMBEDDING_SIMILARITY = Table(
    "embedding_similarity",
    CosineRow,
    title="cosine by input",
    better="higher",
    definition="cosine of the variant's and the reference's embedding",
)
TENSOR_ERROR = Table(
    "tensor_error",
    TensorRow,
    title="error by input",
    unit="dB",
    better="higher",
    definition="rows of 4: signal power, noise power, cosine, largest absolute error",
)
SUSTAINED_WINDOW = Table(
    "sustained_window",
    WindowRow,
    title="sustained session by window",
    definition="rows as benchharness.records.WindowRow names them",
    is_value=False,
)
SENSOR_READING = Table(
    "sensor_reading",
    ReadingRow,
    title="sensor readings",
    definition="rows of 2: ns since the worker was spawned, what the channel read",
    is_value=False,
)
PROCESS_LIMITS = Table(
    "process_limits",
    LimitsRow,
    title="limits on the process",
    definition="ns since the worker was spawned from which on the parameters held: groups, CPU quota, cores, memory",
    is_value=False,
)
CONSTRAINED_TRIALS = Table(
    "constrained_trials",
    TrialRow,
    title="trials under a constraint",
    definition="rows of 6: outcome, time, time of one answer, page-ins, peak bytes, kills by the limit",
    may_be_empty=True,
    is_value=False,
)
FALLBACK_TRIES = Table(
    "fallback_tries",
    TryRow,
    title="tries of a fallback chain",
    definition="rows of 3: place in the chain, outcome, time",
    may_be_empty=True,
    is_value=False,
)
HANDOVERS = Table(
    "handovers",
    HandoverRow,
    title="requests between cloud and device",
    definition="rows as benchharness.records.HandoverRow names them",
    is_value=False,
)
CONVERSATION_TURNS = Table(
    "conversation_turns",
    TurnRow,
    title="turns of a conversation",
    definition="rows as benchharness.records.TurnRow names them",
    is_value=False,
)
MEMORY_TIMELINE = Table("memory_timeline", HeldRow)
TASK_LIKELIHOODS = Table(
    "task_likelihoods",
    LikelihoodRow,
    title="likelihoods asked for",
    unit=NATS,
    better="higher",
    definition="rows of 4: the request, its log-likelihood, whether greedy decoding would give it, its tokens",
)
TASK_DOCUMENTS = Table(
    "task_documents",
    DocumentRow,
    title="scores by document",
    definition="rows of 3: the document, what it adds to the measure's sum, and to the sum's divisor",
)
TASK_REPLICATES = Table(
    "task_replicates",
    ReplicateRow,
    title="scores of documents drawn again",
    definition="a measure of the whole task, computed again and again of documents drawn with a fixed seed",
)

#: By metric, in the order of the registry.
TABLES: Mapping[str, Table[Any]] = {
    table.metric: table
    for table in (
        TOKEN_DIVERGENCE,
        SCORED_CHUNKS,
        SCORED_TEXTS,
        ANSWERS_ALIKE,
        TEMPERED_DIVERGENCE,
        GREEDY_PREFIX,
        CLASS_DECISIONS,
        CLASS_DIVERGENCE,
        EMBEDDING_SIMILARITY,
        TENSOR_ERROR,
        SUSTAINED_WINDOW,
        SENSOR_READING,
        PROCESS_LIMITS,
        CONSTRAINED_TRIALS,
        FALLBACK_TRIES,
        HANDOVERS,
        CONVERSATION_TURNS,
        MEMORY_TIMELINE,
        TASK_LIKELIHOODS,
        TASK_DOCUMENTS,
        TASK_REPLICATES,
    )
}
#: Tables of earlier versions that are in stores, by metric and width.
EARLIER: Mapping[tuple[str, int], Table[Any]] = {
    (table.metric, table.row_length): table for table in (EARLIER_DECISIONS,)
}


def table_of(metric: str, row_length: int) -> Table[Any]:
    """The table that rows of this width are of: an earlier version's, or today's. Raises `KeyError`."""
    return EARLIER.get((metric, row_length), TABLES[metric])
