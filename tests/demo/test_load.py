"""Loading the demo into a database without it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from apps.accounts.models import Team, User
from apps.catalog.models import Service
from apps.core.actions import Actor
from apps.core.dispatcher import dispatch
from apps.core.errors import Conflict, NotAllowed
from apps.core.models import AuditEntry
from apps.demo import queries, services
from apps.telemetry.models import EdgeHour, LatencyHour, SliDay, SliHour
from apps.telemetry.queries import newest_ends
from tests.demo.fleets import NOW, tiny_fleet

END = NOW.replace(minute=0)


def stored() -> list[list[tuple[Any, ...]]]:
    """Everything that was observed of the demo."""
    return [
        sorted(model.objects.values_list(), key=repr) for model in (SliHour, SliDay, LatencyHour, EdgeHour)
    ]


@pytest.mark.parametrize("what", ["service", "team"])
def test_it_stays_out_where_its_names_are_taken(db: None, what: str) -> None:
    if what == "service":
        Service.objects.create(service_id="orders")
    else:
        Team.objects.create(name="payments")
    with pytest.raises(Conflict, match="orders" if what == "service" else "team payments"):
        dispatch("demo.load", {}, actor=Actor.system("test"))
    assert not AuditEntry.objects.exists()


def test_only_an_sre_admin_may_load_it(db: None) -> None:
    owner = User.objects.create(username="olga", role=User.Role.SERVICE_OWNER)
    with pytest.raises(NotAllowed):
        dispatch("demo.load", {}, actor=Actor.person(owner, AuditEntry.Source.WEB))


def test_a_user_name_that_somebody_has_is_left_to_them(load: Callable[[], Any]) -> None:
    mine = User.objects.create(username="sre", role=User.Role.VIEWER)
    load()
    mine.refresh_from_db()
    assert (mine.role, mine.origin) == ("viewer", "")
    assert User.objects.get(username="demo-sre").role == User.Role.SRE_ADMIN


def test_nothing_happens_where_the_demo_was_never_asked_for(db: None, passwords: Path) -> None:
    report = services.bring_up_to_date(NOW, demo=tiny_fleet())
    assert not report.is_here
    assert not Service.objects.exists()
    assert not passwords.exists()


def test_the_next_hour_is_added_and_equals_a_fresh_load(load: Callable[[], Any], clock: Any) -> None:
    load()
    clock.move_to(NOW + timedelta(hours=11))  # past midnight
    for hours in (1, 2, 11):
        assert services.bring_up_to_date(NOW + timedelta(hours=hours), demo=tiny_fleet()).hours
    extended = stored()
    pks = queries.service_pks()
    assert max(newest_ends(pks, NOW + timedelta(hours=11)).values()) == END + timedelta(hours=11)
    for model in (SliHour, SliDay, LatencyHour):
        model.objects.filter(service__in=pks).delete()
    EdgeHour.objects.filter(source__in=pks).delete()
    services.bring_up_to_date(NOW + timedelta(hours=11), demo=tiny_fleet())
    # A day on, the fresh load begins a day later; what both have is the same.
    for grown, fresh in zip(extended, stored(), strict=True):
        assert len(fresh) > 100
        assert set(map(repr, fresh)) <= set(map(repr, grown))
