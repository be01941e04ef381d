"""How often a request uses a dependency: from its calls, from traffic that moves together, or assumed.

Every figure has a 90 % interval, except a declared one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from apps.engine.document import CallProbabilitySource, Criticality
from apps.engine.series import DAY_SECONDS, ObservedCounts, align
from apps.engine.types import DependencyInput, Floats

CALL_PROBABILITY_PRIOR: Mapping[Criticality, float] = {"hard": 1.0, "degraded": 0.7, "soft": 0.5}
CALL_PROBABILITY_LEAST: Mapping[Criticality, float] = {"hard": 0.3, "degraded": 0.1, "soft": 0.02}
"""Lower ends of the priors' 90 % intervals; the upper end is 1."""
MAX_DEVIATION = 0.1
"""A call probability from traffic alone is accepted up to this standard deviation."""
MIN_DAYS = 8
_HOUR = 3_600


@dataclass(frozen=True, slots=True)
class CallProbability:
    """``q`` with its source. For a declaration ``interval`` (90 %) is ``None`` and ``deviation`` 0."""

    value: float
    source: CallProbabilitySource
    interval: tuple[float, float] | None
    deviation: float = 0.0


def call_probability(
    own: ObservedCounts | None,
    dependency: DependencyInput,
    edge: ObservedCounts | None,
    target: ObservedCounts | None,
    *,
    since: int | None = None,
) -> CallProbability:
    """Return ``q``: observed calls over requests, else declared, else from traffic, else the prior.

    More than one call per request makes q = 1: the request uses the dependency, and what several calls do to it is part
    of its hardness. Nobody calls a target more often than it is called, so the target's traffic bounds a prior.
    ``since`` (Unix seconds) is when calls were first watched: earlier requests say nothing about an edge.
    """
    is_busy = own is not None and own.requests > 0
    if own is not None and is_busy and edge is not None and edge.requests > 0:
        together = align(edge, own)
        if together is not None:
            calls = np.nan_to_num(together[0][own.present])
            first = 0 if since is None or since <= own.start else int((own.starts[own.present] < since).sum())
            total = own.dense_total[first:]
            if total.sum() > 0:
                return _from_calls(total, calls[first:], own.step_seconds)
        value = min(1.0, edge.requests / edge.span_days / (own.requests / own.span_days))
        spread = 1.6449 * math.sqrt(value * (1 - value) / own.requests)
        return CallProbability(value, "observed", (max(0.0, value - spread), min(1.0, value + spread)))
    if dependency.calls_per_request is not None:
        return CallProbability(min(1.0, max(0.0, dependency.calls_per_request)), "declared", None)
    prior = CALL_PROBABILITY_PRIOR[dependency.criticality]
    least = CALL_PROBABILITY_LEAST[dependency.criticality]
    if own is not None and is_busy and target is not None and target.requests > 0:
        bound = target.requests / target.span_days / (own.requests / own.span_days)
        if dependency.mode == "sync":
            found = _from_traffic(own, target)
            if found is not None:
                return found
        if bound < prior:
            return CallProbability(bound, "bounded_by_target_traffic", (min(least, bound) * 0.5, bound))
    return CallProbability(prior, "prior", (least, 1.0))


def _from_calls(total: Floats, calls: Floats, step_seconds: int) -> CallProbability:
    """Divide the sums. Days are the clusters of the error, because what users do changes from day to day."""
    value = float(calls.sum() / total.sum())
    per_cluster = max(1, min(DAY_SECONDS // step_seconds, total.size // MIN_DAYS))
    left = np.add.reduceat(calls - value * total, np.arange(0, total.size, per_cluster))
    deviation = _clustered(left) / float(total.sum())
    deviation = max(deviation, math.sqrt(max(0.0, value * (1 - value)) / float(total.sum())))
    return _capped(value, deviation, left.size - 1, "observed")


def _from_traffic(own: ObservedCounts, target: ObservedCounts) -> CallProbability | None:
    """Estimate the slope of the target's traffic against the service's, within the hours of a day.

    Every caller has busy days and busy hours. So each day's level and the usual daily shapes (of working days and of
    weekends) are removed from both; the sudden ups and downs that remain are shared by callers and their targets. Days
    are the clusters of the error. Another caller with the same sudden ups and downs is mistaken for this one; a
    declaration or an edge series avoids that.
    """
    together = align(target, own)
    if together is None:
        return None
    pair = _whole_days(own, np.where(own.present, own.total, np.nan), together[0])
    if pair is None:
        return None
    mine, theirs, weekend = pair
    left_mine, left_theirs = np.empty_like(mine), np.empty_like(theirs)
    for part in (weekend, ~weekend) if weekend.sum() > 3 and (~weekend).sum() > 3 else (weekend | True,):
        shapes = [np.ones(mine.shape[1]), mine[part].mean(axis=0), theirs[part].mean(axis=0)]
        basis = np.linalg.svd(np.stack([each / each.mean() for each in shapes], axis=1), full_matrices=False)
        kept = basis[0][:, basis[1] > 1e-9 * basis[1][0]]
        for source, left in ((mine, left_mine), (theirs, left_theirs)):
            projected = np.einsum("dk,hk->dh", np.einsum("dh,hk->dk", source[part], kept), kept)
            left[part] = source[part] - projected
    power = float((left_mine**2).sum())
    if power <= 1e-9 * float((mine**2).sum()):
        return None
    value = float((left_mine * left_theirs).sum()) / power
    score = (left_mine * (left_theirs - value * left_mine)).sum(axis=1)
    deviation = _clustered(score) / power
    if deviation > MAX_DEVIATION:
        return None
    return _capped(value, deviation, mine.shape[0] - 1, "co_movement")


def _whole_days(
    own: ObservedCounts, mine: Floats, theirs: Floats
) -> tuple[Floats, Floats, np.ndarray[tuple[int, ...], np.dtype[np.bool_]]] | None:
    if DAY_SECONDS % own.step_seconds or _HOUR % own.step_seconds:
        return None
    skip = -own.start % DAY_SECONDS // own.step_seconds
    per_day = DAY_SECONDS // own.step_seconds
    days = (mine.size - skip) // per_day
    if days < MIN_DAYS:
        return None
    taken = slice(skip, skip + days * per_day)
    hourly = [each[taken].reshape(days, 24, per_day // 24).sum(axis=2) for each in (mine, theirs)]
    complete = np.isfinite(hourly[0] + hourly[1]).all(axis=1)
    if np.count_nonzero(complete) < MIN_DAYS:
        return None
    # 1970 began on a Thursday.
    weekday = (-(-own.start // DAY_SECONDS) + np.arange(days) + 3) % 7
    return hourly[0][complete], hourly[1][complete], (weekday >= 5)[complete]


def _clustered(sums: Floats) -> float:
    """Return the standard deviation of a sum over clusters with unknown mean (Liang and Zeger 1986)."""
    size = sums.size
    return math.sqrt(float((sums**2).sum()) * size / max(1, size - 1))


def _capped(value: float, deviation: float, freedom: int, source: CallProbabilitySource) -> CallProbability:
    from scipy.special import stdtrit

    reach = float(stdtrit(max(1, freedom), 0.95)) * deviation
    low, high = (min(1.0, max(0.0, value + side)) for side in (-reach, reach))
    return CallProbability(min(1.0, max(0.0, value)), source, (low, high), deviation)
