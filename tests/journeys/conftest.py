"""A small shop with recommendations of the real engine, journeys through it, and a worker for both rooms."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from apps.accounts.models import Team
from apps.catalog.models import Service
from apps.core.actions import Actor
from apps.core.dispatcher import dispatch
from apps.journeys.models import Journey
from tests.slos.conftest import (
    _closed_breaker,
    acting,
    admin,
    compute,
    full_hour,
    make_calls,
    make_edge,
    make_hours,
    make_latency,
    make_service,
    make_user,
    owner,
    running_worker,
    settle,
    shop,
    steady,
)

__all__ = ["_closed_breaker", "acting", "admin", "make_user", "owner", "settle", "shop"]

PATHS: list[dict[str, Any]] = [
    {"name": "by card", "weight": 3, "steps": [{"service_id": "web"}, {"service_id": "pay", "calls": 1}]},
    {"name": "by invoice", "weight": 1, "steps": [{"service_id": "web"}]},
]


def journey_input(**more: Any) -> dict[str, Any]:
    return {"name": "Check out", "team": "shop", "target": 0.995, "paths": PATHS, **more}


@pytest.fixture
def fleet(shop: Team) -> dict[str, Service]:
    """``web`` calls ``pay`` and both call ``db``; all have 60 days of data and a recommendation."""
    found = {name: make_service(name, team=shop) for name in ("web", "pay", "db")}
    end = full_hour()
    make_hours(found["db"], fails=lambda ago: 0.01 if ago % 97 == 5 else 0.0002, end=end)
    make_hours(found["pay"], fails=lambda ago: 0.012 if ago % 97 == 5 else 0.0006, end=end)
    make_hours(found["web"], fails=lambda ago: 0.014 if ago % 97 == 5 else 0.001, end=end)
    make_latency(found["pay"], end=end)
    make_edge(found["web"], found["pay"], calls_per_request=0.9)
    make_edge(found["web"], found["db"], calls_per_request=1.0)
    make_edge(found["pay"], found["db"], calls_per_request=1.0)
    make_calls(found["web"], found["pay"], end=end, days=60, per_hour=9_000, fails=steady(0.0006))
    compute(*found.values())
    return found


@pytest.fixture
def journey(fleet: dict[str, Service], admin: Actor) -> Journey:
    """Check out: three in four pay by card, the others by invoice."""
    dispatch("journeys.create", journey_input(), actor=admin)
    return Journey.objects.get()


@pytest.fixture
def live_worker(transactional_db: None) -> Iterator[Any]:
    """A worker for both rooms."""
    with running_worker(rooms=("slos", "journeys")) as broker:
        yield broker
