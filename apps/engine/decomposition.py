"""Whose failures they were: divides a service's failed requests among their causes, bin by bin."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from apps.engine.edges.dependencies import CountedFactor
from apps.engine.rounding import duration, plain
from apps.engine.series import ObservedCounts
from apps.engine.sorted_quantiles import quantiles_of
from apps.engine.types import Floats

MAX_DEPENDENCIES = 4
"""Dependencies that are causes of their own; the others together are one cause."""
INCIDENT_RATIO = 5.0
"""A bin belongs to an incident when its own failures are this many times the everyday level …"""
INCIDENT_SIGMA = 6.0
"""… and this many standard deviations of counting above it."""
EVERYDAY_QUANTILE = 0.9
WORSE = 10.0
_DEPENDENCY = "dependency:"
_ROOM_KEPT = 0.98
_ROUNDING = 1e-9
"""A difference below this share of the failures is rounding."""
_STEPS = 40
"""Shares are whole multiples of a step: the worst bin's failures are at most two to this power of steps. So the shares
add up to the failed requests exactly, and no forecast depends on the last digit of a hardness.
"""

type CauseKind = Literal["own", "incidents", "dependency", "other_dependencies"]


@dataclass(frozen=True, slots=True)
class Cause:
    """One cause of failures. ``availability`` is the dependency's, where the cause is one.

    ``has_room`` says whether the cause could fail ``WORSE`` times as often in the bins where it fails: an outage that
    takes every request cannot.
    """

    key: str
    label: str
    kind: CauseKind
    availability: float | None = None
    has_room: bool = True


@dataclass(frozen=True, slots=True)
class Decomposition:
    """``bad`` has shape ``(bins, causes)``; each row adds up to the failed requests of its bin, to the last bit."""

    causes: tuple[Cause, ...]
    bad: Floats


def decompose(counts: ObservedCounts, factors: Sequence[CountedFactor]) -> Decomposition:
    """Divide the failed requests of each bin among the causes.

    A dependency with measured hardness takes ``h · x_t`` of the bin's failures, where ``x_t`` is the number of requests
    that met its failure. A dependency with only a known average takes the same share of the rest in every bin, as large
    as its effect. What remains is the service's own: an everyday level and incidents. Dependencies that were not
    watched together with the service (such as a published SLA) take no share, because none of their failures were seen.
    """
    own, takers, shares = _shared_out(counts, factors)
    return _gather(counts, own, list(zip(takers, shares, strict=True)))


def dependency_share(counts: ObservedCounts, factors: Sequence[CountedFactor]) -> float:
    """Return the share of failures that :func:`decompose` attributes to dependencies."""
    own, _, shares = _shared_out(counts, factors)
    theirs = sum(shares.sum(axis=1).tolist())
    failures = float(own.sum()) + theirs
    return theirs / failures if failures > 0 else 0.0


def scaled_failures(parts: Decomposition, total: Floats, scales: Floats) -> Floats:
    """Return each bin's failures with every cause scaled: ``(n, causes)`` → ``(n, bins)``, see :func:`held_within`.

    Causes are added up one after the other, so that a row does not depend on the rows computed with it.
    """
    scales = np.asarray(scales, dtype=np.float64)
    bad = np.zeros((scales.shape[0], total.size))
    for at in range(len(parts.causes)):
        bad += scales[:, at : at + 1] * parts.bad[:, at]
    for row in np.flatnonzero((bad > total).any(axis=1)):
        bad[row] = held_within(bad[row], total)
    return bad


def held_within(bad: Floats, total: Floats) -> Floats:
    """Cap failures at the requests of their bin; move the excess to other bins that fail, else to any bin with room."""
    held: Floats = np.minimum(bad, total)
    excess = float(bad.sum() - held.sum())
    if excess <= _ROUNDING * float(bad.sum()):
        return held
    room = total - held
    for is_anywhere in (False, True):
        weights = room if is_anywhere else held * room
        most = float(weights.sum())
        if most <= 0:
            break
        added = np.minimum(room, weights * (excess / most))
        held, room = held + added, room - added
        excess -= float(added.sum())
        if excess <= _ROUNDING * float(held.sum()):
            break
    return held


def _shared_out(
    counts: ObservedCounts, factors: Sequence[CountedFactor]
) -> tuple[Floats, list[CountedFactor], Floats]:
    """Return the service's own failures in each bin, the causes that take others, and their shares, ``(takers,
    bins)``.
    """
    total, bad = counts.dense_total, counts.dense_bad
    measured = [each for each in factors if _is_measured(each)]
    levels = [
        each
        for each in factors
        if not _is_measured(each) and all(member.is_concurrent for member in each.members)
    ]
    shares = np.zeros((len(measured) + len(levels), bad.size))
    left = bad
    if measured:
        claims = shares[: len(measured)]
        for claim, counted in zip(claims, measured, strict=True):
            member = counted.members[0]
            np.multiply(np.asarray(member.failed_calls), member.hardness or 0.0, out=claim)
        claimed = claims.sum(axis=0)
        scale = np.minimum(1.0, np.divide(bad, claimed, out=np.ones_like(bad), where=claimed > 0))
        claims *= scale
        left = np.maximum(0.0, bad - claimed * scale)
    expected = [each.factor.loss * float(total.sum()) for each in levels]
    remaining = max(float(left.sum()), sum(expected))
    if remaining > 0:
        for share, failures in zip(shares[len(measured) :], expected, strict=True):
            np.multiply(left, failures / remaining, out=share)
    shares = _in_steps(shares, bad)
    own = np.maximum(0.0, bad - shares.sum(axis=0))
    return own, [*measured, *levels], shares


def _in_steps(failures: Floats, bad: Floats) -> Floats:
    """Round down to whole steps; ``bad`` is all failures of each bin, of whatever cause."""
    step = 2.0 ** (math.frexp(float(bad.max(initial=0.0)))[1] - _STEPS)
    result: Floats = np.floor(failures / step) * step
    return result


def _is_measured(counted: CountedFactor) -> bool:
    first = counted.members[0]
    return (
        len(counted.members) == 1 and first.hardness_source == "observed" and first.failed_calls is not None
    )


def _gather(counts: ObservedCounts, own: Floats, shares: list[tuple[CountedFactor, Floats]]) -> Decomposition:
    total = counts.dense_total
    everyday = _everyday(total, own, counts.dense_bad)
    causes = [Cause("own", "Own reliability", "own", has_room=_has_room(everyday, total))]
    columns = [everyday]
    incidents = own - everyday
    if incidents.any():
        lasted = duration(int(np.count_nonzero(incidents)) * counts.step_seconds)
        causes.append(Cause("incidents", f"Incidents ({lasted} in all)", "incidents"))
        columns.append(incidents)
    shares = [(counted, share) for counted, share in shares if share.any()]
    shares.sort(key=lambda each: (-float(each[1].sum()), each[0].factor.name))
    for counted, share in shares[:MAX_DEPENDENCIES]:
        factor = counted.factor
        causes.append(
            Cause(
                f"{_DEPENDENCY}{factor.name}",
                _label(counted),
                "dependency",
                availability=1 - factor.unavailability,
                has_room=all(
                    member.failed_calls is None
                    or _has_room(member.failed_calls, member.call_probability * total)
                    for member in counted.members
                ),
            )
        )
        columns.append(share)
    if len(shares) > MAX_DEPENDENCIES:
        others = shares[MAX_DEPENDENCIES:]
        causes.append(
            Cause(
                "other_dependencies",
                f"{len(others)} other {'dependency' if len(others) == 1 else 'dependencies'}",
                "other_dependencies",
            )
        )
        columns.append(np.sum([share for _, share in others], axis=0))
    return Decomposition(tuple(causes), np.stack(columns, axis=1))


def _everyday(total: Floats, own: Floats, bad: Floats) -> Floats:
    """Return the own failures without incidents: bins of an incident get the usual rate."""
    busy = total > 0
    if not busy.any():
        return own
    ratios = own[busy] / total[busy]
    usual = ratios <= quantiles_of(ratios, (EVERYDAY_QUANTILE,))[0]
    requests = float(total[busy][usual].sum())
    rate = float(own[busy][usual].sum()) / requests if requests > 0 else 0.0
    expected = rate * total
    limit = np.maximum(INCIDENT_RATIO * expected, expected + INCIDENT_SIGMA * np.sqrt(expected + 1.0))
    return np.where(own > limit, _in_steps(expected, bad), own)


def _has_room(bad: Floats, total: Floats) -> bool:
    return float(np.minimum(WORSE * bad, total).sum()) >= _ROOM_KEPT * WORSE * float(bad.sum())


def labels_of(factors: Sequence[CountedFactor]) -> dict[str, str]:
    """Return the labels of dependencies among the causes, by the cause's key."""
    return {f"{_DEPENDENCY}{each.factor.name}": _label(each) for each in factors}


def _label(counted: CountedFactor) -> str:
    factor = counted.factor
    label = factor.name
    if len(counted.members) > 1:
        label += " (redundant)"
    elif counted.is_shared:
        label += " (shared)"
    if factor.call_probability < 0.995:
        label += f", called {plain(factor.call_probability)}×"
    return label
