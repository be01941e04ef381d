"""Where the buttons of a service's page lead."""

from __future__ import annotations

from django.conf import settings
from django.urls import reverse

from apps.slos.documents.types import StoredPart
from apps.slos.formatting import WRITTEN, is_latency, slo_number
from apps.slos.models import ActiveSlo
from apps.slos.queries import ServicePage
from apps.ui.format import ms_typed, percent_number
from apps.ui.links import action_url


def home(page: ServicePage) -> str:
    return reverse("service", args=[page.service.service_id])


def typed(sli_type: str, value: float, *, as_written: bool = False) -> str:
    """A number as the form takes it, a ratio in percent: as the page shows it, or to the last digit that is kept."""
    if is_latency(sli_type):
        return f"{value:.12g}" if as_written else ms_typed(value)
    shown = percent_number(value)
    return f"{value * 100:.7f}".rstrip("0").rstrip(".") if as_written or shown.startswith("<") else shown


def number_field(sli_type: str) -> str:
    return "threshold_ms" if is_latency(sli_type) else "target"


def regenerate_url(page: ServicePage) -> str:
    return action_url("slos.regenerate", service_id=page.service.service_id, next=home(page))


def set_url(page: ServicePage, sli_type: str) -> str:
    """The dialog that sets an SLO where there is none; the usual window and no number stand in it."""
    return action_url(
        "slos.set",
        service_id=page.service.service_id,
        sli_type=sli_type,
        expected_version=0,
        window_days=settings.WINDOW_DAYS,
        show=f"{number_field(sli_type)},window_days",
        next=home(page),
    )


def decision_urls(page: ServicePage, sli_type: str, part: StoredPart) -> dict[str, str]:
    """The addresses of ``accept`` (without its tier), ``modify`` and ``reject`` for one recommendation."""
    common = {
        "service_id": page.service.service_id,
        "sli_type": sli_type,
        "recommendation_id": part["id"] or "",
        "expected_version": page.versions.get(sli_type, 0),
        "next": home(page),
    }
    offered = part["tiers"]
    number = number_field(sli_type)
    share = {"show": number, number: typed(sli_type, offered["balanced"]["target"])} if offered else {}
    tiers: dict[str, str] = {tier: action_url("slos.accept", tier=tier, **common) for tier in offered or ()}
    return tiers | {
        "modify": action_url("slos.modify", **common, **share),
        "reject": action_url("slos.reject", **common),
    }


def slo_urls(page: ServicePage, slo: ActiveSlo) -> tuple[str, str]:
    """The addresses that edit and that retire an active SLO."""
    common = {
        "service_id": page.service.service_id,
        "sli_type": slo.sli_type,
        "expected_version": slo.version,
        "next": home(page),
    }
    number = number_field(slo.sli_type)
    held = {
        number: typed(slo.sli_type, slo_number(slo), as_written=slo.source in WRITTEN),
        "window_days": slo.window_days,
        "show": f"{number},window_days",
    }
    return action_url("slos.edit", **common, **held), action_url("slos.retire", **common)
