"""The pages of runs: the list and one run."""

from __future__ import annotations

from urllib.parse import urlencode
from uuid import UUID

from django.http import HttpResponse

from apps.core.errors import NotFound
from apps.core.models import Run
from apps.core.runs import presenting
from apps.core.web.pages import PageRequest, draw, page


@page("core.view_runs")
def runs(request: PageRequest) -> HttpResponse:
    """Show runs, filtered by who asked, kind and state, the newest first. The system's routine is left out at first."""
    who, kind, state = (request.GET.get(name, "") for name in ("who", "kind", "state"))
    found = presenting.runs_page(who=who, kind=kind, state=state, cursor=request.GET.get("cursor"))
    query = request.GET.copy()
    query.pop("cursor", None)
    context = {
        "page": found,
        "rows": presenting.rows(found),
        "controls": [
            {"name": "who", "label": "Asked by", "value": who, "choices": presenting.who_choices()},
            {"name": "kind", "label": "Kind", "value": kind, "choices": presenting.kind_choices()},
            {"name": "state", "label": "State", "value": state, "choices": presenting.state_choices()},
        ],
        "query": query.urlencode(),
        "everybody": f"?{urlencode({'who': 'all', 'kind': kind, 'state': state})}",
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
