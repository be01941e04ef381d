"""What a service's page says while a worker makes the next recommendation, and how long it looks for it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlencode

from django.urls import reverse

from apps.core import instants
from apps.slos.queries import ServicePage
from apps.ui.format import duration

RENEWED_WITHIN = timedelta(minutes=2)
"""How long after a decision or a request the page looks for the next recommendation by itself."""
ANNOUNCED_WITHIN = timedelta(hours=1)
"""How long a request that nothing came of is still mentioned."""
ASKED = "slos.regenerate"


@dataclass(frozen=True, slots=True)
class Renewal:
    """A recommendation that is on its way, or that should have been here by now."""

    words: str
    key: str
    """What the page shows now: while that is still so, looking again brings nothing."""
    look_url: str
    """Where the page looks again; empty once it no longer does."""

    @property
    def is_awaited(self) -> bool:
        return bool(self.look_url)


def renewal(page: ServicePage, now: datetime | None = None) -> Renewal | None:
    """Return what is awaited for this service; ``None`` where its numbers are the newest that anybody asked for."""
    now = now or instants.now()
    if page.is_being_counted:
        return _awaited(
            page, "The SLO has just changed. A worker counts its budget, which appears here in a moment."
        )
    document = page.recommendation
    made = datetime.fromisoformat(document["generated_at"]) if document else None
    asked = next((one.created_at for one in page.decisions if one.action == ASKED), None)
    if asked is not None and (made is None or made < asked) and now - asked < ANNOUNCED_WITHIN:
        if now - asked < RENEWED_WITHIN:
            until = "; until then the numbers are those of before" if document else ""
            return _awaited(
                page, f"A worker makes new recommendations. They appear here by themselves{until}."
            )
        return Renewal(
            f"New recommendations were asked for {duration((now - asked).total_seconds())} ago and are not here yet: "
            "the workers are busy, or none is running. The page no longer looks by itself.",
            _key(page, "late"),
            "",
        )
    decided = next((one.created_at for one in page.decisions if one.action != ASKED), None)
    if document and document["is_stale"] and decided is not None and now - decided < RENEWED_WITHIN:
        return _awaited(
            page,
            "The decision is taken. A worker makes the next recommendation; it appears here in a moment.",
        )
    return None


def _awaited(page: ServicePage, words: str) -> Renewal:
    key = _key(page, "awaited")
    address = reverse("service", args=[page.service.service_id])
    return Renewal(words, key, f"{address}?{urlencode({'awaiting': key})}")


def _key(page: ServicePage, state: str) -> str:
    """What a page is made of as far as waiting goes: the recommendations shown and the active SLOs."""
    document = page.recommendation
    made = document["generated_at"] if document else "none"
    versions = ",".join(f"{sli_type}{version}" for sli_type, version in sorted(page.versions.items()))
    return f"{state} {made} {versions}{' counting' if page.is_being_counted else ''}"
