"""The lists of recommendations and of active SLOs."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from apps.accounts.models import Team
from apps.catalog.models import Service
from apps.core.actions import Actor
from apps.core.dispatcher import dispatch
from apps.slos.objectives import status
from tests.pages import HTMX, ROLES, client_of, rows_of, text_of
from tests.slos.conftest import compute, make_hours, make_service

QUERIES = 14


@pytest.fixture
def pair(checkout: Service) -> Service:
    """A second service, of another team, that has an SLO within its tiers already."""
    other = make_service("ledger", team=Team.objects.create(name="payments"))
    make_hours(other)
    compute(other)
    status.refresh()
    return other


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("name", ["recommendations", "slos"])
def test_every_role_reads_them(pair: Service, role: str, name: str) -> None:
    assert client_of(role).get(reverse(name)).status_code == 200


@pytest.mark.parametrize("name", ["recommendations", "slos"])
def test_somebody_who_is_not_signed_in_is_sent_to_sign_in(client: Client, db: None, name: str) -> None:
    assert client.get(reverse(name))["Location"].startswith(reverse("login"))


def test_an_owner_begins_with_what_waits_for_them(pair: Service, shop: Team) -> None:
    owner = client_of("service_owner", shop)
    assert set(rows_of(owner.get(reverse("recommendations")))) == {"checkout"}
    anybody = owner.get(reverse("recommendations"), {"due": "1"})
    assert set(rows_of(anybody)) == {"checkout", "ledger"}


def test_only_what_waits_is_listed_until_all_is_asked_for(pair: Service) -> None:
    client = client_of("sre_admin")
    waiting = client.get(reverse("recommendations"), {"q": "ledger"})
    assert rows_of(waiting) == ["ledger"]  # It has no latency data, so nothing waits there.
    assert "No availability SLO yet; the balanced tier is" in text_of(waiting)
    everything = client.get(reverse("recommendations"), {"q": "ledger", "due": "all"})
    assert rows_of(everything) == ["ledger"] * 3
    assert "of 1 service" in text_of(everything)
    assert "of 1 service" not in text_of(waiting)


def test_the_address_narrows_by_sli_verdict_and_team(pair: Service) -> None:
    client = client_of("sre_admin")
    found = client.get(reverse("recommendations"), {"due": "all", "sli": "latency_p95", "team": "shop"})
    assert rows_of(found) == ["checkout"]
    assert rows_of(client.get(reverse("recommendations"), {"due": "all", "verdict": "cold_start"})) == []


def test_slos_are_listed_with_their_budget(pair: Service, admin: Actor) -> None:
    assert "No SLO in force" in text_of(client_of("viewer").get(reverse("slos")))
    values = {"service_id": "ledger", "sli_type": "availability", "target": 0.999, "rationale": "contract"}
    dispatch("slos.set", values, actor=admin)
    status.refresh()
    response = client_of("viewer").get(reverse("slos"), {"team": "payments", "sort": "-budget"})
    assert rows_of(response) == ["ledger"]
    assert "99.9 % over 28 days" in text_of(response)
    assert rows_of(client_of("viewer").get(reverse("slos"), {"team": "shop"})) == []


@pytest.mark.parametrize("name", ["recommendations", "slos"])
def test_htmx_gets_the_list_alone(pair: Service, name: str) -> None:
    fragment = client_of("viewer").get(reverse(name), headers=HTMX).content.decode()
    assert "<html" not in fragment
    assert 'id="listing"' in fragment


@pytest.mark.parametrize("name", ["recommendations", "slos"])
def test_they_ask_as_much_for_few_rows_as_for_many(pair: Service, admin: Actor, name: str) -> None:
    client = client_of("sre_admin")

    def queries() -> int:
        client.get(reverse(name))
        with CaptureQueriesContext(connection) as captured:
            client.get(reverse(name))
        return len(captured)

    def set_slo(service_id: str) -> None:
        values = {"service_id": service_id, "sli_type": "availability", "target": 0.99, "rationale": "all"}
        dispatch("slos.set", values, actor=admin)

    set_slo("ledger")
    few = queries()
    services = [make_service(f"many-{at}", team=pair.team) for at in range(12)]
    for service in services:
        make_hours(service, days=10)
        set_slo(service.service_id)
    compute(*services)
    status.refresh()
    assert queries() <= few <= QUERIES


@pytest.mark.parametrize("name", ["recommendations", "slos", "services"])
def test_a_page_that_is_not_there_is_told_so_with_the_way_to_the_first(
    pair: Service, admin: Actor, name: str
) -> None:
    values = {"service_id": "ledger", "sli_type": "availability", "target": 0.99, "rationale": "contract"}
    dispatch("slos.set", values, actor=admin)
    client = client_of("sre_admin")
    response = client.get(reverse(name), {"page": "999", "sort": "service"})
    assert "There is no page 999" in text_of(response)
    assert "on 1 page. Go to the first page" in text_of(response)
    assert 'href="?sort=service"' in response.content.decode()
    assert "page=998" not in response.content.decode()


@pytest.mark.parametrize(
    ("name", "query", "words"),
    [
        ("recommendations", {"verdict": "bogus"}, "There is no verdict “bogus” in this list"),
        ("recommendations", {"q": "nobody"}, "No recommendation matches “nobody”"),
        ("recommendations", {"verdict": "no_data"}, "No recommendation matches the filter"),
        ("slos", {"team": "nobody"}, "There is no team “nobody” in this list"),
        ("slos", {"q": "nobody"}, "No SLO matches “nobody”"),
        ("services", {"state": "bogus"}, "There is no state “bogus” in this list"),
    ],
)
def test_an_empty_list_says_what_in_its_address_left_nothing(
    pair: Service, name: str, query: dict[str, str], words: str
) -> None:
    shown = text_of(client_of("sre_admin").get(reverse(name), query))
    assert words in shown
    assert "Nothing waits for a decision" not in shown
    assert "No SLO in force" not in shown


def test_what_the_overview_counts_is_what_its_links_list(pair: Service, admin: Actor, shop: Team) -> None:
    decided = make_service("decided", team=shop)
    make_hours(decided)
    compute(decided)
    values = {"service_id": "decided", "sli_type": "availability", "target": 0.9999, "rationale": "too much"}
    dispatch("slos.set", values, actor=admin)
    status.refresh()
    client = client_of("sre_admin")
    body = client.get(reverse("overview")).content.decode()
    assert "2 services with a recommendation and no SLO yet" in body
    address = f"{reverse('recommendations')}?due=me&amp;has_slo=no"
    assert body.count(f'href="{address}"') == 2
    assert set(rows_of(client.get(address.replace("&amp;", "&")))) == {"checkout", "ledger"}
    rest = client.get(reverse("recommendations"), {"due": "all", "has_slo": "yes"})
    assert set(rows_of(rest)) == {"decided"}


@pytest.mark.parametrize(("name", "value"), [("has_slo", "yes"), ("promised", "yes")])
def test_addresses_that_people_kept_still_filter(
    pair: Service, admin: Actor, shop: Team, name: str, value: str
) -> None:
    decided = make_service("decided", team=shop)
    make_hours(decided)
    compute(decided)
    values = {"service_id": "decided", "sli_type": "availability", "target": 0.9999, "rationale": "too much"}
    dispatch("slos.set", values, actor=admin)
    status.refresh()
    client = client_of("sre_admin")
    assert set(rows_of(client.get(reverse("recommendations"), {"due": "all", name: value}))) == {"decided"}
    # The filter of the page wins over an old address that it was opened with.
    both = {"due": "all", "promised": "yes", "has_slo": "no"}
    assert "decided" not in set(rows_of(client.get(reverse("recommendations"), both)))


def test_a_provider_is_said_to_rest_on_what_it_publishes(db: None) -> None:
    compute(make_service("vendor", is_external=True, published_sla="0.999"))
    status.refresh()
    words = text_of(
        client_of("viewer").get(reverse("recommendations"), {"due": "all", "sli": "availability"})
    )
    assert "from its published SLA" in words
    assert "vendor" in words


def test_services_that_are_observed_rest_on_no_published_sla(pair: Service) -> None:
    words = text_of(client_of("viewer").get(reverse("recommendations"), {"due": "all"}))
    assert "checkout" in words
    assert "from its published SLA" not in words
