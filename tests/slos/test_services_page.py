"""The table of services: filters, order and page stand in the address; the file holds what is shown."""

from __future__ import annotations

import csv
import io
import re
from typing import Any
from urllib.parse import urlencode

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from apps.accounts.models import Team
from apps.catalog.models import Service
from apps.slos.objectives import status
from tests.pages import HOSTILE_IDS, HTMX, ROLES, client_of, rows_of, text_of
from tests.slos.conftest import make_hours, make_service, steady

QUERIES = 12


@pytest.fixture
def fleet(shop: Team) -> Team:
    payments = Team.objects.create(name="payments")
    make_hours(make_service("cart", team=shop, criticality="high"), days=2, fails=steady(0.01))
    make_hours(make_service("ledger", team=payments, criticality="critical"), days=2, fails=steady(0.0001))
    make_service("vendor", is_external=True)
    status.refresh()
    return payments


def file_of(response: Any) -> str:
    return b"".join(response.streaming_content).decode()


def shown(client: Client, **query: str) -> list[str]:
    response = client.get(reverse("services"), query)
    assert response.status_code == 200
    return rows_of(response)


@pytest.mark.parametrize("role", ROLES)
def test_every_role_reads_it(fleet: Team, role: str) -> None:
    assert sorted(shown(client_of(role))) == ["cart", "ledger", "vendor"]


def test_somebody_who_is_not_signed_in_is_sent_to_sign_in(client: Client, db: None) -> None:
    for name in ("services", "services-csv"):
        assert client.get(reverse(name))["Location"].startswith(reverse("login"))


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"team": "payments"}, ["ledger"]),
        ({"criticality": "high"}, ["cart"]),
        ({"kind": "external"}, ["vendor"]),
        ({"kind": "own", "sort": "service"}, ["cart", "ledger"]),
        ({"q": "EDG"}, ["ledger"]),
        ({"sort": "-service"}, ["vendor", "ledger", "cart"]),
        ({"sort": "observed"}, ["cart", "ledger", "vendor"]),
        ({"sort": "-observed"}, ["ledger", "cart", "vendor"]),
        ({"state": "no_data"}, ["vendor"]),
        ({"sort": "nonsense", "page": "zero", "team": ""}, None),
    ],
)
def test_the_address_says_what_is_shown(
    fleet: Team, query: dict[str, str], expected: list[str] | None
) -> None:
    found = shown(client_of("viewer"), **query)
    assert found == expected if expected is not None else len(found) == 3


def test_it_says_how_many_of_how_many_and_leads_on(shop: Team) -> None:
    for at in range(120):
        make_service(f"service-{at:03}", team=shop)
    client = client_of("viewer")
    first = client.get(reverse("services"), {"sort": "service", "team": "shop"})
    assert "100 of 120 services" in text_of(first)
    assert 'rel="next" href="?sort=service&amp;team=shop&amp;page=2"' in first.content.decode()
    second = client.get(reverse("services"), {"sort": "service", "page": "2"})
    assert rows_of(second)[0] == "service-100"
    assert 'rel="prev"' in second.content.decode()


def test_nothing_matches_says_what_to_do(fleet: Team) -> None:
    words = text_of(client_of("viewer").get(reverse("services"), {"q": "no such name"}))
    assert "No service matches" in words
    assert "Change or clear the filter" in words


def test_every_filter_offers_what_it_takes(fleet: Team) -> None:
    html = client_of("viewer").get(reverse("services")).content.decode()
    offered = re.findall(r'<option value="([^"]*)"', html)
    for value in ("shop", "critical", "high", "medium", "low", "act", "attend", "due", "no_slo", "no_data"):
        assert value in offered
    assert "all teams" in html


def test_htmx_gets_the_list_alone(fleet: Team) -> None:
    fragment = client_of("viewer").get(reverse("services"), headers=HTMX).content.decode()
    assert "<html" not in fragment
    assert 'id="listing"' in fragment


def test_the_file_holds_all_that_the_filter_shows(fleet: Team) -> None:
    client = client_of("viewer")
    for at in range(110):
        make_service(f"more-{at:03}", team=fleet)
    response = client.get(reverse("services-csv"), {"team": "payments", "sort": "service"})
    assert "services.csv" in response["Content-Disposition"]
    text = file_of(response)
    rows = list(csv.DictReader(io.StringIO(text)))
    assert len(rows) == 111
    assert rows[0]["service_id"] == "ledger"
    assert rows[0]["criticality"] == "critical"
    assert float(rows[0]["observed"]) == pytest.approx(0.9999, abs=5e-5)


def test_the_file_is_no_spreadsheet_program(shop: Team) -> None:
    make_service("=cmd|' /C calc'!A0", team=shop)
    response = client_of("viewer").get(reverse("services-csv"))
    assert "'=cmd" in file_of(response)


def test_ids_of_any_characters_are_listed_as_they_are_and_lead_to_their_page(db: None) -> None:
    for name in HOSTILE_IDS:
        make_service(name)
    client = client_of("viewer")
    response = client.get(reverse("services"), {"sort": "service"})
    assert sorted(rows_of(response)) == sorted(HOSTILE_IDS)
    assert "<script>alert" not in response.content.decode()
    for name in HOSTILE_IDS:
        found = client.get(f"{reverse('services')}?{urlencode({'q': name})}")
        assert name in rows_of(found)


def test_it_asks_as_much_for_two_services_as_for_many(shop: Team) -> None:
    client = client_of("sre_admin")

    def queries() -> int:
        status.refresh()
        client.get(reverse("services"))
        with CaptureQueriesContext(
            connection,
        ) as captured:
            client.get(reverse("services"))
        return len(captured)

    make_service("one", team=shop)
    few = queries()
    Service.objects.bulk_create(Service(service_id=f"many-{at}", team=shop) for at in range(90))
    assert queries() == few <= QUERIES


def test_the_search_of_the_bar_leads_here(fleet: Team) -> None:
    response: Any = client_of("viewer").get(reverse("overview"))
    assert f'action="{reverse("services")}"' in response.content.decode()


def test_a_file_says_true_and_false_as_the_import_reads_them(fleet: Team) -> None:
    text = file_of(client_of("viewer").get(reverse("services-csv"), {"sort": "service"}))
    found = {row["service_id"]: row["external"] for row in csv.DictReader(io.StringIO(text))}
    assert found == {"cart": "false", "ledger": "false", "vendor": "true"}


def test_a_list_without_any_service_says_how_one_gets_in(db: None) -> None:
    words = text_of(client_of("viewer").get(reverse("services")))
    assert "No service yet" in words
    assert "Imports" in words
    assert "Change or clear the filter" not in words


def test_one_match_is_one_service(fleet: Team) -> None:
    words = text_of(client_of("viewer").get(reverse("services"), {"q": "cart"}))
    assert "1 service " in words
    assert "1 services" not in words
