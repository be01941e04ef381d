"""The same past with several causes of failures changed at once: what a change to the architecture would have done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from apps.engine.decomposition import held_within
from apps.engine.explanation.what_if import KnownPast
from apps.engine.types import CountSeries, ServiceInput


def with_changed_causes(
    service: ServiceInput,
    *,
    as_of: int,
    scales: Mapping[str, float],
    own_scale: float = 1.0,
    added: float = 0.0,
) -> tuple[ServiceInput, tuple[str, ...]]:
    """Return the past with several causes changed at once, and the dependencies that took no share in it.

    ``scales`` has a factor for the failures of each dependency, by its id or, for a redundancy group, by the factor's
    name (ids joined by `` or ``). ``own_scale`` is the factor for the service's own failures, incidents included.
    ``added`` is a share of requests that fail in addition, spread evenly. A dependency that took no share of the
    failures cannot be scaled: the result names it. Edges and targets keep their series, so only the counts show the
    change. Raises ``ValueError`` without counts.
    """
    past = KnownPast.of(service, as_of)
    parts, counts = past.parts, past.counts
    losses = {each.factor.name: each.factor.loss for each in past.factors}
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
    bad[counts.present] = held_within(
        np.einsum("tc,c->t", parts.bad, np.array(factors)) + added * total, total
    )
    changed = CountSeries(counts.start, counts.step_seconds, counts.total, bad)
    return replace(service, counts=changed, history=None), unseen
