"""Getting a service's recommendation: from the cache, from PostgreSQL, from a worker, and in the end the last
one there was.
"""

from __future__ import annotations

from datetime import datetime

from django.conf import settings
from django.utils import timezone

from apps.catalog.models import Service
from apps.core.errors import Unavailable
from apps.slos import computation
from apps.slos.documents import recommendation_cache
from apps.slos.documents.assembled import with_age
from apps.slos.documents.types import AgedDocument, Answer
from apps.slos.queries.recommendations import (
    Generation,
    current_generation,
    current_recommendations,
    last_recommendations,
)

RETRY_AFTER_SECONDS = 5


def retrieve(service: Service, *, asked_by: str, window_days: int | None = None) -> AgedDocument:
    """Return the recommendation document of a service; a worker makes a new one if none is fresh.

    When no worker answers within a few seconds, the last one stored comes back with ``is_stale``. Raises
    :class:`Unavailable` with ``Retry-After`` where there is not even that.
    """
    window = window_days or settings.WINDOW_DAYS
    now = timezone.now()
    generation = current_generation(service.pk)
    if window != settings.WINDOW_DAYS:
        return _other_window(service, window, generation, asked_by, now)
    if generation.is_fresh(now):
        document = current_recommendations(service, generation)
        if document is not None:
            return with_age(document, now, is_stale=False)
    answer = computation.request_computation(service.pk, window_days=window, store=True, asked_by=asked_by)
    return after_answer(service, answer)


def after_answer(service: Service, answer: Answer | None) -> AgedDocument:
    """Return what is stored once a worker has answered, or has not."""
    now = timezone.now()
    if answer is not None and answer["state"] == "stored":
        document = current_recommendations(service)
        if document is not None:
            return with_age(document, now, is_stale=False)
    last = last_recommendations(service)
    if last is not None:
        return with_age(last, now, is_stale=True)
    raise Unavailable(
        f"There is no recommendation for {service.service_id} yet, and no worker answered within "
        f"{computation.DEADLINE_SECONDS:g} s. Try again in {RETRY_AFTER_SECONDS} s.",
        headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
    )


def _other_window(
    service: Service, window: int, generation: Generation, asked_by: str, now: datetime
) -> AgedDocument:
    """A window that SLOs are not set for: computed to be looked at, kept in the cache alone."""
    found = recommendation_cache.read(service.pk, window, generation.key)
    if found is None:
        answer = computation.request_computation(
            service.pk, window_days=window, store=False, asked_by=asked_by
        )
        if answer is None or answer["state"] != "computed":
            raise Unavailable(
                f"No worker computed a window of {window} days within {computation.DEADLINE_SECONDS:g} s. "
                f"Try again in {RETRY_AFTER_SECONDS} s.",
                headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
            )
        found = answer["document"]
        if generation.expires_at is not None:
            seconds = (generation.expires_at - now).total_seconds()
            recommendation_cache.write(service.pk, window, generation.key, found, seconds)
    return with_age(found, now, is_stale=False)
