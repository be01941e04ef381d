"""What was decided on a service, in words, newest first; linked for those who may read the audit trail."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.urls import reverse

from apps.core.sentences import mark, sentence
from apps.slos.queries import ServicePage

SHOWN = 12


@dataclass(frozen=True, slots=True)
class HistoryItem:
    """One line of ``components/timeline.html``."""

    text: str
    at: datetime
    detail: str
    level: str
    href: str


def history(page: ServicePage, *, may_see_audit: bool) -> Sequence[HistoryItem]:
    """Return the newest decisions as lines of a timeline."""
    return [
        HistoryItem(
            text=f"{sentence(entry)} by {entry.actor_name}",
            at=entry.created_at,
            detail=f"“{entry.rationale}”" if entry.rationale else "",
            level=mark(entry),
            href=reverse("audit-entry", args=[entry.pk]) if may_see_audit else "",
        )
        for entry in page.decisions[:SHOWN]
    ]
