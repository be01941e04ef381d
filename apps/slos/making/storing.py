"""Storing what the engine found: three rows for each service replace the ones before, and its edges are stored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection
from django.db.models import Max, Q

from apps.catalog.models import Service
from apps.core import instants
from apps.engine.document import DependencyPart, RecommendationDocument, TierName
from apps.slos.documents.assembled import SLI_TYPES, part, shared_part
from apps.slos.models import EdgeEstimate, Recommendation, SliType

LIFETIME = timedelta(hours=24)
KEPT_UNDECIDED = timedelta(days=30)
"""How long a superseded or expired recommendation is kept that has no decision and no SLO."""

_COPY_EDGES = """
COPY slos_edgeestimate (source_id, target_id, call_probability, call_probability_source, hardness, hardness_source,
    availability, availability_source, has_fallback, behaves_hard, as_of) FROM STDIN
"""


@dataclass(frozen=True, slots=True)
class Stored:
    """What was stored: primary keys of services, and how often each availability verdict occurred."""

    services: list[int]
    verdicts: dict[str, int]
    as_of: datetime | None


def store(
    documents: Sequence[RecommendationDocument], *, computed_from: datetime, now: datetime | None = None
) -> Stored:
    """Store the engine's documents as the current recommendations, inside the caller's transaction.

    ``computed_from`` is the database's time just before anything was read for them. Services are locked in order, so
    that two computations of one service follow each other. Left out are services that the catalog does not (or no
    longer) have, and those whose current recommendations were computed from later data.
    """
    now = now or instants.now()
    wanted = {document["service_id"]: document for document in documents}
    services = list(
        Service.objects.select_for_update(of=("self",), no_key=True)
        .filter(service_id__in=wanted)
        .order_by("pk")
    )
    # An instant ahead of the clock is from before the clock was set back, and says nothing.
    newer = set(
        Recommendation.objects.filter(
            service__in=services,
            status=Recommendation.Status.CURRENT,
            computed_from__gt=computed_from,
            computed_from__lte=now,
        ).values_list("service_id", flat=True)
    )
    services = [service for service in services if service.pk not in newer]
    pks = [service.pk for service in services]
    Recommendation.objects.filter(service__in=pks, status=Recommendation.Status.CURRENT).update(
        status=Recommendation.Status.SUPERSEDED
    )
    rows = [
        _row(service, wanted[service.service_id], sli_type, computed_from, now)
        for service in services
        for sli_type in SLI_TYPES
    ]
    Recommendation.objects.bulk_create(rows)
    _store_edges(services, wanted)
    verdicts = Counter(row.verdict for row in rows if row.sli_type == SliType.AVAILABILITY)
    return Stored(pks, dict(sorted(verdicts.items())), max((row.as_of for row in rows), default=None))


def _row(
    service: Service, document: RecommendationDocument, sli_type: str, computed_from: datetime, now: datetime
) -> Recommendation:
    found = part(document, sli_type)

    def number(tier: TierName) -> float | None:
        return float(found["tiers"][tier]["target"]) if found["tiers"] else None

    return Recommendation(
        service=service,
        sli_type=sli_type,
        status=Recommendation.Status.CURRENT,
        verdict=found["verdict"],
        conservative=number("conservative"),
        balanced=number("balanced"),
        aggressive=number("aggressive"),
        composite=document["availability"]["composite"]["point"]
        if sli_type == SliType.AVAILABILITY
        else None,
        confidence=float(document["confidence"]),
        document=found,
        shared=shared_part(document, sli_type),
        as_of=datetime.fromisoformat(document["as_of"]),
        window_days=document["window_days"],
        seed=document["seed"],
        generated_at=now,
        computed_from=computed_from,
        expires_at=now + LIFETIME,
    )


def _store_edges(services: Sequence[Service], documents: Mapping[str, RecommendationDocument]) -> None:
    edges = {
        service.pk: documents[service.service_id]["availability"]["composite"]["dependencies"]
        for service in services
    }
    names_of = {service.pk: service.service_id for service in services}
    names = {edge["target_id"] for found in edges.values() for edge in found}
    targets = dict(Service.objects.filter(service_id__in=names).values_list("service_id", "pk"))
    EdgeEstimate.objects.filter(source__in=edges).delete()
    with connection.cursor() as cursor, cursor.copy(_COPY_EDGES) as copy:
        for source, found in edges.items():
            as_of = datetime.fromisoformat(documents[names_of[source]]["as_of"])
            for edge in found:
                target = targets.get(edge["target_id"])
                if target is not None:
                    copy.write_row((source, target, *_edge(edge), as_of))


def _edge(edge: DependencyPart) -> Sequence[object]:
    return (
        edge["call_probability"],
        edge["call_probability_source"],
        # An asynchronous edge has no hardness: its failure does not fail the caller.
        edge["hardness"] or 0.0,
        edge["hardness_source"] or "asynchronous",
        edge["availability"],
        edge["availability_source"],
        edge["has_fallback"],
        edge["behaves_hard"],
    )


def mark_outdated(
    services: Sequence[int] | None, *, changed_at: datetime | None = None, now: datetime | None = None
) -> int:
    """Let the current recommendations of these services (or of all) expire now, so that they are computed again.

    With ``changed_at``, recommendations computed from what was there since then stay, so that a repeat costs nothing.
    """
    now = now or instants.now()
    rows = Recommendation.objects.filter(status=Recommendation.Status.CURRENT, expires_at__gt=now)
    if changed_at is not None:
        rows = rows.filter(Q(computed_from__isnull=True) | Q(computed_from__lt=changed_at))
    if services is not None:
        rows = rows.filter(service__in=services)
    return rows.update(expires_at=now)


def expire(*, now: datetime | None = None) -> int:
    """Set the status ``expired`` on what expired more than a day ago; until then it is stale."""
    now = now or instants.now()
    return Recommendation.objects.filter(
        status=Recommendation.Status.CURRENT, expires_at__lte=now - LIFETIME
    ).update(status=Recommendation.Status.EXPIRED)


def prune(*, now: datetime | None = None) -> int:
    """Delete old recommendations without a decision, except the newest of each kind. Return how many."""
    now = now or instants.now()
    newest = (
        Recommendation.objects.values("service", "sli_type")
        .annotate(newest=Max("generated_at"))
        .values("newest")
    )
    old = Recommendation.objects.filter(
        status__in=[Recommendation.Status.SUPERSEDED, Recommendation.Status.EXPIRED],
        generated_at__lt=now - KEPT_UNDECIDED,
        decided_at__isnull=True,
        activeslo__isnull=True,
    ).exclude(generated_at__in=newest)
    return old.delete()[0]
