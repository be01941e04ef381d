"""A database with a little of the demo in it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.db import transaction
from django.test import override_settings

from apps.accounts.models import Team, User
from apps.catalog.models import DiscoverySource, Service
from apps.catalog.services import upsert_graph
from apps.core.actions import Actor
from apps.core.dispatcher import dispatch
from apps.core.models import AuditEntry
from apps.demo.signins import FILE_NAME
from apps.slos.objectives import status
from apps.telemetry.models import SliHour
from apps.telemetry.storing.aggregates import ensure_partitions
from tests.demo.fleets import NOW, tiny_fleet

# What a password costs to check is Django's to test; here it would be most of a load.
QUICK_HASHER = ["django.contrib.auth.hashers.MD5PasswordHasher"]


def load_tiny_fleet() -> Any:
    """Load the tiny fleet as the command does; returns the report."""
    from apps.demo import services

    dispatch("demo.load", {}, actor=Actor.system("test"))
    return services.bring_up_to_date(NOW, demo=tiny_fleet())


@pytest.fixture
def passwords(tmp_path: Path, settings: Any) -> Path:
    """Keep the demo's passwords in a folder of the test's own; returns the file."""
    settings.DATA_DIR = tmp_path
    settings.PASSWORD_HASHERS = QUICK_HASHER
    return tmp_path / FILE_NAME


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    """Start at :data:`NOW`; the test moves on."""
    with time_machine.travel(NOW, tick=False) as traveller:
        yield traveller


@pytest.fixture
def load(db: None, passwords: Path, clock: time_machine.Traveller) -> Callable[[], Any]:
    """Return a function that loads the tiny fleet into an empty database."""
    return load_tiny_fleet


@pytest.fixture(scope="module")
def _loaded_once(
    django_db_setup: None, django_db_blocker: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Any, Path]]:
    """Load the tiny fleet once for a module, in a transaction that all of its tests run inside of."""
    folder = tmp_path_factory.mktemp("demo")
    with django_db_blocker.unblock(), transaction.atomic():
        with (
            time_machine.travel(NOW, tick=False),
            override_settings(DATA_DIR=folder, PASSWORD_HASHERS=QUICK_HASHER),
        ):
            report = load_tiny_fleet()
        yield report, folder / FILE_NAME
        transaction.set_rollback(True)


@pytest.fixture
def loaded(_loaded_once: tuple[Any, Path], db: None, passwords: Path, clock: time_machine.Traveller) -> Any:
    """Have the tiny fleet loaded; returns the report. What a test changes is undone after it.

    Not for modules with tests that need an empty database.
    """
    report, file = _loaded_once
    shutil.copy(file, passwords)
    return report


@pytest.fixture
def mine(db: None, clock: Any) -> User:
    """Services, telemetry, an edge and an SLO of one's own."""
    team = Team.objects.create(name="acme")
    me = User.objects.create(username="ada", role=User.Role.SRE_ADMIN)
    me.teams.add(team)
    upsert_graph(
        [{"service_id": "acme/api", "team": "acme"}, {"service_id": "acme/db", "team": "acme"}],
        [{"source": "acme/api", "target": "acme/db"}],
        discovery_source=DiscoverySource.MANUAL,
        observed_at=NOW,
    )
    ensure_partitions(NOW.date() - timedelta(days=2), NOW.date())
    service = Service.objects.get(service_id="acme/api")
    for hour in range(1, 20):
        SliHour.objects.create(
            service=service,
            bin_start=NOW.replace(minute=0) - timedelta(hours=hour),
            total=1000,
            bad=1,
            observed_seconds=3600,
        )
    data = {"service_id": "acme/api", "sli_type": "availability", "target": 0.995, "rationale": "Ours."}
    dispatch("slos.set", data, actor=Actor.person(me, AuditEntry.Source.WEB))
    status.refresh([service.pk], now=NOW)
    return me
