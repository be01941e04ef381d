"""Looks at the source for a person who waits: whether it answers, and how one service is read. Stores nothing."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.utils import timezone

from apps.telemetry import sources
from apps.telemetry.clients.base import Explanation
from apps.telemetry.clients.errors import SourceError
from apps.telemetry.services import last_complete_hour

#: How long a person waits for one question about the source.
LOOK_TIMEOUT_SECONDS = 10.0
#: And for all questions about one service.
LOOK_BUDGET_SECONDS = 20.0


def explain(
    service_id: str, *, hours: int = 24, end: datetime | None = None, patient: bool = False
) -> Explanation:
    """Show how one service is read: the resolved queries, what came back, what would be stored. Stores none.

    Serves the last good answers, with their age, while the source is down.

    Parameters:
        patient: take the configured time for each question instead of the few seconds that a page waits.

    Raises:
        NoSource: none is set up.
    """
    source = sources.prometheus_source(
        serve_stale=True,
        timeout_seconds=None if patient else LOOK_TIMEOUT_SECONDS,
        budget_seconds=None if patient else LOOK_BUDGET_SECONDS,
    )
    last = last_complete_hour(end or timezone.now()) if end is None else end
    try:
        finish = int(last.timestamp()) // 3600 * 3600
        return source.explain(service_id, finish - hours * 3600, finish, 3600)
    finally:
        source.close()


def source_check(*, patient: bool = False) -> dict[str, Any]:
    """Ask the source whether it answers. It does not raise, and waits a few seconds at most unless ``patient``."""
    if not sources.is_configured():
        return {
            "configured": False,
            "is_up": False,
            "detail": "PROMETHEUS_URL is not set, and nobody connected a Prometheus.",
            "version": "",
            "families": [],
        }
    try:
        timeout = None if patient else LOOK_TIMEOUT_SECONDS
        source = sources.prometheus_source(timeout_seconds=timeout, budget_seconds=timeout)
    except (SourceError, sources.NoSource, sources.SecretUnreadable) as error:
        return {"configured": True, "is_up": False, "detail": error.detail, "version": "", "families": []}
    try:
        status = source.check()
    finally:
        source.close()
    return {
        "configured": True,
        "is_up": status.is_up,
        "detail": status.detail,
        "version": status.version,
        "families": list(status.families),
    }
