"""The same past with one cause of failures scaled: what a counterfactual says, as input to a whole new run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from apps.engine.decomposition import Decomposition, decompose
from apps.engine.dependencies import ServiceComposite, service_composite
from apps.engine.edges import estimate_edges
from apps.engine.series import ObservedCounts, observe
from apps.engine.types import CountSeries, DependencyInput, Floats, ServiceInput


def with_scaled_cause(service: ServiceInput, *, as_of: int, cause: str, scale: float) -> ServiceInput:
    """Scale the failures of ``cause`` (a feature of the attribution, or ``all``) by ``scale``.

    A dependency's own failures shrink or grow with it; where a bin would have more failures than requests the
    rest fails in other bins, so that the total is what was said. Reads ``counts`` alone, not the daily ``history``,
    which is dropped with the graph's figure: both would tell of the past as it was. Raises ``ValueError`` without
    counts or for a cause that the service does not have.
    """
    parts, counts, _ = _causes(service, as_of)
    scales = np.array([scale if cause in (each.key, "all") else 1.0 for each in parts.causes])
    if not (scales != 1.0).any() and scale != 1.0:
        raise ValueError(f"{service.service_id} has no cause {cause}")
    bad = counts.bad.copy()
    bad[counts.present] = _within(np.einsum("tc,c->t", parts.bad, scales), counts.dense_total)
    changed = CountSeries(counts.start, counts.step_seconds, counts.total, bad)
    return replace(
        service,
        counts=changed,
        history=None,
        graph=None,
        dependencies=tuple(
            _scaled(each, scale) if cause in (f"dependency:{each.target_id}", "all") else each
            for each in service.dependencies
        ),
    )


def with_changed_causes(
    service: ServiceInput,
    *,
    as_of: int,
    scales: Mapping[str, float],
    own_scale: float = 1.0,
    added: float = 0.0,
) -> tuple[ServiceInput, tuple[str, ...]]:
    """The same past with several causes changed at once, and the dependencies that took no share in it.

    ``scales`` has a factor for the failures of each dependency, by its id or, for stand-ins, by the factor's name
    (ids joined by `` or ``); ``own_scale`` one for the service's own failures, incidents included; ``added`` is a
    share of requests that fail besides, spread evenly. A dependency that the past does not show to have failed the
    service cannot be scaled: it is named in the answer. Edges and targets keep their series, so that only the
    counts tell of the change. Raises ``ValueError`` without counts.
    """
    parts, counts, composite = _causes(service, as_of)
    losses = {each.factor.name: each.factor.loss for each in composite.factors}
    alone = {cause.key.removeprefix("dependency:") for cause in parts.causes if cause.kind == "dependency"}
    others = {name: loss for name, loss in losses.items() if name not in alone}
    together = sum(others.values())
    factors: list[float] = []
    has_others = False
    for cause in parts.causes:
        if cause.kind == "dependency":
            factors.append(scales.get(cause.key.removeprefix("dependency:"), 1.0))
        elif cause.kind == "other_dependencies":
            has_others = together > 0
            moved = sum(loss * (scales.get(name, 1.0) - 1.0) for name, loss in others.items())
            factors.append(max(0.0, 1.0 + (moved / together if together > 0 else 0.0)))
        else:
            factors.append(own_scale)
    unseen = tuple(
        sorted(
            name
            for name, scale in scales.items()
            if scale != 1.0 and name not in alone and not (has_others and name in others)
        )
    )
    bad = counts.bad.copy()
    total = counts.dense_total
    bad[counts.present] = _within(np.einsum("tc,c->t", parts.bad, np.array(factors)) + added * total, total)
    changed = CountSeries(counts.start, counts.step_seconds, counts.total, bad)
    return replace(service, counts=changed, history=None), unseen


def _causes(service: ServiceInput, as_of: int) -> tuple[Decomposition, ObservedCounts, ServiceComposite]:
    counts = observe(service.counts, as_of)
    if counts is None:
        raise ValueError(f"{service.service_id} has no counts")
    others = [each for each in service.dependencies if each.target_id != service.service_id]
    composite = service_composite(counts.availability, 1.0, estimate_edges(counts, others, as_of))
    return decompose(counts, composite.factors), counts, composite


def _scaled(dependency: DependencyInput, scale: float) -> DependencyInput:
    return replace(
        dependency,
        edge=_with_failures(dependency.edge, scale),
        target=_with_failures(dependency.target, scale),
    )


def _with_failures(series: CountSeries | None, scale: float) -> CountSeries | None:
    if series is None:
        return None
    known = np.isfinite(series.total) & np.isfinite(series.bad)
    bad = series.bad.copy()
    bad[known] = _within(series.bad[known] * scale, series.total[known])
    return replace(series, bad=bad)


def _within(bad: Floats, total: Floats) -> Floats:
    """No more failures than requests in a bin; what is too many fails elsewhere, where there is room."""
    held: Floats = np.minimum(bad, total)
    room = total - held
    excess = float((bad - held).sum())
    left = float(room.sum())
    return held if left <= 0 else held + room * min(1.0, excess / left)
