"""The pages of the dependency map, and the former address of an ingestion's page."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse

from apps.catalog import mapping, queries
from apps.core.web.pages import PageRequest, draw, page


@page("catalog.view")
def dependency_map(request: PageRequest, service_id: str | None = None) -> HttpResponse:
    """Show who calls a service and what it calls; without a name, for the service with the most edges."""
    wanted = request.GET.get("service", "").replace("\0", "").strip()
    if wanted:
        named = queries.named_like(wanted)
        if len(named) == 1:
            return redirect("dependency-map-of", named[0])
        return redirect(reverse("services", query={"q": wanted}))
    focus = service_id or queries.most_connected()
    if focus is None:
        return render(request, "catalog/map.html", {"view": None})
    view = mapping.map_around(queries.get_service(focus), request.GET)
    may_acknowledge = request.user.has_perm("catalog.acknowledge_cycle")
    context = {
        "view": view,
        "cycles": queries.open_cycles(),
        "cycles_open": queries.open_cycle_count(),
        "may_acknowledge": may_acknowledge,
        "names": queries.first_names(),
    }
    return draw(request, "catalog/map.html", context, part="map")


@page("catalog.view")
def ingestion(request: PageRequest, ingestion_id: UUID) -> HttpResponse:
    """Redirect to the page of the run; ingestions used to have a page of their own."""
    return redirect("run", run_id=ingestion_id, permanent=True)
