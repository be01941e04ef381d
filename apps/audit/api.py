"""The audit trail over the API."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from ninja import Query, Router, Schema
from pydantic import Field

from apps.audit import queries
from apps.audit.queries import AuditFilters
from apps.core.models import AuditEntry
from apps.core.web.http import SignedInRequest
from apps.core.web.pagination import Page, PageOut, PageQuery

router = Router(tags=["audit"])
ROUTERS = (router,)


class AuditEntryOut(Schema):
    id: UUID
    created_at: datetime
    action: str
    actor: str = Field(alias="actor_name")
    source: str
    api_key_prefix: str
    ip: str | None
    request_id: str
    object_type: str
    object_id: str
    object_label: str
    service_id: str
    before: Any
    after: Any
    rationale: str


@router.get("/audit", response=PageOut[AuditEntryOut], summary="List audit entries")
def list_audit(
    request: SignedInRequest, filters: Query[AuditFilters], page: Query[PageQuery]
) -> Page[AuditEntry]:
    """Newest first. Owners see the entries about their teams' services."""
    return queries.audit_page(request.user, filters, cursor=page.cursor, limit=page.limit)


@router.get("/audit/{uuid:entry_id}", response=AuditEntryOut, summary="Read one audit entry")
def read_audit_entry(request: SignedInRequest, entry_id: UUID) -> AuditEntry:
    return queries.audit_entry(request.user, entry_id)
