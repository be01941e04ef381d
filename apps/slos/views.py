"""Overview, services, one service, recommendations and budgets."""

from __future__ import annotations

from collections.abc import Iterator

from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils import timezone

from apps.catalog.queries import get_service
from apps.core.web.csv import csv_response
from apps.core.web.pages import PageRequest, draw, page
from apps.slos import lists, queries
from apps.slos.models import ServiceStatus
from apps.slos.presenting import present, who_may_decide
from apps.telemetry import services as telemetry

LEAST_BUDGETS = 10


@page("slos.view")
def overview(request: PageRequest) -> HttpResponse:
    """What needs me now: decisions, spent budgets, cycles, and the worst of the services."""
    fleet = queries.overview(request.user)
    if not fleet.services:
        # Whoever can set Ballast up begins with that; everybody else is told who can.
        may_begin = request.user.has_perm("telemetry.configure")
        return redirect("telemetry-setup") if may_begin else render(request, "slos/empty.html")
    least = queries.services_table(sort="budget", limit=LEAST_BUDGETS)
    with_budget = [row for row in least.rows if row.status and row.status.budget_left is not None]
    context = {
        "fleet": fleet,
        "needs": queries.needs(request.user),
        "teams": queries.team_standings(),
        "budgets": lists.service_rows(with_budget),
        "verdicts": [
            (name, lists.VERDICT_WORDS.get(name, name), amount) for name, amount in fleet.verdicts.items()
        ],
        "who_may": "" if request.user.has_perm("slos.decide") else who_may_decide(request.user),
        "is_only_demo": request.user.has_perm("telemetry.configure") and telemetry.awaits_a_source(),
        "now": timezone.now(),
    }
    return render(request, "slos/overview.html", context)


@page("catalog.view")
def services(request: PageRequest) -> HttpResponse:
    """The table of services; filter, sort and page stand in the address."""
    listing = lists.service_listing(request.GET)
    is_counting = any(line.row.state == ServiceStatus.State.COUNTING for line in listing.rows)
    context = {"listing": listing, "is_counting": is_counting}
    return draw(request, "slos/services.html", context, part="listing")


@page("catalog.view")
def services_csv(request: PageRequest) -> HttpResponseBase:
    """What the table shows, all pages of it, as a file."""
    filters, sort = lists.service_filters(request.GET)

    def rows() -> Iterator[list[object]]:
        for row in queries.services_table(filters, sort=sort, limit=None).rows:
            yield lists.service_csv_row(row)

    return csv_response("services.csv", lists.SERVICE_CSV_HEADER, rows())


@page("slos.view")
def service(request: PageRequest, service_id: str) -> HttpResponse:
    """Which SLOs can this service keep, which does it have, and how sure are we."""
    page = queries.service_page(get_service(service_id, "status"))
    shown = present(page, request.user)
    awaiting = request.GET.get("awaiting")
    if request.htmx and awaiting and shown.renewal and shown.renewal.key == awaiting:
        return HttpResponse(status=204)  # Nothing is new: what somebody reads there is left alone.
    context = {"page": page, "shown": shown}
    return draw(request, "slos/service.html", context, part="service")


@page("slos.view")
def recommendations(request: PageRequest) -> HttpResponse:
    """What waits for a decision, and every recommendation that is current."""
    listing = lists.recommendation_listing(request.GET, request.user)
    return draw(request, "slos/recommendations.html", {"listing": listing}, part="listing")


@page("slos.view")
def slos(request: PageRequest) -> HttpResponse:
    """Every active SLO with what is left of its budget."""
    listing = lists.slo_listing(request.GET)
    context = {"listing": listing, "is_counting": any(line.standing is None for line in listing.rows)}
    return draw(request, "slos/slos.html", context, part="listing")
