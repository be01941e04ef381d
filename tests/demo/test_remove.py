"""Removing the demo: all of it, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.db import connection, transaction

from apps.accounts.models import ApiKey, Team, User
from apps.catalog.models import CycleAlert, Dependency, DiscoverySource, Service
from apps.catalog.services import upsert_graph
from apps.core.actions import Actor
from apps.core.delivery.relay import drain
from apps.core.demo_parts import ORIGIN
from apps.core.dispatcher import preview
from apps.core.errors import Conflict
from apps.core.models import AuditEntry
from apps.core.runs import execute
from apps.demo import locking, queries, runs, services, signins
from apps.demo.locking import DEMO_LOCK
from apps.slos.models import ActiveSlo
from tests.demo.conftest import load_tiny_fleet
from tests.demo.fleets import NOW, tiny_fleet
from tests.demo.snapshots import everything, remove


def test_audit_entries_stay(loaded: Any) -> None:
    entries = AuditEntry.objects.count()
    remove()
    assert AuditEntry.objects.count() == entries + 1
    entry = AuditEntry.objects.get(action="demo.remove")
    assert entry.before is not None
    assert entry.before["services"] == len(tiny_fleet().services)


def test_removing_twice_is_fine(loaded: Any) -> None:
    remove()
    assert remove()["services"] == 0


def test_a_removed_demo_is_not_extended(loaded: Any) -> None:
    remove()
    assert not services.bring_up_to_date(NOW + timedelta(hours=3), demo=tiny_fleet()).is_here
    assert not Service.objects.exists()


def test_it_can_be_loaded_again_with_new_passwords(loaded: Any) -> None:
    old = {each.username: each.password for each in signins.ensure()}
    remove()
    signins.forget()
    load_tiny_fleet()
    new = {each.username: each.password for each in signins.ensure()}
    assert new.keys() == old.keys()
    assert not set(new.values()) & set(old.values())
    assert User.objects.get(username="sre").check_password(new["sre"])
    assert User.objects.get(username="sre").is_active
    assert ActiveSlo.objects.filter(service__service_id="payments-api", ended_at=None).count() == 3


def test_the_preview_counts_what_goes_and_leaves_no_trace(loaded: Any) -> None:
    before = everything()
    entries = AuditEntry.objects.count()
    shown = preview("demo.remove", {}, actor=Actor.system("test"))
    touched = {touch.label: touch.count for touch in shown.touches}
    assert touched["services"] == len(tiny_fleet().services)
    assert touched["dependencies"] == len(tiny_fleet().calls)
    assert touched["hours and days of telemetry"] > 1000
    assert touched["users"] + len(queries.kept_users()) == 4
    assert everything() == before
    assert AuditEntry.objects.count() == entries
    gone = remove()
    labels = ("services", "dependencies", "recommendations", "teams", "users")
    assert {label: gone[label] for label in labels} == {label: touched[label] for label in labels}
    assert gone["bins"] == touched["hours and days of telemetry"]


def test_edges_between_own_and_demo_services_are_named_before_they_go(mine: User, loaded: Any) -> None:
    upsert_graph(
        [],
        [{"source": "acme/api", "target": "payments-api"}],
        discovery_source=DiscoverySource.MANUAL,
        observed_at=NOW,
    )
    shown = preview("demo.remove", {}, actor=Actor.system("test"))
    assert any("acme/api → payments-api" in touch.names for touch in shown.touches)
    assert shown.warnings
    remove()
    assert [str(edge.target) for edge in Dependency.objects.all()] == ["acme/db"]


def users_of_the_demo() -> int:
    return User.objects.filter(origin=ORIGIN).count()


def test_users_who_stand_in_the_audit_trail_are_not_said_to_go(loaded: Any) -> None:
    kept = queries.kept_users()
    assert 0 < len(kept) < 4
    before = users_of_the_demo()
    shown = preview("demo.remove", {}, actor=Actor.system("test"))
    assert f"{len(kept)} users stand in the audit trail: kept, but cannot sign in." in shown.warnings
    gone = remove()
    assert (gone["users"], gone["users_kept"]) == (before - len(kept), len(kept))
    assert set(User.objects.filter(origin=queries.ORIGIN_REMOVED)) == set(kept)


def test_whoever_is_about_to_stand_in_the_audit_trail_is_not_said_to_go(loaded: Any) -> None:
    newcomer = User.objects.create_user("eve", role="sre_admin", origin=ORIGIN)
    actor = Actor.person(newcomer, AuditEntry.Source.COMMAND)
    assert newcomer not in queries.kept_users()
    shown = preview("demo.remove", {}, actor=actor)
    touched = {touch.label: touch.count for touch in shown.touches}
    gone = remove(actor)
    assert gone["users"] == touched["users"]
    assert User.objects.filter(pk=newcomer.pk, is_active=False).exists()


def test_a_team_that_stays_is_not_said_to_go(mine: User, loaded: Any) -> None:
    Service.objects.filter(service_id="acme/db").update(team=Team.objects.get(name="risk"))
    mine.teams.add(Team.objects.get(name="payments"))
    teams = Team.objects.filter(origin=ORIGIN).count()
    shown = preview("demo.remove", {}, actor=Actor.system("test"))
    assert next(touch.count for touch in shown.touches if touch.label == "teams") == teams - 2
    assert "2 teams have services or people of your own: kept, and yours from now on." in shown.warnings
    gone = remove()
    assert (gone["teams"], gone["teams_kept"]) == (teams - 2, 2)
    assert set(Team.objects.values_list("name", flat=True)) == {"acme", "risk", "payments"}


def test_a_cycle_that_one_is_part_of_oneself_is_not_forgotten(mine: User, loaded: Any) -> None:
    own = CycleAlert.objects.create(
        fingerprint="own", members=["acme/api", "orders"], path=["acme/api", "orders"]
    )
    remove()
    assert list(CycleAlert.objects.values_list("pk", flat=True)) == [own.pk]


def test_a_team_that_one_uses_becomes_ones_own(mine: User, loaded: Any) -> None:
    risk = Team.objects.get(name="risk")
    Service.objects.filter(service_id="acme/db").update(team=risk)
    remove()
    risk.refresh_from_db()
    assert risk.origin == ""
    assert list(Team.objects.order_by("name").values_list("name", flat=True)) == ["acme", "risk"]


def test_whoever_removes_it_while_signed_in_as_a_demo_user_is_named_in_the_audit_trail(
    loaded: Any,
) -> None:
    sre = signins.demo_users()["sre"]
    ApiKey.objects.create(user=sre, name="ci", prefix="abc", key_hash="hash")
    remove(Actor.person(sre, AuditEntry.Source.WEB))
    entry = AuditEntry.objects.get(action="demo.remove")
    assert entry.actor is not None
    assert (entry.actor.username, entry.actor.is_active) == ("sre", False)
    assert not ApiKey.objects.exists()


def test_the_passwords_are_forgotten(loaded: Any, passwords: Path) -> None:
    assert passwords.exists()
    remove()
    from apps.core.models import OutboxDelivery

    OutboxDelivery.objects.exclude(subscriber="demo.forget_sign_ins").delete()
    OutboxDelivery.objects.update(next_attempt_at=NOW)
    drain()
    assert not passwords.exists()


@pytest.fixture
def somebody_else_is_at_it() -> Iterator[None]:
    """Hold the demo's lock on a connection of its own."""
    target = connection.settings_dict
    with psycopg.connect(
        host=target["HOST"],
        port=target["PORT"],
        user=target["USER"],
        password=target["PASSWORD"],
        dbname=target["NAME"],
    ) as other:
        # Until the end of the transaction: a closed connection's locks are free some time after it is closed.
        other.execute("SELECT pg_advisory_xact_lock(%s)", [DEMO_LOCK])
        yield


def test_it_does_not_get_in_the_way_of_a_load(loaded: Any, somebody_else_is_at_it: None) -> None:
    before = everything()
    with pytest.raises(Conflict, match="Try again in a minute"):
        remove()
    assert everything() == before


def test_a_run_says_that_somebody_else_keeps_the_demo(
    loaded: Any, somebody_else_is_at_it: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locking, "WAIT_SECONDS", 0.2)
    with transaction.atomic():
        run = execute(runs.extend(Actor.system("demo")).pk)
    assert run is not None
    assert run.state == "failed"
    assert "Another process" in run.summary["failure"]
