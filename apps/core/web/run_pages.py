"""The pages of runs: the list and one run."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpResponse

from apps.core.errors import NotFound
from apps.core.models import Run
from apps.core.runs import presenting
from apps.core.web.pages import PageRequest, draw, page


@page("core.view_runs")
def runs(request: PageRequest) -> HttpResponse:
    """Show all runs, filtered by kind and state, the newest first."""
    kind, state = request.GET.get("kind", ""), request.GET.get("state", "")
    found = presenting.runs_page(kind=kind, state=state, cursor=request.GET.get("cursor"))
    query = request.GET.copy()
    query.pop("cursor", None)
    context = {
        "page": found,
        "rows": presenting.rows(found),
        "controls": [
            {"name": "kind", "label": "Kind", "value": kind, "choices": presenting.kind_choices()},
            {"name": "state", "label": "State", "value": state, "choices": presenting.state_choices()},
        ],
        "query": query.urlencode(),
        "is_older": "cursor" in request.GET,
    }
    return draw(request, "core/runs.html", context, part="runs")


@page("core.view_runs")
def run(request: PageRequest, run_id: UUID) -> HttpResponse:
    """Show a run's progress, its result and its levers. Refreshed while it goes on."""
    found = Run.objects.filter(pk=run_id).first()
    if found is None:
        raise NotFound(f"There is no run {run_id}.")
    context = {"shown": presenting.shown(found, request.actor)}
    return draw(request, "core/run.html", context, part="status")
