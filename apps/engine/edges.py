"""How often a request uses a dependency, and how often that dependency's failure becomes the request's.

``q`` (call probability) and ``h`` (hardness) are read from the data where the data can tell, taken as
declared where they are declared, and are documented priors otherwise; every estimate names its source.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from apps.engine.counting import rate_upper
from apps.engine.redundancy import retried_unavailability
from apps.engine.series import ObservedCounts, align, observe
from apps.engine.types import Criticality, DependencyInput, Floats

CALL_PROBABILITY_PRIOR: Mapping[Criticality, float] = {"hard": 1.0, "degraded": 0.7, "soft": 0.5}
HARDNESS_PRIOR: Mapping[Criticality, float] = {"hard": 0.9, "degraded": 0.3, "soft": 0.1}
HARDNESS_PRIOR_SPREAD = 0.35
OBSERVED_SPREAD = 0.5 * HARDNESS_PRIOR_SPREAD
"""Below this standard deviation a hardness counts as observed: the data weigh at least three times the
prior.
"""
MIN_FAILURES = 3.0
MIN_BINS = 8
CLUSTER_BINS = 24
EXTERNAL_ALLOWANCE = 1.1
"""A published SLA is read with 10 % more unavailability."""
_INTERVAL_Z = 1.6448536


@dataclass(frozen=True, slots=True)
class EdgeEstimate:
    """One dependency with all that was found out about it; ``None`` where there is nothing to go by.

    ``failed_calls`` has one entry per bin of the service with data: requests that met a failure of this
    dependency. ``is_concurrent`` is true when its availability was observed together with the service's.
    """

    dependency: DependencyInput
    call_probability: float
    call_probability_source: str
    hardness: float | None
    hardness_source: str | None
    hardness_interval: tuple[float, float] | None
    availability: float | None
    availability_source: str
    failed_calls: Floats | None
    is_concurrent: bool

    @property
    def is_counted(self) -> bool:
        """Whether it takes part in the composite: synchronous, and with a known availability."""
        return self.hardness is not None and self.availability is not None

    @property
    def effective_unavailability(self) -> float:
        """Unavailability after retries; measured hardness already holds what retries save."""
        if self.availability is None:
            return 0.0
        unavailability = 1 - self.availability
        if self.hardness_source == "observed":
            return unavailability
        return retried_unavailability(unavailability, self.dependency.retries)


def published_availability(sla: float) -> float:
    """What is expected of a provider of whom only the published SLA is known."""
    return max(0.0, 1 - EXTERNAL_ALLOWANCE * (1 - sla))


def estimate_edges(
    own: ObservedCounts | None, dependencies: Sequence[DependencyInput], as_of: int
) -> list[EdgeEstimate]:
    """Estimate every dependency, sorted by target id, so that the answer does not depend on the order
    given.
    """
    ordered = sorted(dependencies, key=lambda each: (each.target_id, each.mode, each.criticality))
    estimates = [_first_estimate(own, dependency, as_of) for dependency in ordered]
    if own is not None and own.requests > 0:
        estimates = _measure_hardness(own, estimates)
        estimates = _bound_by_survival(own, estimates)
    return estimates


def _first_estimate(own: ObservedCounts | None, dependency: DependencyInput, as_of: int) -> EdgeEstimate:
    edge = observe(dependency.edge, as_of)
    target = observe(dependency.target, as_of)
    probability, probability_source = _call_probability(own, dependency, edge, target)
    availability, availability_source = _availability(dependency, edge, target)
    failed_calls = None
    if own is not None and dependency.mode == "sync" and availability_source in ("edge", "target"):
        failed_calls = _failed_calls(
            own, edge if availability_source == "edge" else target, probability, edge
        )
    hard = HARDNESS_PRIOR[dependency.criticality]
    is_sync = dependency.mode == "sync"
    spread = _INTERVAL_Z * HARDNESS_PRIOR_SPREAD
    return EdgeEstimate(
        dependency=dependency,
        call_probability=probability,
        call_probability_source=probability_source,
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
) -> tuple[float | None, str]:
    if edge is not None and edge.availability is not None:
        return edge.availability, "edge"
    if target is not None and target.availability is not None:
        return target.availability, "target"
    if dependency.published_sla is not None:
        return published_availability(dependency.published_sla), "published_sla"
    return None, "unknown"


def _call_probability(
    own: ObservedCounts | None,
    dependency: DependencyInput,
    edge: ObservedCounts | None,
    target: ObservedCounts | None,
) -> tuple[float, str]:
    """``q``: observed calls over requests, else declared, else a prior that the target's traffic bounds.

    More than one call per request makes q = 1: the request uses the dependency, and what several calls do to
    it is part of its hardness. Nobody calls a target more often than the target is called, which bounds a
    prior.
    """
    requests = own.requests if own is not None else 0.0
    if own is not None and requests > 0 and edge is not None and edge.requests > 0:
        together = align(edge, own)
        if together is not None:
            both = own.present & np.isfinite(together[0])
            shared_requests = float(own.total[own.present].sum())
            return min(1.0, float(together[0][both].sum()) / shared_requests), "observed"
        return min(1.0, edge.requests / edge.span_days / (requests / own.span_days)), "observed"
    if dependency.calls_per_request is not None:
        return min(1.0, max(0.0, dependency.calls_per_request)), "declared"
    prior = CALL_PROBABILITY_PRIOR[dependency.criticality]
    if own is not None and requests > 0 and target is not None and target.requests > 0:
        bound = target.requests / target.span_days / (requests / own.span_days)
        if bound < prior:
            return bound, "bounded_by_target_traffic"
    return prior, "prior"


def _failed_calls(
    own: ObservedCounts, source: ObservedCounts | None, probability: float, edge: ObservedCounts | None
) -> Floats | None:
    together = align(source, own)
    if together is None:
        return None
    total, bad = together[0][own.present], together[1][own.present]
    share = np.divide(bad, total, out=np.zeros_like(bad), where=total > 0)
    used = np.minimum(own.dense_total, total) if source is edge else probability * own.dense_total
    return np.where(np.isfinite(share) & np.isfinite(used), share * used, 0.0)


def _measure_hardness(own: ObservedCounts, estimates: list[EdgeEstimate]) -> list[EdgeEstimate]:
    """Event-weighted regression of the service's failures on its dependencies' failures, all at once.

    bad_t = a·total_t + Σ h_i·x_it with weights 1/total_t, where x_it are the requests that met a failure of
    i. The coefficient is P(fails | dependency fails) − P(fails | dependency works), the attributable part.
    Each h has its prior as a normal prior, which keeps dependencies that always fail together (aliases of
    one another) from being counted twice; the errors are inflated by the correlation of neighbouring bins.
    """
    total, bad = own.dense_total, own.dense_bad
    busy = total > 0
    chosen = [
        at
        for at, estimate in enumerate(estimates)
        if estimate.failed_calls is not None
        and not estimate.dependency.redundancy_group
        and _is_informative(estimate.failed_calls[busy], total[busy])
    ]
    if not chosen or np.count_nonzero(busy) < MIN_BINS:
        return estimates
    root = np.sqrt(total[busy])
    columns = [root]
    for at in chosen:
        failed = estimates[at].failed_calls
        assert failed is not None
        columns.append(failed[busy] / root)
    design = np.stack(columns, axis=1)
    observed = bad[busy] / root
    prior = np.array([0.0, *(HARDNESS_PRIOR[estimates[at].dependency.criticality] for at in chosen)])
    values, deviations = _bounded_fit(design, observed, prior, float(bad.sum() / total.sum()))
    result = list(estimates)
    for number, at in enumerate(chosen, start=1):
        value, deviation = float(values[number]), float(deviations[number])
        interval = (max(0.0, value - _INTERVAL_Z * deviation), min(1.0, value + _INTERVAL_Z * deviation))
        source = "observed" if deviation <= OBSERVED_SPREAD else "prior"
        result[at] = replace(result[at], hardness=value, hardness_interval=interval, hardness_source=source)
    return result


def _is_informative(failed: Floats, total: Floats) -> bool:
    """Failures must be there and must come and go: a dependency that always fails alike tells nothing."""
    if float(failed.sum()) < MIN_FAILURES:
        return False
    share = failed / total
    mean = float(failed.sum() / total.sum())
    variance = float((total * (share - mean) ** 2).sum() / total.sum())
    return variance > 1e-6 * mean**2


def _bounded_fit(design: Floats, observed: Floats, prior: Floats, rate: float) -> tuple[Floats, Floats]:
    """Posterior mode within 0..1 and standard deviations; the first column is the intercept and has no
    prior.
    """
    gram = np.einsum("ti,tj->ij", design, design)
    moment = np.einsum("ti,t->i", design, observed)
    loose = np.linalg.lstsq(gram, moment, rcond=None)[0]
    residual = observed - np.einsum("ti,i->t", design, loose)
    freedom = max(1, observed.size - design.shape[1])
    variance = max(float((residual**2).sum()) / freedom, rate, 1e-12) * _design_effect(residual)
    precision = np.array([0.0] + [1 / HARDNESS_PRIOR_SPREAD**2] * (prior.size - 1))
    information = gram / variance + np.diag(precision)
    target = moment / variance + precision * prior
    upper = np.array([np.inf] + [1.0] * (prior.size - 1))
    values = np.zeros(prior.size)
    free = np.ones(prior.size, dtype=bool)
    for _ in range(prior.size + 1):
        if not free.any():
            break
        fixed = ~free
        right = target[free] - information[np.ix_(free, fixed)] @ values[fixed]
        values[free] = np.linalg.solve(information[np.ix_(free, free)], right)
        out = free & ((values < 0) | (values > upper))
        if not out.any():
            break
        values = np.clip(values, 0.0, upper)
        free &= ~out
    deviations = np.sqrt(np.maximum(np.diag(np.linalg.inv(information)), 0.0))
    return values, deviations


def _design_effect(residual: Floats) -> float:
    """How many times neighbouring bins' errors add up to more than independent ones would."""
    clusters = residual.size // CLUSTER_BINS
    spread = float((residual**2).mean())
    if clusters < 4 or spread <= 0:
        return 1.0
    sums = residual[: clusters * CLUSTER_BINS].reshape(clusters, CLUSTER_BINS).sum(axis=1)
    return float(np.clip((sums**2).mean() / (CLUSTER_BINS * spread), 1.0, CLUSTER_BINS))


def _bound_by_survival(own: ObservedCounts, estimates: list[EdgeEstimate]) -> list[EdgeEstimate]:
    """Dependencies cannot have failed more requests than failed while both were watched.

    What measured ones leave of the service's failures (at its upper confidence limit) is all that assumed
    hardnesses may explain; they are scaled down together where they would explain more. Stand-ins are left
    out: they already count for less than each of them alone.
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
                source = "observed" if observed else "bounded_by_survival"
                result[at] = replace(
                    result[at], hardness=scaled, hardness_interval=(low, high), hardness_source=source
                )
            claimed = room
        room -= claimed
    return result
