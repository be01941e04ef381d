"""The assembled document of a service in Redis, for a day.

A document is stored under the generation of what it was made of (which rows, which versions, which expiry),
which is read from PostgreSQL on every request: an outdated document is never shown, even where an
invalidation was lost with Redis. :func:`forget` only frees the memory sooner.
"""

from __future__ import annotations

from collections.abc import Sequence

from django.conf import settings
from django.core.cache import cache

from apps.slos.documents.types import ServiceDocument, as_service_document

LIFETIME_SECONDS = 24 * 3600


def _key(service_pk: int, window_days: int) -> str:
    return f"slos:recommendation:{service_pk}:{window_days}"


def read(service_pk: int, window_days: int, generation: str) -> ServiceDocument | None:
    """Return the document of this generation, or ``None``."""
    found = cache.get(_key(service_pk, window_days))
    if not isinstance(found, dict) or found.get("generation") != generation:
        return None
    return as_service_document(found["document"])


def write(
    service_pk: int, window_days: int, generation: str, document: ServiceDocument, seconds: float
) -> None:
    """Keep a document for so long, a day at most."""
    if seconds > 0:
        cache.set(
            _key(service_pk, window_days),
            {"generation": generation, "document": document},
            timeout=min(LIFETIME_SECONDS, max(1, int(seconds))),
        )


def forget(services: Sequence[int] | None) -> None:
    """Drop what is kept of these services; ``None`` (too many to name) leaves them to their age."""
    if services:
        cache.delete_many([_key(pk, settings.WINDOW_DAYS) for pk in services])
