"""Entries about the services of two teams, and about no service."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import connection, connections
from django.utils import timezone

from apps.accounts.models import Team, User
from apps.catalog.models import Service
from apps.core.models import AuditEntry

NOW = timezone.now()

# The database writes the time and checks the actor of every entry. A trail of other days, by people who are not there,
# is written by the owner, past that check.
_AS_OWNER = """
CREATE OR REPLACE FUNCTION tests_write_trail(statement text, entries jsonb) RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    made uuid;
BEGIN
    SET CONSTRAINTS ALL IMMEDIATE;
    ALTER TABLE core_auditentry DISABLE TRIGGER USER;
    EXECUTE statement INTO made USING entries;
    SET CONSTRAINTS ALL IMMEDIATE;
    ALTER TABLE core_auditentry ENABLE TRIGGER USER;
    RETURN made;
END $$
"""
_ADD = """
INSERT INTO core_auditentry SELECT * FROM jsonb_populate_record(NULL::core_auditentry, $1 || jsonb_build_object(
    'id', uuidv7(), 'proof', '')) RETURNING id
"""


@pytest.fixture(scope="session", autouse=True)
def _the_owner_can_write_the_trail(django_db_setup: None, django_db_blocker: Any) -> None:
    with django_db_blocker.unblock(), connections["owner"].cursor() as cursor:
        cursor.execute(_AS_OWNER)
    connections["owner"].close()


def write_trail(statement: str, values: dict[str, object] | None = None) -> UUID:
    """Run an INSERT that returns ids as the owner, in this test's transaction; ``$1`` is the values."""
    with connection.cursor() as cursor:
        given = json.dumps(values or {}, default=str)
        cursor.execute("SELECT tests_write_trail(%s, %s)", [statement, given])
        made: UUID = cursor.fetchone()[0]
    return made


def entry(
    action: str, service: str = "", *, minutes: int = 0, actor: str = "ada", **more: object
) -> AuditEntry:
    """Write an entry that is some minutes old."""
    values: dict[str, object] = {
        "action": action,
        "actor_name": actor,
        "source": "web",
        "object_type": "service",
        "object_id": service or "1",
        "service_id": service,
        "created_at": NOW - timedelta(minutes=minutes),
    }
    empty = {"api_key_prefix": "", "request_id": "", "object_label": "", "rationale": ""}
    return AuditEntry.objects.get(pk=write_trail(_ADD, empty | values | more))


@pytest.fixture
def trail(db: None) -> None:
    """Four entries: two about payments, one about the shop, one about a person."""
    for team, service in (("payments", "payments-api"), ("shop", "shop/checkout")):
        Service.objects.create(service_id=service, team=Team.objects.create(name=team))
    entry("slos.accept", "payments-api", minutes=4, rationale="=cmd|' /C calc'!A0")
    entry("slos.reject", "payments-api", minutes=3, actor="grace", before={"a": 1}, after={"a": 2})
    entry("catalog.edit_service", "shop/checkout", minutes=2)
    entry("accounts.set_role", minutes=1, object_type="user", object_id="7")


def person(role: str, team: str = "") -> User:
    """A user of that role and team."""
    user = User.objects.create_user(f"{role}{team}", role=role)
    if team:
        user.teams.add(Team.objects.get(name=team))
    return user
