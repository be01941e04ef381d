"""Shared code of actions, tasks and subscribers: it requests new results."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from django.utils.text import slugify

from apps.core import instants
from apps.journeys.models import Journey, JourneyResult


def mark_outdated(journeys: Collection[object] | None = None, *, now: datetime | None = None) -> list[str]:
    """Note that the results of these journeys (or of all) are outdated. Return their ids as text."""
    now = now or instants.now()
    rows = Journey.objects.all() if journeys is None else Journey.objects.filter(pk__in=list(journeys))
    pks = list(rows.values_list("pk", flat=True))
    JourneyResult.objects.filter(journey__in=pks, requested_at__lt=now).update(requested_at=now)
    JourneyResult.objects.bulk_create(
        [JourneyResult(journey_id=pk, requested_at=now) for pk in pks], ignore_conflicts=True
    )
    return [str(pk) for pk in pks]


def refresh_results(journeys: Sequence[str], *, reason: str) -> None:
    """Compute these journeys now. For workers and commands, because it loads the engine."""
    from apps.journeys.making import compute

    compute.refresh(journeys, reason=reason)


def free_slug(name: str) -> str:
    """Return a slug, made from a name, that no journey has."""
    base = slugify(name)[:100] or "journey"
    taken = set(Journey.objects.filter(slug__startswith=base).values_list("slug", flat=True))
    slug, number = base, 2
    while slug in taken or slug == "new":
        slug, number = f"{base}-{number}", number + 1
    return slug
