"""The audit trail as a page, and as a file of what the page shows."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseBase, QueryDict
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from pydantic import ValidationError

from apps.audit import queries
from apps.audit.queries import EXPORT_HEADER, AuditFilters
from apps.core.csv import csv_response
from apps.core.dispatcher import field_problems
from apps.core.errors import InvalidInput

PAGE = "audit/list.html"


def _filters(query: QueryDict) -> AuditFilters:
    given = {name: query[name] for name in AuditFilters.model_fields if query.get(name, "").strip()}
    try:
        return AuditFilters.model_validate(given)
    except ValidationError as error:
        raise InvalidInput("The filter cannot be used as it is.", fields=field_problems(error)) from None


@login_required
@never_cache
@require_safe
def audit(request: HttpRequest) -> HttpResponse:
    """The page, or with htmx its table."""
    filters = _filters(request.GET)
    page = queries.audit_page(request.user, filters, cursor=request.GET.get("cursor"))  # type: ignore[arg-type]
    query = request.GET.copy()
    query.pop("cursor", None)
    context = {"page": page, "filters": filters, "query": query.urlencode()}
    template = f"{PAGE}#entries" if request.htmx else PAGE  # type: ignore[attr-defined]
    return render(request, template, context)


@login_required
@never_cache
@require_safe
def audit_entry(request: HttpRequest, entry_id: UUID) -> HttpResponse:
    entry = queries.audit_entry(request.user, entry_id)  # type: ignore[arg-type]
    texts = {"before": _readable(entry.before), "after": _readable(entry.after)}
    return render(request, "audit/entry.html", {"entry": entry, **texts})


def _readable(value: Any) -> str:
    return "nothing" if value is None else json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True)


@login_required
@never_cache
@require_safe
def audit_csv(request: HttpRequest) -> HttpResponseBase:
    """What the filter shows, as a file; the newest hundred thousand entries at most."""
    rows = queries.export_rows(request.user, _filters(request.GET))  # type: ignore[arg-type]
    return csv_response("audit.csv", EXPORT_HEADER, rows)
