"""The first page: what needs me now, in groups; how the fleet stands."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from apps.accounts.models import Team
from apps.catalog.models import CycleAlert, Service
from apps.core.actions import Actor
from apps.core.dispatcher import dispatch
from apps.slos.objectives import status
from tests.pages import ROLES, client_of, rows_of, text_of
from tests.slos.conftest import compute, make_hours, make_service, steady

QUERIES = 24


def overview(client: Client) -> str:
    response = client.get(reverse("overview"))
    assert response.status_code == 200
    return text_of(response)


@pytest.fixture
def fleet(shop: Team, admin: Actor) -> None:
    services = []
    for name, fails, criticality in (
        ("spent", 0.01, "critical"),
        ("kept", 0.0001, "low"),
        ("bare", 0.001, "high"),
        ("naked", 0.001, "medium"),
    ):
        service = make_service(name, team=shop, criticality=criticality)
        make_hours(service, days=35, fails=steady(fails))
        services.append(service)
    for name in ("spent", "kept"):
        values = {"service_id": name, "sli_type": "availability", "target": 0.999, "rationale": "contract"}
        dispatch("slos.set", values, actor=admin)
    compute(*services)
    status.refresh()


@pytest.mark.parametrize("role", ROLES)
def test_every_role_reads_it(fleet: None, role: str) -> None:
    assert "1 of 4" not in overview(client_of(role))
    assert "2 of 4" in overview(client_of(role))


def test_somebody_who_is_not_signed_in_is_sent_to_sign_in(client: Client, db: None) -> None:
    assert client.get("/")["Location"].startswith(reverse("login"))


def test_what_is_spent_comes_first_and_services_without_an_slo_are_one_row(fleet: None) -> None:
    response = client_of("sre_admin").get(reverse("overview"))
    rows = rows_of(response)
    assert rows[0] == "spent has spent its budget"
    assert rows.count("2 services with a recommendation and no SLO yet") == 1
    words = text_of(response)
    assert "The most critical: bare, naked" in words
    assert words.index("Needs you") < words.index("Budgets, smallest first")


def test_a_budget_that_one_failure_spent_comes_after_those_that_ask_to_act(
    fleet: None, shop: Team, admin: Actor
) -> None:
    """Although it is the further below nothing: 1 failure of 672 requests at 99.999 % is 149 budgets."""
    rare = make_service("rare", team=shop)
    make_hours(rare, days=28, per_hour=1, fails=lambda ago: 1.0 if ago == 1 else 0.0)
    values = {"service_id": "rare", "sli_type": "availability", "target": 0.99999, "rationale": "contract"}
    dispatch("slos.set", values, actor=admin)
    status.refresh()
    response = client_of("sre_admin").get(reverse("overview"))
    assert rows_of(response)[:2] == ["spent has spent its budget", "rare has spent its budget"]
    words = text_of(response)
    assert "Fewer than 3 failures are not a rate: look at them, but it is no emergency. ▲ attend" in words


def test_the_budgets_begin_with_the_least_left_and_hold_slos_only(fleet: None) -> None:
    response = client_of("viewer").get(reverse("overview"))
    assert [name for name in rows_of(response) if name in {"spent", "kept", "bare"}] == ["spent", "kept"]


def test_who_may_not_decide_is_told_who_may(fleet: None) -> None:
    words = overview(client_of("viewer"))
    assert "Waiting for your decision 0 services" in words
    assert "Only an SRE admin or an owner of the service may decide." in words
    assert "with a recommendation and no SLO yet" not in words


def test_an_owner_sees_what_waits_for_their_teams(fleet: None, shop: Team) -> None:
    assert "no SLO yet" in overview(client_of("service_owner", shop))
    other = client_of("service_owner", Team.objects.create(name="risk"))
    assert "with a recommendation and no SLO yet" not in overview(other)


def test_a_cycle_is_shown_as_its_walk(fleet: None) -> None:
    CycleAlert.objects.create(fingerprint="x", members=["bare", "kept"], path=["bare", "kept"])
    assert "bare → kept → bare" in overview(client_of("viewer"))


def test_an_empty_console_says_how_data_gets_in(db: None) -> None:
    words = overview(client_of("viewer"))
    assert "There is no service yet" in words
    assert "import_observations" in words


def test_whoever_can_set_an_empty_console_up_begins_with_that(db: None) -> None:
    response = client_of("sre_admin").get(reverse("overview"))
    assert response["Location"] == reverse("telemetry-setup")


def test_a_console_that_has_only_the_demo_says_how_to_connect_ones_own(fleet: None) -> None:
    Service.objects.update(origin="demo")
    assert "Connect your Prometheus" in overview(client_of("sre_admin"))
    assert "Connect your Prometheus" not in overview(client_of("viewer"))


def test_it_asks_as_much_for_few_services_as_for_many(fleet: None, shop: Team) -> None:
    client = client_of("sre_admin")

    def queries() -> int:
        client.get(reverse("overview"))
        with CaptureQueriesContext(connection) as captured:
            client.get(reverse("overview"))
        return len(captured)

    def grow(begin: int, end: int) -> None:
        for at in range(begin, end):
            make_hours(make_service(f"many-{at}", team=shop), days=1)
        status.refresh()

    grow(0, 15)
    few = queries()
    grow(15, 45)
    assert queries() == few <= QUERIES


def test_services_that_cannot_have_an_slo_are_accounted_for(fleet: None) -> None:
    assert "left out" not in overview(client_of("viewer"))
    make_service("vendor", is_external=True)
    words = overview(client_of("viewer"))
    assert "5 services" in words
    assert "2 of 4 1 external service left out" in words
