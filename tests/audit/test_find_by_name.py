"""Whose changes are asked for is found by an index, however long the trail is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import transaction

from apps.accounts.models import User
from apps.audit.queries import NEWEST_FIRST, AuditFilters, audit_page, search
from tests.audit.conftest import write_trail

ENTRIES = 60_000

# A long trail of somebody else's, with three entries of one person among the oldest.
_FILL = f"""
INSERT INTO core_auditentry (created_at, action, actor_name, source, api_key_prefix, request_id, object_type,
    object_id, object_label, service_id, rationale)
SELECT now() - interval '1 day' + n * interval '1 second', 'slos.accept',
    CASE WHEN n <= 3 THEN 'Grace' ELSE 'person-' || n % 20 END, 'web', '', '', 'slo', n::text, '', '', ''
FROM generate_series(1, {ENTRIES}) n RETURNING id
"""


def nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    return [plan, *(node for child in plan.get("Plans", ()) for node in nodes(child))]


@pytest.fixture(scope="module")
def _trail(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """Write the trail once, in a transaction that all tests of this module run inside of."""
    with django_db_blocker.unblock(), transaction.atomic():
        write_trail(_FILL)
        yield
        transaction.set_rollback(True)


@pytest.fixture
def auditor(_trail: None, db: None) -> User:
    return User.objects.create_user("audrey", role="auditor")


@pytest.mark.parametrize(("name", "found"), [("grace", 3), ("PERSON-7", 51), ("nobody", 0)])
def test_the_entries_of_one_person_are_read_and_no_others(auditor: User, name: str, found: int) -> None:
    rows = search(auditor, AuditFilters(actor=name)).order_by(*NEWEST_FIRST)[:51]
    plan = json.loads(rows.explain(format="json", analyze=True))[0]["Plan"]
    scans = [node for node in nodes(plan) if "Index Name" in node]
    assert [scan["Index Name"] for scan in scans] == ["audit_actor_name"]
    assert sum(scan["Actual Rows"] for scan in scans) == found
    assert not any(node.get("Rows Removed by Filter") for node in nodes(plan))


def test_the_case_of_a_name_does_not_matter(auditor: User) -> None:
    page = audit_page(auditor, AuditFilters(actor="gRACE"))
    assert [entry.object_id for entry in page.items] == ["3", "2", "1"]
