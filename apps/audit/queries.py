"""Queries on the audit trail: the entries that a user may see, and their search."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from pydantic import BaseModel, ConfigDict, Field

from apps.accounts.models import User
from apps.accounts.permissions import scope_of, team_ids, who_may
from apps.catalog.models import Service
from apps.core.errors import NotAllowed, NotFound
from apps.core.instants import Instant
from apps.core.models import AuditEntry
from apps.core.rooms import Scope
from apps.core.web.pagination import DEFAULT_LIMIT, Page, paginate

NEWEST_FIRST = ("-created_at", "-id")
EXPORT_ROWS = 100_000
ROWS_AT_ONCE = 1_000
TEXT = Field(default="", max_length=300)

EXPORT_HEADER = (
    "created_at",
    "action",
    "actor",
    "source",
    "api_key_prefix",
    "ip",
    "request_id",
    "object_type",
    "object_id",
    "object_label",
    "service_id",
    "rationale",
    "before",
    "after",
    "id",
)


class AuditFilters(BaseModel):
    """The filters of a listing; empty means everything. ``since`` is inclusive, ``until`` is exclusive."""

    model_config = ConfigDict(str_strip_whitespace=True)

    service: str = TEXT
    action: str = Field(default="", max_length=300, description="`slos.accept`, or `slos` for all of an app.")
    actor: str = TEXT
    object_type: str = TEXT
    object_id: str = TEXT
    since: Instant | None = None
    until: Instant | None = None


def visible_entries(user: User) -> QuerySet[AuditEntry]:
    """Return the entries that a user may see: all, or those about the services of the user's own teams.

    Raises :class:`NotAllowed` for a role that sees none.
    """
    scope = scope_of(user, "audit.view")
    if scope is None or not user.is_active:
        raise NotAllowed(f"Read the audit trail: {who_may('audit.view')}")
    entries = AuditEntry.objects.all()
    if scope is Scope.ALL:
        return entries
    return entries.filter(service_id__in=Service.objects.filter(team__in=team_ids(user)).values("service_id"))


def search(user: User, filters: AuditFilters) -> QuerySet[AuditEntry]:
    """Return the visible entries that match, unordered."""
    entries = visible_entries(user)
    if filters.service:
        entries = entries.filter(service_id=filters.service)
    if filters.action:
        # "slos" means slos.accept, slos.reject and the rest.
        named = (
            {"action": filters.action}
            if "." in filters.action
            else {"action__startswith": f"{filters.action}."}
        )
        entries = entries.filter(**named)
    if filters.actor:
        entries = entries.filter(actor_name__iexact=filters.actor)
    if filters.object_type:
        entries = entries.filter(object_type=filters.object_type)
    if filters.object_id:
        entries = entries.filter(object_id=filters.object_id)
    if filters.since:
        entries = entries.filter(created_at__gte=filters.since)
    if filters.until:
        entries = entries.filter(created_at__lt=filters.until)
    return entries


def audit_page(
    user: User, filters: AuditFilters, *, cursor: str | None = None, limit: int = DEFAULT_LIMIT
) -> Page[AuditEntry]:
    """Return one page of entries, newest first."""
    return paginate(search(user, filters), order=NEWEST_FIRST, cursor=cursor, limit=limit)


def audit_entry(user: User, entry_id: UUID) -> AuditEntry:
    """Return one entry. Raises :class:`NotFound` where this user may see none of that id."""
    entry = visible_entries(user).filter(pk=entry_id).first()
    if entry is None:
        raise NotFound("There is no such audit entry, or it is about a service of another team.")
    return entry


def export_rows(user: User, filters: AuditFilters) -> Iterator[tuple[Any, ...]]:
    """Yield the newest matching entries for a file, at most :data:`EXPORT_ROWS`, read in batches."""
    entries = search(user, filters).order_by(*NEWEST_FIRST)[:EXPORT_ROWS]
    return (_row(entry) for entry in entries.iterator(chunk_size=ROWS_AT_ONCE))


def _row(entry: AuditEntry) -> tuple[Any, ...]:
    names = {"actor": "actor_name"}
    cells = (getattr(entry, names.get(column, column)) for column in EXPORT_HEADER)
    return tuple(_cell(cell) for cell in cells)


def _cell(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, (dict, list)):
        return json.dumps(value, ensure_ascii=False, sort_keys=True)
    return value
