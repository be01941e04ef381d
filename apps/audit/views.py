"""The pages of the audit trail and its CSV file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.http import HttpResponse, HttpResponseBase, QueryDict
from django.shortcuts import render
from pydantic import ValidationError

from apps.audit import formatting, queries
from apps.audit.queries import EXPORT_HEADER, AuditFilters
from apps.core.dispatcher import invalid_input
from apps.core.errors import InvalidInput
from apps.core.models import AuditEntry
from apps.core.sentences import sentence
from apps.core.web.csv import csv_response
from apps.core.web.pages import PageRequest, draw, page
from apps.ui.lists import Filter

PAGE = "audit/list.html"


@dataclass(frozen=True, slots=True)
class Row:
    """One entry as the list draws it."""

    entry: AuditEntry
    what: str
    where: str


def _filters(query: QueryDict) -> AuditFilters:
    """Read the filter. A bare date means the whole day in UTC, at either end."""
    given: dict[str, str | datetime] = {
        name: text for name in AuditFilters.model_fields if (text := query.get(name, "")).strip()
    }
    for name, days in (("since", 0), ("until", 1)):
        day = _day(query.get(name, ""))
        if day is not None:
            # There is no day after the last day of the year 9999.
            at = day if day == date.max else day + timedelta(days=days)
            given[name] = datetime.combine(at, time(), UTC)
    try:
        return AuditFilters.model_validate(given)
    except ValidationError as error:
        raise invalid_input(error, "The filter cannot be used.") from None


def _wrong_dates(query: QueryDict) -> list[tuple[str, str]]:
    """Return the ends of the filter that cannot be used, each with a sentence that says why."""
    found: list[tuple[str, str]] = []
    for name, label in (("since", "From"), ("until", "To")):
        try:
            _filters(QueryDict(urlencode({name: query.get(name, "")})))
        except InvalidInput:
            found.append((name, f"{label}: “{query[name][:40]}” is no date. Write it as 2026-05-31."))
    if found:
        return found
    given = _filters(query)
    if given.since and given.until and _aware(given.since) >= _aware(given.until):
        found.append(("until", "The last day is before the first."))
    return found


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if len(text) == 10 else None
    except ValueError:
        return None


def _controls(query: QueryDict) -> list[Filter]:
    area = query.get("action", "")
    areas = formatting.areas()
    if area not in dict(areas):
        areas.append((area, area))
    return [
        Filter("service", "Service", query.get("service", "")),
        Filter("action", "About", area, areas),
        Filter("actor", "Who", query.get("actor", "")),
        Filter("since", "From", query.get("since", "")[:10], kind="date"),
        Filter("until", "To, included", query.get("until", "")[:10], kind="date"),
    ]


def _without(query: QueryDict, *names: str) -> str:
    """Return the query string without some of its names."""
    rest = query.copy()
    for name in names:
        rest.pop(name, None)
    return rest.urlencode()


@page("audit.view")
def audit(request: PageRequest) -> HttpResponse:
    """Show the page, or for htmx only its table."""
    wrong = _wrong_dates(request.GET)
    query = _without(request.GET, "cursor", *dict(wrong))
    context = {"controls": _controls(request.GET), "query": query}
    if wrong:
        refused = context | {"rows": [], "wrong": [text for _, text in wrong]}
        return draw(request, PAGE, refused, part="entries", status=InvalidInput.status)
    found = queries.audit_page(request.user, _filters(request.GET), cursor=request.GET.get("cursor"))
    rows = [Row(entry, sentence(entry), formatting.where(entry)) for entry in found.items]
    shown = context | {"page": found, "rows": rows, "is_older": "cursor" in request.GET}
    return draw(request, PAGE, shown, part="entries")


@page("audit.view")
def audit_entry(request: PageRequest, entry_id: UUID) -> HttpResponse:
    """Show one entry: who did what, from where and why, the changes, and the raw record."""
    entry = queries.audit_entry(request.user, entry_id)
    context = {
        "entry": entry,
        "what": sentence(entry),
        "where": formatting.where(entry),
        "changes": formatting.changes(entry),
        "before": _readable(entry.before),
        "after": _readable(entry.after),
    }
    return render(request, "audit/entry.html", context)


def _readable(value: Any) -> str:
    return "nothing" if value is None else json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True)


@page("audit.view")
def audit_csv(request: PageRequest) -> HttpResponseBase:
    """Send the filtered entries as a CSV file, at most the newest :data:`EXPORT_ROWS`."""
    rows = queries.export_rows(request.user, _filters(request.GET))
    return csv_response("audit.csv", EXPORT_HEADER, rows)
