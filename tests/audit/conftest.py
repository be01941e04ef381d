"""Entries about the services of two teams, and about no service."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from apps.accounts.models import Team, User
from apps.catalog.models import Service
from apps.core.models import AuditEntry

NOW = timezone.now()


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
    return AuditEntry.objects.create(**(values | more))


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
