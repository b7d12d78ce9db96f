"""What is told of a student beside its teacher: bits per byte, answers as texts, the loss it was trained with. Pure.

Bits per byte are of texts, whatever tokens they are read in: -ln p of all tokens of a stretch over ln 2 and over its
bytes in UTF-8. What a model gives the one way in which its tokenizer cuts the text is told; the same text cut otherwise
would add to its probability, so they are an upper bound of the bits that it needs, for every model alike.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from benchharness.judge.exact_shares import CLOPPER_PEARSON, clopper_pearson
from benchharness.judge.means import less, mean_over, ratio_over
from benchharness.results.result import Attempt, Estimate, Measurement, MetricResult
from benchharness.scenarios.quality.rows import Floats, Of, Tokens, columns_of

#: The shares of the text's own next token in a student's loss, where the suite names none.
ALPHAS = (0.0, 0.25, 0.5, 0.75, 1.0)
_MOST_ALPHAS, _HOTTEST = 21, 100.0
#: What two vocabularies have no figure of: each speaks of tokens.
_OF_TOKENS = (
    *("kld", "kld_largest", "perplexity", "log_perplexity_ratio", "probability_change", "probability_change_rms"),
    *("same_top_token", "greedy_prefix"),
)
_OF_TEXTS = ("bits_per_byte", "bits_per_byte_loss")
_NONE = "its divergences at that temperature are not told for each token"
_LONGEST = 400


def bits(of: Of, measurement: Measurement) -> Iterator[MetricResult]:
    """Bits per byte of both, and how many more the variant needs: of the same bytes, so all three are over these."""
    drawn = _drawn(columns_of(measurement))
    for name, told in (("bits_per_byte", drawn.variant), ("reference_bits_per_byte", drawn.reference)):
        yield of.metric(name, drawn.by_byte(told, "bits over bytes", positive=True))
    lost = less(drawn.variant, drawn.reference)
    found = drawn.by_byte(lost, "variant's less reference's on the same bytes")
    yield of.metric("bits_per_byte_loss", of.exactly(found, lost, 0.0))


def bits_changed(base: Mapping[str, Floats], candidate: Mapping[str, Floats], statistic: str) -> Estimate | None:
    """The candidate's bits per byte less the base's; None where the two read other stretches of text."""
    if not all(np.array_equal(base[name], candidate[name]) for name in ("document", "size")):
        return None
    theirs, ours = _drawn(base), _drawn(candidate)
    found = ours.by_byte(less(ours.variant, theirs.variant), statistic)
    if np.array_equal(base["variant"], candidate["variant"]):  # in every digit: the two compute the same
        return replace(found, low=found.value, high=found.value, reason="")
    return found


class _Drawn(NamedTuple):
    """Bytes, and bits of the reference and of the variant, of each thing that an interval is over, and what that is."""

    sizes: Floats
    reference: Floats
    variant: Floats
    unit: str
    in_a_row: bool

    def by_byte(self, bits: Floats, statistic: str, *, positive: bool = False) -> Estimate:
        return ratio_over(
            bits, self.sizes, statistic=statistic, unit=self.unit, in_a_row=self.in_a_row, positive=positive
        )


def _drawn(columns: Mapping[str, Floats]) -> _Drawn:
    """Documents; of only one its stretches in a row, whose neighbours are alike."""
    documents, place = np.unique(columns["document"], return_inverse=True)
    with np.errstate(over="ignore"):
        reference, variant = (columns[side] / math.log(2) for side in ("reference", "variant"))
    sizes = columns["size"]
    if len(documents) == 1:
        return _Drawn(sizes, reference, variant, "stretches of text", True)
    sums = [np.bincount(place, weights=part).astype(np.float64) for part in (sizes, reference, variant)]
    return _Drawn(sums[0], sums[1], sums[2], "documents", False)


def answers(of: Of, measurement: Measurement) -> Iterator[MetricResult]:
    """How often both write the same, and how far they go together."""
    columns = columns_of(measurement)
    for name, column in (("same_answer", "exact"), ("same_answer_normalised", "normalised")):
        yield of.metric(name, of.exactly(_share(columns[column]), columns[column], 1.0))
    whole = columns["characters"]
    together = np.where(whole > 0, columns["shared"] / np.maximum(whole, 1.0), columns["exact"])
    found = mean_over(
        together,
        statistic="mean over prompts",
        unit="prompts",
        in_a_row=of.in_a_row(len(together)),
        positive=True,
        through=lambda share: min(share, 1.0),
    )
    yield of.metric("shared_beginning", of.exactly(found, together, 1.0))


def _share(same: Floats) -> Estimate:
    hits, trials = int(same.sum()), len(same)
    low, high = clopper_pearson(hits, trials)
    return Estimate(
        value=hits / trials,
        low=low,
        high=high,
        count=1,
        statistic=f"{hits} of {trials}, {CLOPPER_PEARSON}",
        drawn=trials,
        drawn_unit="prompts",
    )


def distilled(of: Of, tokens: Tokens) -> Iterator[MetricResult]:
    """The loss by alpha: alpha times cross-entropy + (1 - alpha) times T squared times KLD at temperature T."""
    beside = of.beside("tempered_divergence")
    temperature = 1.0 if beside is None else _temperature(beside)
    statistic = "mean over tokens"
    for alpha in _alphas(of.told("distillation").get("alpha")):
        soft = "KLD" if temperature == 1 else f"T² KLD at T = {temperature:g}"
        told = f"{alpha:g} cross-entropy + {1 - alpha:g} {soft}, {statistic}"
        found = Estimate(value=None, statistic=told, reason=_NONE)
        if (losses := losses_of(tokens.columns, beside, alpha)) is not None:
            found = tokens.mean(losses, statistic=told, positive=True)
        yield of.metric("distillation_loss", found, alpha=alpha, temperature=temperature)


def losses_of(columns: Mapping[str, Floats], beside: Measurement | None, alpha: float) -> Floats | None:
    """The loss of each token, `beside` its divergences at a temperature; None where they are not these tokens'."""
    temperature, divergence = 1.0, columns["kld"]
    if beside is not None:
        temperature, divergence = _temperature(beside), np.asarray(beside.samples, dtype=np.float64)
    if not temperature or divergence.shape != columns["kld"].shape:
        return None
    found: Floats = alpha * columns["nll_variant"] + (1 - alpha) * temperature**2 * divergence
    return found


def _temperature(beside: Measurement) -> float:
    """As the device says that it computed; 0 where it says nothing that can be."""
    told = beside.parameters.get("temperature")
    return float(told) if isinstance(told, int | float) and 0 < told <= _HOTTEST else 0.0


def _alphas(told: object) -> Sequence[float]:
    """As the suite asked, told back by the device; else the usual ones."""
    listed = told if isinstance(told, list | tuple) else ()
    found = [float(each) for each in listed if isinstance(each, int | float) and 0 <= each <= 1][:_MOST_ALPHAS]
    return list(dict.fromkeys(found)) or ALPHAS


def unknown(attempt: Attempt) -> Iterator[MetricResult]:
    """What two vocabularies have no figure of, and what a text that was read otherwise has none of: with the reason."""
    told = attempt.effective.of_scenario("vocabularies")
    differ, unread = (str(told.get(key, ""))[:_LONGEST] for key in ("differ", "unread"))
    of = Of(attempt, _beside(attempt))
    if differ:
        none = Estimate(value=None, statistic="of tokens", reason=f"not comparable: {differ}")
        yield from (of.metric(name, none) for name in _OF_TOKENS)
        # By alpha, as budgets name it: one that finds no figure would be told by nobody.
        asked = _alphas(of.told("distillation").get("alpha"))
        yield from (of.metric("distillation_loss", none, alpha=alpha) for alpha in asked)
    if unread:
        for name in _OF_TEXTS:
            yield of.metric(name, Estimate(value=None, statistic="of bytes", reason=unread))


def _beside(attempt: Attempt) -> Measurement:
    """What says how the attempt evaluated, whose parameters an unknown figure has."""
    found = next((each for each in attempt.measurements if each.metric == "scored_texts"), None)
    return replace(found, samples=(), row_length=0) if found else Measurement(metric="kld", parameters={}, value=0.0)
