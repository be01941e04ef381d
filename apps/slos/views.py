"""Overview, services, one service, recommendations and budgets."""

from __future__ import annotations

from collections.abc import Iterator

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from apps.accounts.models import User
from apps.catalog.queries import get_service
from apps.core.csv import csv_response
from apps.slos import lists, queries
from apps.slos.presenting import present, who_may_decide
from apps.telemetry import services as telemetry

LEAST_BUDGETS = 10


def _is_fragment(request: HttpRequest) -> bool:
    return bool(getattr(request, "htmx", False))


@login_required
@never_cache
@require_safe
def overview(request: HttpRequest) -> HttpResponse:
    """What needs me now: decisions, spent budgets, cycles, and the worst of the services."""
    fleet = queries.overview(request.user)  # type: ignore[arg-type]
    if not fleet.services:
        # Whoever can set Ballast up begins with that; everybody else is told who can.
        may_begin = request.user.has_perm("telemetry.configure")
        return redirect("telemetry-setup") if may_begin else render(request, "slos/empty.html")
    user: User = request.user  # type: ignore[assignment]
    least = queries.services_table(sort="budget", limit=LEAST_BUDGETS)
    promised = [row for row in least.rows if row.status and row.status.budget_left is not None]
    context = {
        "fleet": fleet,
        "needs": queries.needs(user),
        "teams": queries.team_standings(),
        "budgets": lists.service_rows(promised),
        "verdicts": [
            (name, lists.VERDICT_WORDS.get(name, name), amount) for name, amount in fleet.verdicts.items()
        ],
        "who_may": "" if user.has_perm("slos.decide") else who_may_decide(user),
        "is_only_demo": user.has_perm("telemetry.configure") and telemetry.awaits_a_source(),
        "now": timezone.now(),
    }
    return render(request, "slos/overview.html", context)


@login_required
@never_cache
@require_safe
def services(request: HttpRequest) -> HttpResponse:
    """The table of services; filter, sort and page stand in the address."""
    listing = lists.service_listing(request.GET)
    template = "slos/services.html" + ("#listing" if _is_fragment(request) else "")
    return render(request, template, {"listing": listing})


@login_required
@never_cache
@require_safe
def services_csv(request: HttpRequest) -> HttpResponseBase:
    """What the table shows, all pages of it, as a file."""
    filters, sort = lists.service_filters(request.GET)

    def rows() -> Iterator[list[object]]:
        for row in queries.services_table(filters, sort=sort, limit=None).rows:
            yield lists.service_csv_row(row)

    return csv_response("services.csv", lists.SERVICE_CSV_HEADER, rows())


@login_required
@never_cache
@require_safe
def service(request: HttpRequest, service_id: str) -> HttpResponse:
    """What can this service promise, what does it promise, and how sure are we."""
    page = queries.service_page(get_service(service_id, "status"))
    shown = present(page, request.user)  # type: ignore[arg-type]
    awaiting = request.GET.get("awaiting")
    if _is_fragment(request) and awaiting and shown.renewal and shown.renewal.key == awaiting:
        return HttpResponse(status=204)  # Nothing is new: what somebody reads there is left alone.
    context = {"page": page, "shown": shown}
    template = "slos/service.html" + ("#service" if _is_fragment(request) else "")
    return render(request, template, context)


@login_required
@never_cache
@require_safe
def recommendations(request: HttpRequest) -> HttpResponse:
    """What waits for a decision, and every recommendation that is current."""
    listing = lists.recommendation_listing(request.GET, request.user)  # type: ignore[arg-type]
    template = "slos/recommendations.html" + ("#listing" if _is_fragment(request) else "")
    return render(request, template, {"listing": listing})


@login_required
@never_cache
@require_safe
def slos(request: HttpRequest) -> HttpResponse:
    """Every promise in force with what is left of its budget."""
    listing = lists.slo_listing(request.GET)
    template = "slos/slos.html" + ("#listing" if _is_fragment(request) else "")
    return render(request, template, {"listing": listing})
