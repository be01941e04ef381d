"""People with each role, and short ways to state a graph."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from apps.accounts.models import Team, User
from apps.catalog.services import GraphSummary, upsert_graph
from apps.core.actions import Actor
from apps.core.models import AuditEntry

NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)

type State = Callable[..., GraphSummary]


def edge(source: str, target: str, **said: Any) -> dict[str, Any]:
    """Return the row of a dependency."""
    return {"source": source, "target": target, **said}


def edges(*pairs: str) -> list[dict[str, Any]]:
    """Return rows from ``"a>b"``."""
    return [edge(*pair.split(">")) for pair in pairs]


@pytest.fixture
def state(db: None) -> State:
    """Put a graph into the catalog as a source states it."""
    from django.db import transaction

    def put(
        *pairs: str,
        services: list[dict[str, Any]] | None = None,
        dependencies: list[dict[str, Any]] | None = None,
        by: str = "manual",
        at: datetime = NOW,
        **options: Any,
    ) -> GraphSummary:
        with transaction.atomic():
            return upsert_graph(
                services or [],
                [*edges(*pairs), *(dependencies or [])],
                discovery_source=by,
                observed_at=at,
                **options,
            )

    return put


@pytest.fixture
def team(db: None) -> Team:
    return Team.objects.create(name="payments")


@pytest.fixture
def admin(db: None) -> User:
    return User.objects.create(username="sre", role=User.Role.SRE_ADMIN)


@pytest.fixture
def owner(team: Team) -> User:
    user = User.objects.create(username="owner", role=User.Role.SERVICE_OWNER)
    user.teams.add(team)
    return user


@pytest.fixture
def viewer(db: None) -> User:
    return User.objects.create(username="viewer", role=User.Role.VIEWER)


@pytest.fixture
def auditor(db: None) -> User:
    return User.objects.create(username="auditor", role=User.Role.AUDITOR)


def acting(user: User) -> Actor:
    """Return the actor for a user of the API."""
    return Actor.person(user, AuditEntry.Source.API)


@contextmanager
def published() -> Iterator[list[tuple[str, dict[str, Any]]]]:
    """Collect what the rooms publish inside, as (topic, payload)."""
    from apps.core.models import OutboxEvent

    last = OutboxEvent.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    events: list[tuple[str, dict[str, Any]]] = []
    yield events
    told = OutboxEvent.objects.filter(pk__gt=last).exclude(topic__startswith="core.")
    events.extend(told.order_by("pk").values_list("topic", "payload"))


@pytest.fixture
def time_machine_at_now() -> Iterator[None]:
    """Hold the clock at NOW."""
    import time_machine

    with time_machine.travel(NOW, tick=False):
        yield
