"""Whether this machine's clock goes with the database's, in words."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from structlog.testing import capture_logs

from apps.core import instants
from apps.core.database import clocks
from tests.core.runs import BEGIN, Moving


@pytest.mark.parametrize(
    ("off", "words"),
    [
        ({"hours": 2}, "2 h ahead of"),
        ({"hours": -2}, "2 h behind"),
        ({"seconds": 9}, "9 s ahead of"),
        ({"minutes": -3}, "3 min behind"),
        ({"days": 40}, "40 d ahead of"),
    ],
)
def test_a_wrong_clock_is_said_to_be(off: dict[str, int], words: str) -> None:
    with instants.clocks(database=Moving(), machine=Moving(BEGIN + timedelta(**off))):
        assert clocks.difference() == f"this machine's clock is {words} the database's"


@pytest.mark.parametrize("seconds", [0, 4, -4])
def test_a_round_trip_is_no_wrong_clock(seconds: int) -> None:
    with instants.clocks(database=Moving(), machine=Moving(BEGIN + timedelta(seconds=seconds))):
        assert clocks.difference() == ""


@pytest.mark.django_db
def test_the_database_is_asked_what_time_it_is() -> None:
    assert abs(instants.skew()) < timedelta(minutes=1)
    assert instants.now().tzinfo is not None


def test_it_is_logged_while_it_is_wrong_and_when_it_is_right_again() -> None:
    machine = Moving()
    with instants.clocks(database=Moving(), machine=machine), capture_logs() as logged:
        clocks.watch()
        machine.move(hours=2)
        clocks.watch()
        machine.move(hours=-2)
        clocks.watch()
        clocks.watch()
    assert [line["event"] for line in logged] == ["clock.off", "clock.right_again"]


@pytest.mark.django_db(transaction=True)
def test_readiness_says_so_and_serves_on(client: Client) -> None:
    with instants.clocks(machine=lambda: instants._machine_clock() + timedelta(hours=2)):
        answer = client.get("/-/ready")
    assert answer.status_code == 200
    found = answer.json()
    assert found["status"] == "degraded"
    assert found["checks"]["clock"] == "this machine's clock is 2 h ahead of the database's"
