"""Pages of telemetry (its source, its runs, how one service is read) and of imports."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils import timezone

from apps.catalog.models import DiscoverySource, Service
from apps.catalog.queries import catalog_counts, ingestions_page
from apps.core.dispatcher import dispatch
from apps.core.errors import BallastError, FieldProblem, InvalidInput
from apps.core.json_types import JsonObject
from apps.core.web.pages import POST, PageRequest, page
from apps.telemetry import checks, queries
from apps.telemetry.imports import uploads
from apps.telemetry.models import TelemetryRun
from apps.telemetry.presenting import checked, moment, service_data

#: On narrow screens the forms come after the list of imports, so the list is short.
_IMPORTS_SHOWN = 15


@page("telemetry.view")
def telemetry(request: PageRequest) -> HttpResponse:
    """Show where telemetry comes from; for one service, how it was read and what was left out."""
    status = queries.source_status()
    service_id = request.GET.get("service", "").strip()
    service = Service.objects.filter(service_id=service_id).first() if service_id else None
    start = moment(request.GET.get("from", ""))
    context = {
        "status": status,
        "runs": queries.recent_runs(20),
        "reach": queries.reach(status.newest_end),
        "may_collect": request.user.has_perm("telemetry.collect"),
        "service_id": service_id,
        "service": service,
        "data": service_data(service.pk, start, timezone.now()) if service else None,
    }
    return render(request, "telemetry/telemetry.html", context)


@page("telemetry.view")
def check(request: PageRequest) -> HttpResponse:
    """Show whether the source answers, and how one service is read now. Nothing is stored."""
    service_id = request.GET.get("service", "").strip()
    look = checks.look(service_id)
    context = {
        "look": look,
        "check": look.check,
        "service_id": service_id,
        "problem": look.problem,
        "found": look.found,
        "read": None if look.found is None else checked(look.found),
    }
    return render(request, "telemetry/check.html", context)


@page("telemetry.view")
def run(request: PageRequest, run_id: UUID) -> HttpResponse:
    """Redirect to the page of the run; readings used to have a page of their own."""
    return redirect("run", run_id=run_id, permanent=True)


def _imports(request: PageRequest, **extra: Any) -> HttpResponse:
    context = {
        "ingestions": ingestions_page(limit=_IMPORTS_SHOWN).items,
        "runs": queries.recent_runs(_IMPORTS_SHOWN, kind=TelemetryRun.Kind.IMPORT),
        "counts": catalog_counts(),
        "accepted": uploads.ACCEPTED,
        "may_import_files": request.user.has_perm("telemetry.collect"),
        "may_import_graph": request.user.has_perm("catalog.ingest"),
    }
    status = extra.pop("status", 200)
    return render(request, "telemetry/imports.html", context | extra, status=status)


@page("catalog.view")
def imports(request: PageRequest) -> HttpResponse:
    """Show what was imported, and the forms that import more."""
    return _imports(request)


@page("telemetry.collect", methods=POST)
def import_files(request: PageRequest) -> HttpResponseBase:
    """Take CSV files of the observation format; a worker checks and imports them as a whole."""
    try:
        folder = uploads.keep(request.FILES.getlist("files"))
    except InvalidInput as error:
        return _imports(request, file_errors=[field.message for field in error.fields], status=error.status)
    try:
        done = dispatch("telemetry.import", {"path": str(folder)}, actor=request.actor)
    except BallastError:
        uploads.drop(str(folder))
        raise
    return redirect("run", run_id=done.value["run"])


@page("catalog.ingest", methods=POST)
def import_graph(request: PageRequest) -> HttpResponseBase:
    """Take a dependency graph as JSON; a worker checks and applies it as a whole."""
    try:
        done = dispatch("catalog.ingest_dependencies", _graph(request), actor=request.actor)
    except InvalidInput as error:
        problems = [f"{field.path}: {field.message}" for field in error.fields] or [error.detail]
        return _imports(request, graph_errors=problems[:50], status=error.status)
    return redirect("run", run_id=done.value["ingestion_id"])


def _graph(request: PageRequest) -> JsonObject:
    file = request.FILES.get("graph")
    try:
        document = json.loads(file.read().decode()) if file else None
    except (ValueError, RecursionError) as error:
        # It is not UTF-8, not JSON, nested too deeply, or has a number of thousands of digits.
        raise InvalidInput(f"{file.name if file else 'The file'} is not JSON: {error}.") from None
    if not isinstance(document, dict):
        raise InvalidInput(
            "Choose a JSON file.",
            fields=[FieldProblem("graph", "it must be an object with services and dependencies")],
        )
    return {"discovery_source": DiscoverySource.MANUAL.value} | document
