"""The dependency map: what is drawn around a service, and where its nodes lead."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from apps.catalog.models import Service
from apps.catalog.services import upsert_graph
from tests.catalog.conftest import NOW, State
from tests.pages import HOSTILE_IDS, HTMX, ROLES, client_of, links, text_of

QUERIES = 14


def around(client: Client, name: str, **query: str) -> str:
    response = client.get(reverse("dependency-map-of", args=[name]), query)
    assert response.status_code == 200
    return text_of(response)


@pytest.mark.parametrize("role", ROLES)
def test_every_role_reads_it(state: State, role: str) -> None:
    state("web>api", "api>db")
    assert "it depends on 1" in around(client_of(role), "api")


def test_somebody_who_is_not_signed_in_is_sent_to_sign_in(client: Client, db: None) -> None:
    for address in (reverse("dependency-map"), reverse("dependency-map-of", args=["api"])):
        assert client.get(address)["Location"].startswith(reverse("login"))


def test_without_a_name_it_begins_at_the_service_with_the_most_edges(state: State) -> None:
    state("web>api", "api>db", "api>queue")
    assert "Around api" in text_of(client_of("viewer").get(reverse("dependency-map")))


def test_an_empty_catalog_says_what_will_be_here(db: None) -> None:
    assert "No service yet" in text_of(client_of("viewer").get(reverse("dependency-map")))


def test_a_service_that_is_not_there_is_a_404(db: None) -> None:
    assert client_of("viewer").get(reverse("dependency-map-of", args=["nobody"])).status_code == 404


def test_the_address_says_how_far_and_which_way(state: State) -> None:
    state("web>api", "api>db", "db>disk")
    client = client_of("viewer")
    assert "disk" not in around(client, "api", depth="1")
    assert "disk" in around(client, "api", depth="2")
    downstream = around(client, "api", direction="downstream", depth="2")
    assert "web" not in downstream
    assert "disk" in around(client, "api", depth="99", direction="sideways")  # Nonsense is the default.


def test_a_node_leads_to_its_map_and_the_middle_one_to_its_page(state: State) -> None:
    state("web>api", "api>db")
    client = client_of("viewer")
    response = client.get(reverse("dependency-map-of", args=["api"]))
    assert reverse("dependency-map-of", args=["db"]) in links(response, "/map/")
    assert reverse("service", args=["api"]) in links(response, "/services/")


def test_a_cycle_is_marked_and_listed_with_its_walk(state: State) -> None:
    state("a>b", "b>c", "c>a")
    assert "in a cycle" in around(client_of("viewer"), "a")
    assert "Circular dependencies" in around(client_of("viewer"), "a")


@pytest.mark.parametrize(("role", "sees"), [("sre_admin", True), ("viewer", False), ("auditor", False)])
def test_who_may_acknowledge_a_cycle_sees_the_button(state: State, role: str, sees: bool) -> None:
    state("a>b", "b>a")
    response = client_of(role).get(reverse("dependency-map-of", args=["a"]))
    assert bool(links(response, "/actions/catalog.acknowledge_cycle/")) is sees


def test_htmx_gets_the_drawing_alone(state: State) -> None:
    state("a>b")
    response = client_of("viewer").get(reverse("dependency-map-of", args=["a"]), headers=HTMX)
    assert response.content.decode().lstrip().startswith('<div id="map"')


@pytest.mark.parametrize("name", HOSTILE_IDS)
def test_ids_of_any_characters_are_drawn_and_lead_on(db: None, name: str) -> None:
    rows = [{"source": name, "target": "db"}]
    upsert_graph([], rows, discovery_source="manual", observed_at=NOW)
    client = client_of("viewer")
    response = client.get(reverse("dependency-map-of", args=["db"]))
    assert "<script>alert" not in response.content.decode()
    address = reverse("dependency-map-of", args=[name])
    assert address in links(response, "/map/")
    assert client.get(address).status_code == 200


def test_a_large_neighbourhood_is_cut_and_asks_no_more_of_the_database(state: State) -> None:
    client = client_of("viewer")

    def queries() -> int:
        around(client, "hub")
        with CaptureQueriesContext(connection) as captured:
            around(client, "hub")
        return len(captured)

    state("hub>one")
    few = queries()
    state(*(f"hub>many-{at}" for at in range(90)))
    assert queries() <= few <= QUERIES
    assert "Only the nearest 60 services are drawn" in around(client, "hub")
    assert Service.objects.count() == 92


@pytest.mark.parametrize(("typed", "leads_to"), [("db", "db"), (" WE ", "web"), ("api", "api")])
def test_another_service_is_chosen_by_its_name_or_a_part_of_it(
    state: State, typed: str, leads_to: str
) -> None:
    state("web>api", "api>db", "api2>db")
    answer = client_of("viewer").get(reverse("dependency-map"), {"service": typed})
    assert answer["Location"] == reverse("dependency-map-of", args=[leads_to])


@pytest.mark.parametrize("typed", ["nobody", "ap", "a\0p"])
def test_a_name_that_means_none_or_several_leads_to_the_list(state: State, typed: str) -> None:
    state("web>api", "api2>db")
    answer = client_of("viewer").get(reverse("dependency-map"), {"service": typed})
    assert answer["Location"] == f"{reverse('services')}?q={typed.replace(chr(0), '')}"
