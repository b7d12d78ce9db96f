"""Rows of a quality attempt by column, what is drawn again of them, and how metrics are made of them. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchharness.judge.means import AS_IF_ONE, finite, ratio_over
from benchharness.metrics import METRICS
from benchharness.records import TOKEN_DIVERGENCE, table_of
from benchharness.results.result import Attempt, AttemptValue, Estimate, Measurement, MetricResult, Parameters

Floats = NDArray[np.float64]

#: Why these have no interval.
_EXTREME = "the largest of those seen, and no interval: other inputs can only show a larger one"
_OF_TOKENS = "a percentile over tokens, whose errors within a text go together: no interval is computed"
NO_INTERVAL: Mapping[str, str] = {
    "largest_error": _EXTREME,
    "kld_largest": _EXTREME,
    "kld_percentile": _OF_TOKENS,
    "probability_change_percentile": _OF_TOKENS,
    "mcnemar_p": "a p-value, and so no interval",
    "similarity_ranks": "one figure of all pairs of inputs, and no interval: only it is kept, not the pairs",
    "class_accuracy_change": "of the inputs of one class alone, and no interval: accuracy_change has one",
}


class Of:
    """Makes metric results of one measurement, raw rows left where they are stored."""

    def __init__(self, attempt: Attempt, measurement: Measurement) -> None:
        self._attempt = attempt
        self.parameters: Parameters = measurement.parameters

    @property
    def scores(self) -> Mapping[str, Any]:
        """What the attempt told of the classes' scores."""
        return self._attempt.effective.scores

    def told(self, key: str) -> Mapping[str, Any]:
        """What else the attempt told under a key of this scenario's."""
        return self._attempt.effective.of_scenario(key)

    def metric(self, name: str, found: Estimate, **parameters: float | str) -> MetricResult:
        """A metric of this measurement."""
        found = finite(found)
        value = AttemptValue(
            attempt=self._attempt.id,
            device=self._attempt.device,
            round=self._attempt.round,
            value=0.0 if found.value is None else found.value,
        )
        return MetricResult(
            name=name,
            parameters={**self.parameters, **parameters},
            unit=METRICS[name].unit,
            estimate=found,
            attempts=(value,),
        )

    def beside(self, name: str) -> Measurement | None:
        """Another measurement of the same attempt."""
        return next((each for each in self._attempt.measurements if each.metric == name), None)

    def in_a_row(self, prompts: int) -> bool:
        """Whether of so many prompts, spread evenly over what was asked, any two stand in one document."""
        told = self.beside("scored_chunks") or self.beside("scored_texts")
        if told is None or not len(told.samples):
            return True
        documents = columns_of(told)["document"]
        places = np.linspace(0, len(documents) - 1, prompts).round().astype(int)
        return len(np.unique(documents[places])) < prompts

    @property
    def computes_the_same(self) -> bool:
        """Whether the variant gave every scored token the reference's very numbers: it would of any text."""
        told = self.beside("token_divergence")
        return told is not None and _same(columns_of(told))

    def exactly(self, found: Estimate, values: Floats, same: float) -> Estimate:
        """What was found, known to be that of any text where the two compute the same and all say that they do."""
        if found.value is not None and self.computes_the_same and (values == same).all():
            return replace(found, low=found.value, high=found.value, reason="")
        return found

    def raw(self, measurement: Measurement) -> MetricResult:
        """The rows themselves, for figures and for whoever wants to compute something else."""
        made = self.metric(measurement.metric, Estimate(value=measurement.value, count=1, statistic="of the raw rows"))
        (value,) = made.attempts
        rows = replace(value, samples=measurement.samples, row_length=measurement.row_length)
        return replace(made, attempts=(rows,))

    def exact(self, name: str, value: float, statistic: str, **parameters: float | str) -> MetricResult:
        """A metric that has no interval, for the reason that goes with its name."""
        found = Estimate(value=value, count=1, statistic=statistic, reason=NO_INTERVAL[name])
        return self.metric(name, found, **parameters)


def columns_of(measurement: Measurement) -> dict[str, Floats]:
    """The columns of a raw table by name, each of the shape (rows,)."""
    table = table_of(measurement.metric, measurement.row_length)
    return table.by_name(np.asarray(measurement.samples, dtype=np.float64))


def _same(tokens: Mapping[str, Floats]) -> bool:
    return not tokens["kld"].any() and np.array_equal(tokens["nll_reference"], tokens["nll_variant"])


class Tokens:
    """The rows of `token_divergence`, and what an interval is over: documents, or the chunks of only one in a row."""

    def __init__(self, measurement: Measurement, chunks: Measurement | None) -> None:
        self.columns = columns_of(measurement)
        if chunks is None:  # as all were stored once: chunks of one length
            length = int(measurement.parameters["scored"])
            self._scored = np.full(TOKEN_DIVERGENCE.count(measurement.samples) // length, length)
            documents = np.zeros(len(self._scored))
        else:
            of_chunks = columns_of(chunks)
            documents, self._scored = of_chunks["document"], of_chunks["scored"].astype(int)
        _, of_chunk = np.unique(documents, return_inverse=True)
        self._in_a_row = int(of_chunk.max()) == 0
        drawn = np.arange(len(self._scored)) if self._in_a_row else of_chunk
        self._drawn = np.repeat(drawn, self._scored)
        self.unit = "chunks" if self._in_a_row else "documents"

    @property
    def same(self) -> bool:
        """Whether both sides compute the same."""
        return _same(self.columns)

    def mean(
        self,
        values: Floats,
        *,
        statistic: str,
        positive: bool = False,
        exactly: bool = False,
        through: Callable[[float], float] = float,
    ) -> Estimate:
        """The mean of one value a token, which is never below 0 where it is `positive`.

        `exactly`: a value that all have is known to be that of any token.
        """
        found = self._over(values, self._in_a_row, statistic=statistic, positive=positive, through=through)
        if exactly and np.ptp(values) == 0:
            return replace(found, low=found.value, high=found.value, reason="")
        return found

    def _over(self, values: Floats, in_a_row: bool, **asked: Any) -> Estimate:
        sums = np.bincount(self._drawn, weights=values).astype(np.float64)
        counts = np.bincount(self._drawn).astype(np.float64)
        return ratio_over(sums, counts, unit=self.unit, in_a_row=in_a_row, **asked)

    def share(self, same: Floats, *, statistic: str, exactly: bool = False) -> Estimate:
        """Of tokens that are the same on both sides, 1 each: what is skewed is how many are not.

        Where all are, no more may differ than if one token in the middle did: `exactly` that none does, else.
        """

        def left(differing: float) -> float:
            return 1 - min(differing, 1.0)

        differing = 1 - same
        found = self.mean(differing, statistic=statistic, positive=True, exactly=exactly, through=left)
        found = replace(found, value=float(same.mean()))  # which twice less than 1 is but for rounding
        if differing.any() or found.low is not None:
            return found
        return self._as_if_one(found, differing, statistic=statistic, positive=True, through=left, most=1.0)

    def change(self, values: Floats, *, statistic: str, exactly: bool = False) -> Estimate:
        """Of shares, -1, 0 or 1 a token; where no token changed, as if one in the middle had, either way."""
        found = self.mean(values, statistic=statistic, exactly=exactly)
        if values.any() or found.low is not None:
            return found
        one = self._as_if_one(found, values, statistic=statistic)
        return one if one.high is None else replace(one, low=-one.high)

    def _as_if_one(self, found: Estimate, none: Floats, *, most: float | None = None, **asked: Any) -> Estimate:
        """What was found where no token differs, with the interval that there would be if one did.

        One by one: of one token nobody can tell whether others that differ stand near it.
        """
        one = none.copy()
        one[len(one) // 2] = 1.0
        seen = self._over(one, False, **asked)
        if seen.low is None:
            return found
        return replace(
            seen,
            value=found.value,
            high=seen.high if most is None else most,
            statistic=f"{seen.statistic}, {AS_IF_ONE}",
        )
