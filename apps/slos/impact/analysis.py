"""What a proposed SLO does to the services upstream: how their availability changes, and whose SLO breaks.

r(u) is the chance that an upstream service fails *because* this one does, given that it does. Every walk up the graph
counts at once::

    r(self) = 1        r(u) = 1 − Π over edges u → v of (1 − q·h·r(v))

So one failure does not count twice for a service that is reached by two paths. A cycle is solved by iteration
(apps/slos/impact/influence.py explains why that ends). q and h are those of the newest recommendation of ``u``, else
declared calls, else the engine's documented priors. As in the composite, asynchronous edges and those with a fallback
carry nothing; retries that a measured hardness does not include reduce what is carried; and a redundancy group is one
factor, which fails where too few of its members are up (apps/slos/impact/stand_ins.py).

Availability: ``u`` starts from its composite of today, and changes by r(u) times the difference between what this
service delivers today and the proposed target. Latency: percentiles do not add, so there is no new figure. But where
this service may take longer than an upstream threshold, a share q·(1 − level) of the upstream requests does, and an SLO
that allows fewer is unlikely to hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from django.db import connection

from apps.catalog.models import Service
from apps.slos.formatting import PERCENTILE_SHARE, is_latency
from apps.slos.impact.influence import influence as solve
from apps.slos.impact.upstream import Upstream, as_array, walk
from apps.slos.models import ActiveSlo, Recommendation, ServiceStatus, SliType
from apps.ui.format import plural


class Effect(NamedTuple):
    """The effect on one upstream service. Availabilities are ratios 0..1, latencies milliseconds.

    ``before`` and ``after`` are what it delivers if this service keeps to its present and to the proposed SLO; ``None``
    where too little is known of it, and always for latencies. ``shortfall`` is the share of its requests by which it
    would miss its SLO.
    """

    service_id: str
    depth: int
    is_direct: bool
    influence: float
    """r(u): the chance that it fails when this service does. For a latency, the share of its requests that wait for
    this service.
    """
    before: float | None
    after: float | None
    target: float | None
    threshold_ms: float | None
    breaks: bool
    was_broken: bool
    shortfall: float | None


@dataclass(frozen=True, slots=True)
class Impact:
    """The result of an analysis; ``affected`` is ordered: broken SLOs first, then by influence."""

    service_id: str
    sli_type: str
    current: float | None
    """The number of the active SLO, else what is observed."""
    current_source: str
    proposed: float
    depth: int
    """How many calls far the analysis looked: the given depth, or the distance of the farthest service."""
    is_cut: bool
    affected: Sequence[Effect]

    @property
    def broken(self) -> int:
        return sum(1 for effect in self.affected if effect.breaks)

    @property
    def not_looked_at(self) -> str | None:
        """What was cut off, as a sentence."""
        if not self.is_cut:
            return None
        return (
            f"Looked {plural(self.depth, 'call')} far: more services depend on this one from farther away, and were "
            "left out."
        )


def analyse(service: Service, sli_type: str, proposed: float, depth: int | None = None) -> Impact:
    """Analyse what an SLO of ``proposed`` (a ratio, or milliseconds for a latency) does to every service upstream.

    ``depth`` limits the analysis to services within so many calls.
    """
    above = walk(service.pk, depth, for_latency=is_latency(sli_type))
    slo = ActiveSlo.objects.filter(service=service, sli_type=sli_type, ended_at__isnull=True).first()
    if sli_type == SliType.AVAILABILITY:
        observed = ServiceStatus.objects.filter(service=service).values_list("observed", flat=True).first()
        current = float(slo.target) if slo else observed
        effects = _availability_effects(above, observed, current, proposed)
    else:
        current = slo.threshold_ms if slo else _recommended(service, sli_type)
        effects = _latency_effects(
            above.depths, solve(service.pk, above.depths, above.edges), sli_type, current, proposed
        )
    effects.sort(key=lambda effect: (not effect.breaks, -effect.influence, effect.depth, effect.service_id))
    source = "slo" if slo else ("observed" if current is not None else "unknown")
    far = max(above.depths.values()) if depth is None else depth
    return Impact(service.service_id, sli_type, current, source, proposed, far, above.is_cut, effects)


def _recommended(service: Service, sli_type: str) -> float | None:
    newest = (
        Recommendation.objects.filter(service=service, sli_type=sli_type).order_by("-generated_at").first()
    )
    observed = newest.document.get("observed") if newest else None
    return None if observed is None else float(observed)


_FACTS = """
SELECT s.id, s.service_id, st.observed, r.composite, a.target, a.threshold_ms
FROM catalog_service s
LEFT JOIN slos_servicestatus st ON st.service_id = s.id
LEFT JOIN LATERAL (
    SELECT composite FROM slos_recommendation WHERE service_id = s.id AND sli_type = 'availability'
    ORDER BY generated_at DESC LIMIT 1
) r ON %s
LEFT JOIN slos_activeslo a ON a.service_id = s.id AND a.sli_type = %s AND a.ended_at IS NULL
WHERE s.id = ANY(%s::bigint[])
"""


def _facts(
    nodes: Sequence[int], sli_type: str
) -> list[tuple[int, str, float | None, float | None, float | None, float | None]]:
    with connection.cursor() as cursor:
        cursor.execute(_FACTS, [sli_type == SliType.AVAILABILITY, sli_type, as_array(nodes)])
        return [
            (pk, service_id, observed, composite, None if target is None else float(target), threshold)
            for pk, service_id, observed, composite, target, threshold in cursor.fetchall()
        ]


def _influence(above: Upstream, today: float | None, level: float) -> dict[int, float]:
    """Return r of every service, if this one goes from what it delivers today to ``level``."""
    edges, groups = above.at(1 - (level if today is None else today), 1 - level)
    return solve(above.start, above.depths, edges, groups, 0.0 if today is None else today - level)


def _availability_effects(
    above: Upstream, observed: float | None, current: float | None, proposed: float
) -> list[Effect]:
    today = observed if observed is not None else current
    influence = _influence(above, today, proposed)
    now = influence
    if current is not None and above.depends_on_level:
        now = _influence(above, today, current)
    depths = above.depths
    effects: list[Effect] = []
    for pk, service_id, seen, composite, target, _ in _facts(list(influence), SliType.AVAILABILITY):
        base = composite if composite is not None else seen
        share = influence[pk]
        before = after = shortfall = None
        if base is not None and today is not None:
            before = _moved(base, now[pk], today, current if current is not None else today)
            after = _moved(base, share, today, proposed)
        was_broken = target is not None and before is not None and before < target
        breaks = target is not None and after is not None and after < target and not was_broken
        if target is not None and after is not None and after < target:
            shortfall = target - after
        depth = depths[pk]
        effects.append(
            Effect(
                service_id,
                depth,
                depth == 1,
                share,
                before,
                after,
                target,
                None,
                breaks,
                was_broken,
                shortfall,
            )
        )
    return effects


def _moved(base: float, share: float, today: float, then: float) -> float:
    return min(1.0, max(0.0, base - share * (today - then)))


def _latency_effects(
    depths: dict[int, int], influence: dict[int, float], sli_type: str, current: float | None, proposed: float
) -> list[Effect]:
    slow_share = 1 - PERCENTILE_SHARE[sli_type]
    effects: list[Effect] = []
    for level in PERCENTILE_SHARE:
        for pk, service_id, _, _, target, threshold in _facts(list(influence), level):
            share = influence[pk]
            if threshold is None or target is None:
                if level == sli_type:
                    effects.append(
                        Effect(
                            service_id,
                            depths[pk],
                            depths[pk] == 1,
                            share,
                            None,
                            None,
                            None,
                            None,
                            False,
                            False,
                            None,
                        )
                    )
                continue
            allowed = 1 - PERCENTILE_SHARE[level]
            slow = share * slow_share
            exceeds = slow > allowed + 1e-12
            was_broken = exceeds and current is not None and current >= threshold
            breaks = exceeds and proposed >= threshold and not was_broken
            shortfall = slow - allowed if exceeds and proposed >= threshold else None
            effects.append(
                Effect(
                    service_id,
                    depths[pk],
                    depths[pk] == 1,
                    share,
                    None,
                    None,
                    target,
                    threshold,
                    breaks,
                    was_broken,
                    shortfall,
                )
            )
    return effects
