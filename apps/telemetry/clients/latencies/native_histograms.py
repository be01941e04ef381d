"""Native histograms, as the HTTP API answers with them, on bounds that stay the same from hour to hour.

A native histogram has many narrow buckets, an answer names only those that hold something, and their resolution may
change at any time. What is stored of different hours can be added up only at bounds that all of them have. So each is
read at the bounds of one grid, :data:`GRID_MS`: powers of two of a second, four to the octave, from 0.24 ms to 128 s.

These are bucket borders of every exponential histogram in seconds with at least four buckets to the octave (schema 2
and above), where counts at the grid are exact. Elsewhere a grid bound falls inside a bucket, and the part of the bucket
below it is taken to be what Prometheus takes it to be: evenly spread over the logarithm in an exponential bucket, and
evenly spread in one that touches zero and in one with custom bounds. A percentile is then off by at most the factor
2^(1/4) of the grid times the width of the bucket that it lies in.

Histograms with custom bounds keep these beside the grid, so that counts at them are exact.

Source of the format: Prometheus' documentation of the HTTP API, "Native histograms".
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_STEPS_PER_OCTAVE = 4
_FIRST, _LAST = -12 * _STEPS_PER_OCTAVE, 7 * _STEPS_PER_OCTAVE
#: Rounded, so that one bound is the same number on every machine.
GRID_MS: tuple[float, ...] = tuple(
    round(1000.0 * 2.0 ** (step / _STEPS_PER_OCTAVE), 9) for step in range(_FIRST, _LAST + 1)
)
#: Borders come as decimal text of binary fractions: what is that near is the same.
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
    """One sample: the number of all observations, and the buckets that hold any, in order of their borders.

    ``count`` may be more than the buckets hold: an observation that is NaN is in none.
    """

    count: float
    buckets: tuple[Bucket, ...]


def native_histogram(sample: Any) -> NativeHistogram:
    """Read the ``{count, sum, buckets}`` of an answer; each bucket is ``[rule, lower, upper, count]``.

    Which of its borders a bucket includes, as the rule says, makes no difference to latencies, and is not read.

    Raises:
        AttributeError, KeyError, TypeError, ValueError: the shape is another.
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
    """Turn the samples of one service into cumulative counts by bound (ms), which end with ``inf``.

    A sample without observations has none.

    Parameters:
        histograms: by instant.
        factor: turns the metric's unit into milliseconds.
    """
    custom = {at for at, histogram in histograms.items() if has_custom_bounds(histogram)}
    # Empty buckets are not named, so that one hour knows borders of another.
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
    """Whether a border is not one that an exponential histogram can have; answers don't say it."""
    return not all(_is_exponential(bucket) for bucket in histogram.buckets)


def _cumulative(
    buckets: Sequence[Bucket], bounds: Iterable[float], *, even: bool
) -> list[tuple[float, bool]]:
    """How many observations are at most each of the ascending bounds, and whether that is an estimate."""
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
    """Which share of a bucket's observations is taken to be at most a bound inside it."""
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
    """Whether both borders are powers of one of the bases 2^(2^-schema) of exponential histograms."""
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
