"""Reads native histograms of the HTTP API at bounds that stay the same from hour to hour.

A native histogram has many narrow buckets, an answer names only those that are not empty, and their resolution may
change at any time. Stored hours can be added up only at bounds that all of them have. So each histogram is read at the
bounds of one grid, :data:`GRID_MS`: powers of two of a second, four to the octave, from 0.24 ms to 128 s.

These bounds are bucket borders of every exponential histogram in seconds with at least four buckets to the octave
(schema 2 and above), so counts at the grid are exact there. Elsewhere a grid bound is inside a bucket. The share of the
bucket below it follows Prometheus' assumption: observations are spread evenly over the logarithm in an exponential
bucket, and evenly in a bucket that touches zero or has custom bounds. A percentile is then off by at most the factor
2^(1/4) of the grid times the width of its bucket.

Histograms with custom bounds keep these in addition to the grid, so counts at them are exact.

Source of the format: Prometheus' documentation of the HTTP API, "Native histograms".
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_STEPS_PER_OCTAVE = 4
_FIRST, _LAST = -12 * _STEPS_PER_OCTAVE, 7 * _STEPS_PER_OCTAVE
#: The bounds of the grid, rounded so that each is the same number on every machine.
GRID_MS: tuple[float, ...] = tuple(
    round(1000.0 * 2.0 ** (step / _STEPS_PER_OCTAVE), 9) for step in range(_FIRST, _LAST + 1)
)
#: Borders come as decimal text of binary fractions: borders that are so near are the same.
_SAME_WITHIN = 1e-8
_COARSEST_SCHEMA, _FINEST_SCHEMA = -4, 8


@dataclass(frozen=True, slots=True)
class Bucket:
    """``count`` observations between two borders, in the unit of the metric."""

    lower: float
    upper: float
    count: float


@dataclass(frozen=True, slots=True)
class NativeHistogram:
    """One sample: the number of all observations, and the buckets that are not empty, in order of their borders.

    ``count`` may be larger than the sum of the buckets: an observation that is NaN is in no bucket.
    """

    count: float
    buckets: tuple[Bucket, ...]


def native_histogram(sample: Any) -> NativeHistogram:
    """Read the ``{count, sum, buckets}`` of an answer; each bucket is ``[rule, lower, upper, count]``.

    The rule says which of its borders a bucket includes. That makes no difference to latencies, so it is not read.

    Raises:
        AttributeError, KeyError, TypeError, ValueError: the sample has another shape.
    """
    buckets = [
        Bucket(float(lower), float(upper), float(count))
        for _rule, lower, upper, count in sample.get("buckets") or ()
    ]
    if any(math.isnan(bucket.lower) or math.isnan(bucket.upper) for bucket in buckets):
        raise ValueError("a bucket's border is NaN")
    if any(bucket.lower > bucket.upper or bucket.lower == math.inf for bucket in buckets):
        raise ValueError("a bucket ends before it begins")
    return NativeHistogram(float(sample["count"]), tuple(sorted(buckets, key=lambda each: each.upper)))


def on_stable_bounds(
    histograms: Mapping[int, NativeHistogram], factor: float
) -> dict[int, dict[float, float]]:
    """Return the samples of one service as cumulative counts by bound (ms); the last bound is ``inf``.

    A sample without observations is left out.

    Parameters:
        histograms: by instant.
        factor: milliseconds in the metric's unit.
    """
    custom = {at for at, histogram in histograms.items() if has_custom_bounds(histogram)}
    # An answer does not name empty buckets, so the borders of all hours are put together.
    own = sorted({border for at in custom for border in _borders(histograms[at])})
    layouts: dict[int, dict[float, float]] = {}
    for at, histogram in histograms.items():
        if histogram.count == 0.0:
            continue  # it names no bound, and what is stored keeps only bounds that every hour has
        is_custom = at in custom
        counts = _cumulative(histogram.buckets, [bound / factor for bound in GRID_MS], even=is_custom)
        layouts[at] = dict(zip(GRID_MS, (count for count, _ in counts), strict=True))
        exact = _cumulative(histogram.buckets, own, even=is_custom)
        layouts[at] |= {
            round(border * factor, 6): count
            for border, (count, is_estimate) in zip(own, exact, strict=True)
            if not is_estimate
        }
        layouts[at][math.inf] = max(histogram.count, sum(bucket.count for bucket in histogram.buckets))
    return layouts


def has_custom_bounds(histogram: NativeHistogram) -> bool:
    """Return whether some border cannot be an exponential histogram's. Answers do not name the schema."""
    return not all(_is_exponential(bucket) for bucket in histogram.buckets)


def _cumulative(
    buckets: Sequence[Bucket], bounds: Iterable[float], *, even: bool
) -> list[tuple[float, bool]]:
    """Return the number of observations up to each of the ascending bounds, and whether it is an estimate."""
    found: list[tuple[float, bool]] = []
    whole, below = 0, 0.0
    for bound in bounds:
        while whole < len(buckets) and buckets[whole].upper <= bound * (1.0 + _SAME_WITHIN):
            below += buckets[whole].count
            whole += 1
        if whole < len(buckets) and buckets[whole].lower < bound * (1.0 - _SAME_WITHIN):
            found.append((below + buckets[whole].count * _share(buckets[whole], bound, even=even), True))
        else:
            found.append((below, False))
    return found


def _share(bucket: Bucket, bound: float, *, even: bool) -> float:
    """Return the assumed share of a bucket's observations up to a bound inside it, 0..1."""
    if bucket.upper == math.inf:
        return 0.0  # nothing is known of where they are
    if bucket.lower > 0.0 and not even:
        return math.log(bound / bucket.lower) / math.log(bucket.upper / bucket.lower)
    lower = max(bucket.lower, 0.0)  # bounds are above zero, and so are latencies
    return (bound - lower) / (bucket.upper - lower)


def _borders(histogram: NativeHistogram) -> set[float]:
    borders = {border for bucket in histogram.buckets for border in (bucket.lower, bucket.upper)}
    return {border for border in borders if 0.0 < border < math.inf}


def _is_exponential(bucket: Bucket) -> bool:
    """Return whether both borders are powers of one of the bases 2^(2^-schema) of exponential histograms."""
    if bucket.lower <= 0.0 <= bucket.upper:
        return bucket.lower == -bucket.upper
    if bucket.upper == math.inf:
        return _is_whole(math.log2(bucket.lower) * 2**_FINEST_SCHEMA)
    nearer, farther = sorted((abs(bucket.lower), abs(bucket.upper)))
    if farther == math.inf or nearer == farther:
        return False
    octaves = math.log2(farther) - math.log2(nearer)
    if octaves == 0.0:
        return False
    schema = -math.log2(octaves)
    return (
        _is_whole(schema)
        and _COARSEST_SCHEMA <= round(schema) <= _FINEST_SCHEMA
        and _is_whole(math.log2(farther) / octaves)
    )


def _is_whole(number: float) -> bool:
    return abs(number - round(number)) <= 1e-6 * max(1.0, abs(number))
