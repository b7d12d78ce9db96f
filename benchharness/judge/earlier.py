"""Results that were made by a rule which has been mended since: what is wrong with which of them. Pure.

Attempts store the number of the rules that they were made by (`device.rules`). What is only derived from raw facts
follows today's rules anyway; what was fed, paired or counted wrongly on the device cannot be mended afterwards, and
is doubted. To mend a rule: raise `RULES`, and add a row to `MENDED` that picks the results it concerns by what they
store, and no others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from benchharness.device.inputs.state_names import called_a_state
from benchharness.device.rules import FIRST, RULES
from benchharness.records import EARLIER_DECISIONS
from benchharness.results.result import Attempt, Job, ResultWarning, WarningKind

#: A sample's divergence above this, in nats, may be that of the floor that stood for a probability of zero.
_FLOORED = 1.0
#: Whole-number inputs that were filled with what they mean, by a part of their name.
_UNDERSTOOD = ("ids", "mask", "token_type", "segment", "sample_rate", "sampling_rate")
_FLAT = 2  # a length or a count has no more dimensions


@dataclass(frozen=True, kw_only=True)
class Mended:
    """A rule that was mended with the rules of number `since`: whom it concerns, and what to say to them."""

    since: int
    concerns: Callable[[Job, Attempt], bool]
    message: str
    hint: str = "measure it again with this version"
    of_sizes: bool = False  # it says nothing against what was measured, only against sizes

    @property
    def warning(self) -> ResultWarning:
        """As it stands on a result."""
        return ResultWarning(kind=WarningKind.EARLIER_RULE, message=f"measured before {self.message}", hint=self.hint)


def _arrays(job: Job, _: Attempt) -> bool:
    return job.against is not None and _kind_of_data(job) == "npz"


def _texts(job: Job, _: Attempt) -> bool:
    return job.against is not None and _kind_of_data(job) in ("text", "jsonl")


def _kind_of_data(job: Job) -> str:
    return job.workload.data.kind if job.workload.data else ""


def _floored(_: Job, attempt: Attempt) -> bool:
    earlier = [
        EARLIER_DECISIONS.by_name(each.samples)["kld"]
        for each in attempt.measurements
        if each.metric == EARLIER_DECISIONS.metric and EARLIER_DECISIONS.fits(each.samples, each.row_length)
    ]
    return any(divergence > _FLOORED for column in earlier for divergence in column)


def _invented(job: Job, attempt: Attempt) -> bool:
    """A flat input of whole numbers that nobody gave and whose name says nothing: it may be a length or a count."""
    inputs = attempt.effective.inputs
    if job.against is not None or inputs is None:
        return False
    unknown = {name: told for name, told in inputs.items() if name not in job.workload.values}
    return any(
        isinstance(told, Sequence)
        and str(told[0]).startswith(("int", "uint"))
        and len(told) - 1 <= _FLAT
        and not any(part in str(name).lower() for part in _UNDERSTOOD)
        for name, told in unknown.items()
        if told
    )


def _recurrent(job: Job, attempt: Attempt) -> bool:
    """A model timed with the same state again and again: one of its inputs is called as states are."""
    inputs = attempt.effective.inputs
    return job.against is None and any(called_a_state(name) for name in inputs or ())


def _without_cache(_: Job, attempt: Attempt) -> bool:
    """A language model by its signature alone: ids in, logits out, no cache, and no configuration that says so."""
    facts = attempt.effective.facts
    return facts.get("layout") == "no-cache" and not facts.get("described_by")


def _onnx(job: Job, _: Attempt) -> bool:
    return job.configuration.runtime == "onnxruntime"


MENDED: Sequence[Mended] = (
    Mended(
        since=2,
        concerns=_arrays,
        message="tensors were paired by name and data converted by the model's own scales: outputs may have been "
        "paired by their order or the largest taken for the scores, data paired by position or cast",
    ),
    Mended(
        since=2,
        concerns=_floored,
        message="classes that a variant rounds to zero were pooled: its KLD may be that of the floor that stood for "
        "zero",
    ),
    Mended(
        since=2,
        concerns=_texts,
        message="short documents were scored and the token that begins a text stood in each chunk: documents shorter "
        "than a chunk were dropped, and the tokenizer's own padding and truncation applied",
    ),
    Mended(
        since=2,
        concerns=_invented,
        message="lengths followed the axes that they describe: an input of whole numbers was filled with 0 to 9, and "
        "the model may have done less work than asked for",
        hint="measure it again with this version, or set the input under 'values' in the workload",
    ),
    Mended(
        since=2,
        concerns=_recurrent,
        message="a recurrent model's state was fed back: every inference was timed on the state that it began with",
    ),
    Mended(
        since=2,
        concerns=_without_cache,
        message="a language model without a cache was told by its graph: this may be a token classifier, timed and "
        "scored as the language model that it is not",
        hint="measure it again with this version, or say what it is with task",
    ),
    Mended(
        since=2,
        concerns=_onnx,
        message="an artefact was the files that the model reads: the size is that of the .onnx file without weights "
        "in files beside it, or of everything in its folder",
        of_sizes=True,
    ),
)
_OF_SIZES = frozenset(each.warning for each in MENDED if each.of_sizes)


def warnings_of_before(job: Job, attempts: Sequence[Attempt]) -> Iterator[ResultWarning]:
    """A warning for each mended rule that attempts of a job were made without."""
    of_before = [(rules, attempt) for attempt in attempts if (rules := rules_of(attempt)) < RULES]
    for mended in MENDED:
        if any(rules < mended.since and mended.concerns(job, attempt) for rules, attempt in of_before):
            yield mended.warning


def rules_of(attempt: Attempt) -> int:
    """The number of the rules that an attempt was made by."""
    told = attempt.effective.rules
    return told if told is not None and FIRST <= told <= RULES else FIRST


def on_figures(warning: ResultWarning) -> bool:
    """Whether a warning of this kind is one on what was measured, and not on sizes alone."""
    return warning not in _OF_SIZES
