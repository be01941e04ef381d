"""Edges: how often a request uses a dependency, and how often the dependency's failure fails the request.

``q`` (call probability) and ``h`` (hardness) come from the data where these suffice, else from the declaration, else
from documented priors. Every estimate names its source.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from apps.engine.counting import rate_upper
from apps.engine.document import AvailabilitySource, CallProbabilitySource, Criticality, HardnessSource
from apps.engine.edges.call_probability import CALL_PROBABILITY_PRIOR, call_probability
from apps.engine.edges.hardness import MIN_BINS, PRIOR_SPREAD, Z90, Hardness, is_informative, measure
from apps.engine.graph.redundancy import retried_unavailability
from apps.engine.series import ObservedCounts, align, observe
from apps.engine.types import DependencyInput, Floats

HARDNESS_PRIOR: Mapping[Criticality, float] = {"hard": 0.9, "degraded": 0.3, "soft": 0.1}
FALLBACK_HARDNESS = 0.1
"""A soft dependency has a fallback if it was seen to fail and surely (95 %) fails a smaller share of requests than
this.
"""
BEHAVES_HARD = 0.5
"""A dependency that is not declared hard behaves hard if it surely fails a larger share of requests than this."""
EXTERNAL_ALLOWANCE = 1.1
"""A published SLA counts with 10 % more unavailability."""


@dataclass(frozen=True, slots=True)
class EdgeEstimate:
    """One dependency with all that was found out about it; ``None`` where nothing is known.

    ``failed_calls`` has one entry for each bin of the service with data: the requests that met a failure of this
    dependency. ``is_concurrent`` is true when its availability was observed together with the service's.
    """

    dependency: DependencyInput
    call_probability: float
    call_probability_source: CallProbabilitySource
    call_probability_interval: tuple[float, float] | None
    hardness: float | None
    hardness_source: HardnessSource | None
    hardness_interval: tuple[float, float] | None
    availability: float | None
    availability_source: AvailabilitySource
    failed_calls: Floats | None
    is_concurrent: bool

    @property
    def is_counted(self) -> bool:
        """Whether it is part of the composite: synchronous, of known availability, without a fallback."""
        return self.hardness is not None and self.availability is not None and not self.has_fallback

    @property
    def has_fallback(self) -> bool:
        """Whether it is a soft dependency that was seen to fail without failing requests; such a one no longer
        counts.
        """
        return (
            self.dependency.criticality == "soft"
            and self.hardness_source == "observed"
            and self.hardness_interval is not None
            and self.hardness_interval[1] <= FALLBACK_HARDNESS
        )

    @property
    def behaves_hard(self) -> bool:
        """Whether it is declared soft or degraded, but surely fails most requests that meet its failure."""
        return (
            self.dependency.criticality != "hard"
            and self.hardness_source == "observed"
            and self.hardness_interval is not None
            and self.hardness_interval[0] >= BEHAVES_HARD
        )

    @property
    def effective_unavailability(self) -> float:
        """Unavailability after retries; a measured hardness already includes what retries save."""
        if self.availability is None:
            return 0.0
        unavailability = 1 - self.availability
        if self.hardness_source == "observed":
            return unavailability
        return retried_unavailability(unavailability, self.dependency.retries)


__all__ = [
    "CALL_PROBABILITY_PRIOR",
    "HARDNESS_PRIOR",
    "EdgeEstimate",
    "estimate_edges",
    "first_estimate",
    "first_estimates",
    "published_availability",
    "watched_since",
    "with_hardness",
    "with_hardness_in_each",
]


def published_availability(sla: float) -> float:
    """Return the availability expected of a provider of whom only the published SLA is known."""
    return max(0.0, 1 - EXTERNAL_ALLOWANCE * (1 - sla))


def estimate_edges(
    own: ObservedCounts | None, dependencies: Sequence[DependencyInput], as_of: int
) -> list[EdgeEstimate]:
    """Estimate every dependency, sorted by target id, so that the order given does not matter."""
    return with_hardness(own, first_estimates(own, dependencies, as_of))


def first_estimates(
    own: ObservedCounts | None, dependencies: Sequence[DependencyInput], as_of: int
) -> tuple[EdgeEstimate, ...]:
    """Return the first estimate of every dependency, sorted by target id."""
    ordered = sorted(dependencies, key=lambda each: (each.target_id, each.mode, each.criticality))
    since = watched_since(ordered, as_of)
    return tuple(first_estimate(own, dependency, as_of, since=since) for dependency in ordered)


def watched_since(dependencies: Sequence[DependencyInput], as_of: int) -> int | None:
    """Return when calls of the service were first watched, over any edge; ``None`` where they never were.

    From then on an hour without calls over an edge means that it was not used; before, nobody looked.
    """
    found: int | None = None
    for each in dependencies:
        edge = each.edge
        # Most edges begin with a bin that has data, and one that begins no earlier than another cannot change the
        # result.
        if edge is not None and edge.total.size and (found is None or edge.start < found):
            is_known = np.isfinite(edge.total)
            start = edge.start + int(is_known.argmax()) * edge.step_seconds
            if is_known.any() and start < as_of and (found is None or start < found):
                found = start
    return found


def with_hardness(own: ObservedCounts | None, estimates: Sequence[EdgeEstimate]) -> list[EdgeEstimate]:
    """Estimate hardness where the data suffice; ``estimates`` are first ones, each from its edge alone."""
    if own is None:
        return list(estimates)
    (found,) = with_hardness_in_each([(own, estimates)])
    return found


def with_hardness_in_each(
    pasts: Sequence[tuple[ObservedCounts, Sequence[EdgeEstimate]]],
) -> list[list[EdgeEstimate]]:
    """Do :func:`with_hardness` for several pasts (at least one) of one service, all with the same requests."""
    if pasts[0][0].requests <= 0:
        return [list(estimates) for _, estimates in pasts]
    measured = _measure_hardness(pasts)
    return [_bound_by_survival(own, found) for (own, _), found in zip(pasts, measured, strict=True)]


def first_estimate(
    own: ObservedCounts | None, dependency: DependencyInput, as_of: int, *, since: int | None = None
) -> EdgeEstimate:
    """Estimate one edge without the others; the service's failures play no part.

    ``since`` is :func:`watched_since` of all the service's dependencies.
    """
    edge = observe(dependency.edge, as_of)
    target = edge if dependency.target is dependency.edge else observe(dependency.target, as_of)
    calls = call_probability(own, dependency, edge, target, since=since)
    probability = calls.value
    availability, availability_source = _availability(dependency, edge, target)
    failed_calls = None
    if own is not None and dependency.mode == "sync" and availability_source in ("edge", "target"):
        failed_calls = _failed_calls(
            own, edge if availability_source == "edge" else target, probability, edge
        )
        if availability_source == "edge" and failed_calls is not None and (since or 0) > own.start:
            _fill_before(since or 0, failed_calls, own, target, probability)
    hard = HARDNESS_PRIOR[dependency.criticality]
    is_sync = dependency.mode == "sync"
    spread = Z90 * PRIOR_SPREAD
    return EdgeEstimate(
        dependency=dependency,
        call_probability=probability,
        call_probability_source=calls.source,
        call_probability_interval=calls.interval,
        hardness=hard if is_sync else None,
        hardness_source="prior" if is_sync else None,
        hardness_interval=(max(0.0, hard - spread), min(1.0, hard + spread)) if is_sync else None,
        availability=availability,
        availability_source=availability_source,
        failed_calls=failed_calls,
        is_concurrent=failed_calls is not None,
    )


def _availability(
    dependency: DependencyInput, edge: ObservedCounts | None, target: ObservedCounts | None
) -> tuple[float | None, AvailabilitySource]:
    if edge is not None and edge.availability is not None:
        return edge.availability, "edge"
    if target is not None and target.availability is not None:
        return target.availability, "target"
    if dependency.published_sla is not None:
        return published_availability(dependency.published_sla), "published_sla"
    return None, "unknown"


def _failed_calls(
    own: ObservedCounts, source: ObservedCounts | None, probability: float, edge: ObservedCounts | None
) -> Floats | None:
    together = align(source, own)
    if together is None:
        return None
    total, bad = together if own.present.all() else (each[own.present] for each in together)
    share = np.divide(bad, total, out=np.zeros_like(bad), where=total > 0)
    used = np.minimum(own.dense_total, total) if source is edge else probability * own.dense_total
    failed = share * used
    return np.where(np.isfinite(failed), failed, 0.0)


def _fill_before(
    since: int, failed_calls: Floats, own: ObservedCounts, target: ObservedCounts | None, probability: float
) -> None:
    """Use the target's own failures in bins before calls were watched."""
    unwatched = own.starts[own.present] < since
    if unwatched.any():
        instead = _failed_calls(own, target, probability, None)
        if instead is not None:
            failed_calls[unwatched] = instead[unwatched]


def _measure_hardness(
    pasts: Sequence[tuple[ObservedCounts, Sequence[EdgeEstimate]]],
) -> list[list[EdgeEstimate]]:
    """Estimate hardness from the bins in which the service and its dependencies were watched together.

    Pasts in which the same edges are informative are measured in one go. Without an edge series the data show only q·h,
    so the doubt about q adds to the doubt about h; and q is at least the share of requests that the dependency's
    failure fails.
    """
    result = [list(estimates) for _, estimates in pasts]
    own = pasts[0][0]
    busy = own.dense_total > 0
    if np.count_nonzero(busy) < MIN_BINS:
        return result
    total = own.dense_total[busy]
    alike: dict[tuple[int, ...], list[tuple[int, Floats]]] = {}
    for number, estimates in enumerate(result):
        chosen, failed = _informative(estimates, busy, total)
        if chosen:
            alike.setdefault(chosen, []).append((number, failed))
    for chosen, members in alike.items():
        bad = np.stack([pasts[number][0].dense_bad[busy] for number, _ in members])
        calls = np.stack([failed for _, failed in members])
        priors = [HARDNESS_PRIOR[result[members[0][0]][at].dependency.criticality] for at in chosen]
        found = measure(total, bad, calls, priors, own.step_seconds)
        for (number, _), hardnesses in zip(members, found, strict=True):
            for at, hardness in zip(chosen, hardnesses, strict=True):
                result[number][at] = _with_hardness(result[number][at], hardness)
    return result


def _informative(
    estimates: Sequence[EdgeEstimate], busy: NDArray[np.bool_], total: Floats
) -> tuple[tuple[int, ...], Floats]:
    """Return the positions of the edges whose data show their hardness, and their failed calls, ``(edges, busy
    bins)``.
    """
    candidates = [
        (at, each.failed_calls)
        for at, each in enumerate(estimates)
        if each.failed_calls is not None and not each.dependency.redundancy_group
    ]
    if not candidates:
        return (), np.empty((0, total.size))
    failed = np.stack([calls for _, calls in candidates])
    if not busy.all():
        failed = failed[:, busy]
    informative = is_informative(failed, total)
    return tuple(at for (at, _), is_kept in zip(candidates, informative, strict=True) if is_kept), failed[
        informative
    ]


def _with_hardness(estimate: EdgeEstimate, found: Hardness) -> EdgeEstimate:
    low, high = found.low, found.high
    interval = estimate.call_probability_interval
    if estimate.availability_source == "target" and interval is not None and found.is_observed:
        q = estimate.call_probability
        least = max(0.0, low) * q
        if estimate.call_probability_source == "co_movement":
            relative = (interval[1] - interval[0]) / 2 / max(q, 1e-9)
            middle = (low + high) / 2
            below, above = (
                math.hypot(middle - low, middle * relative),
                math.hypot(high - middle, middle * relative),
            )
            low, high = middle - below, middle + above
        elif interval[1] > 0:
            low, high = low * q / interval[1], high * q / max(interval[0], least, 1e-9)
        interval = (min(1.0, max(interval[0], least)), max(interval[1], min(1.0, least)))
    return replace(
        estimate,
        call_probability_interval=interval,
        hardness=found.value,
        hardness_interval=(min(1.0, max(0.0, low)), min(1.0, max(0.0, high))),
        hardness_source="observed" if found.is_observed else "prior",
    )


def _bound_by_survival(own: ObservedCounts, estimates: list[EdgeEstimate]) -> list[EdgeEstimate]:
    """Scale hardnesses down so that dependencies fail no more requests than failed while both were watched.

    The upper confidence limit of the service's failures bounds the measured ones; what these leave bounds the assumed
    ones. All of a kind are scaled alike. Members of redundancy groups are left out: together they already count for
    less than each alone.
    """
    room = rate_upper(own.failures, own.requests)
    counted = [
        at
        for at, each in enumerate(estimates)
        if each.is_counted and each.is_concurrent and not each.dependency.redundancy_group
    ]
    result = list(estimates)
    for observed in (True, False):
        group = [at for at in counted if (result[at].hardness_source == "observed") is observed]
        losses = {
            at: result[at].call_probability
            * (result[at].hardness or 0.0)
            * result[at].effective_unavailability
            for at in group
        }
        claimed = sum(losses.values())
        if claimed > room:
            scale = room / claimed
            for at in (at for at in group if losses[at] > 0):
                scaled = (result[at].hardness or 0.0) * scale
                low = min(scaled, (result[at].hardness_interval or (0.0, 0.0))[0])
                high = max(scaled, (result[at].hardness_interval or (0.0, 1.0))[1])
                source: HardnessSource = "observed" if observed else "bounded_by_survival"
                result[at] = replace(
                    result[at], hardness=scaled, hardness_interval=(low, high), hardness_source=source
                )
            claimed = room
        room -= claimed
    return result
