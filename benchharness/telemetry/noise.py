"""Noise by OpenDP, and the epsilon that it gives: nothing here draws a number itself."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from benchharness.errors import UsageError

#: Less is no figure at all, and more is no privacy: e to the power of 20 is half a billion.
LEAST_EPSILON, MOST_EPSILON = Fraction(1, 100), Fraction(20)
_DECIMAL = re.compile(r"[0-9]{1,4}(\.[0-9]{1,6})?")
#: By this much the scale grows until OpenDP, which rounds against us, says that it suffices.
_STEP = 1 + 1e-12


@dataclass(frozen=True, kw_only=True)
class Noisy:
    """Counts with noise."""

    counts: Sequence[int]
    scale: float
    by: str


def epsilon(text: str) -> Fraction:
    """An epsilon as it was written, exactly: sums of doubles lose what is small. Raises `UsageError`."""
    if not _DECIMAL.fullmatch(text) or not LEAST_EPSILON <= Fraction(text) <= MOST_EPSILON:
        raise UsageError(
            f"epsilon {text[:20]!r}: write a decimal number from {float(LEAST_EPSILON):g} to {MOST_EPSILON}, "
            "such as 0.5"
        )
    return Fraction(text)


def check_installed() -> None:
    """Raises `UsageError` where OpenDP is not installed."""
    try:
        import opendp  # noqa: F401
    except ImportError as error:
        raise UsageError("OpenDP draws the noise of a release: pip install 'benchharness[telemetry]'") from error


def noisy(counts: Sequence[int], moved: int, epsilon: Fraction) -> Noisy:
    """Counts with discrete Laplace noise, so that a device which moves them by at most `moved` in all is hidden.

    `moved` is the L1 distance between the counts with and without one device. The scale is the least for which
    OpenDP's own map from that distance gives no more than epsilon; delta is none.
    """
    import opendp.prelude as dp

    dp.enable_features("contrib")
    space = dp.vector_domain(dp.atom_domain(T="i64")), dp.l1_distance(T="i64")
    scale = float(moved / epsilon)
    while Fraction((mechanism := space >> dp.m.then_laplace(scale=scale)).map(moved)) > epsilon:
        scale *= _STEP
    return Noisy(counts=list(mechanism(list(counts))), scale=scale, by=f"OpenDP {dp.__version__}")
