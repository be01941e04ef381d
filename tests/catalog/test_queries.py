"""What pages and the engine read of the catalog."""

from __future__ import annotations

from datetime import timedelta

import pytest
from pytest_django import DjangoAssertNumQueries

from apps.catalog import queries
from apps.catalog.models import Service
from apps.catalog.queries import ServiceFilter
from apps.core.errors import InvalidInput, NotFound
from apps.core.json_types import JsonObject
from tests.catalog.conftest import NOW, State, edge


@pytest.fixture
def fleet(state: State) -> None:
    state(
        "web>pay",
        "web>cart",
        services=[
            {"service_id": "web", "team": "shop", "criticality": "critical"},
            {"service_id": "cart", "team": "shop"},
            {"service_id": "Stripe%_", "external": True, "published_sla": 0.999},
        ],
    )


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (ServiceFilter(), ["Stripe%_", "cart", "pay", "web"]),
        (ServiceFilter(search="A"), ["cart", "pay"]),
        (ServiceFilter(search="%_"), ["Stripe%_"]),
        (ServiceFilter(team="shop"), ["cart", "web"]),
        (ServiceFilter(criticality="critical"), ["web"]),
        (ServiceFilter(is_external=True), ["Stripe%_"]),
        (ServiceFilter(is_discovered=True), ["pay"]),
        (ServiceFilter(is_discovered=False, team="shop", search="w"), ["web"]),
    ],
)
def test_a_list_of_services_is_narrowed(fleet: None, wanted: ServiceFilter, found: list[str]) -> None:
    assert sorted(service.service_id for service in queries.services_page(wanted).items) == found


def test_a_list_of_services_comes_in_pages_that_join_up(state: State) -> None:
    state(services=[{"service_id": f"s{number:03}"} for number in range(25)])
    names, cursor = [], None
    for _ in range(3):
        page = queries.services_page(sort="-service_id", cursor=cursor, limit=10)
        names += [service.service_id for service in page.items]
        cursor = page.next_cursor
    assert cursor is None
    assert names == sorted((f"s{number:03}" for number in range(25)), reverse=True)


def test_it_refuses_an_order_that_it_does_not_know(db: None) -> None:
    with pytest.raises(InvalidInput, match="cannot be sorted by colour"):
        queries.services_page(sort="colour")


def test_it_knows_only_what_exists(db: None) -> None:
    with pytest.raises(NotFound):
        queries.get_service("a")
    with pytest.raises(NotFound):
        queries.ingestion("01890000-0000-7000-8000-000000000000")


def test_the_engine_gets_the_edges_of_many_services_in_one_query(
    fleet: None, state: State, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    state(
        dependencies=[
            edge(
                "pay",
                "Stripe%_",
                mode="async",
                criticality="soft",
                calls_per_request=0.5,
                retry_config={"max_attempts": 3},
                redundancy_group="psp",
            )
        ]
    )
    state("web>gone", by="service_mesh", at=NOW - timedelta(days=900))
    pks = dict(Service.objects.values_list("service_id", "pk"))
    with django_assert_num_queries(1):
        found = queries.edges_for_engine([pks["web"], pks["pay"]])
    ends = [(edge_.source_id, edge_.target_id) for edge_ in found]
    assert ends == [("pay", "Stripe%_"), ("web", "cart"), ("web", "pay")]
    first = found[0]
    assert (first.source_pk, first.target_pk) == (pks["pay"], pks["Stripe%_"])
    assert (first.mode, first.criticality, first.calls_per_request) == ("async", "soft", 0.5)
    assert (first.retries, first.redundancy_group) == (2, "psp")
    assert (first.target_is_external, first.target_published_sla) == (True, 0.999)
    assert (found[1].target_is_external, found[1].target_published_sla) == (False, None)
    assert len(queries.edges_for_engine()) == 3


def test_whom_services_wait_for_is_read_in_one_query(
    state: State, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    state("web>pay", "web>cart", "pay>bank", dependencies=[edge("pay", "events", mode="async")])
    state("web>gone", by="service_mesh", at=NOW - timedelta(days=900))
    pks = dict(Service.objects.values_list("service_id", "pk"))
    with django_assert_num_queries(1):
        found = queries.targets_called([pks["web"], pks["pay"], pks["bank"]])
    assert found == {pks["web"]: ["cart", "pay"], pks["pay"]: ["bank"]}


@pytest.mark.parametrize(
    ("config", "retries"),
    [
        ({}, 0),
        ({"max_retries": 2}, 2),
        ({"retries": 1}, 1),
        ({"max_attempts": 3}, 2),
        ({"max_attempts": 0}, 0),
        ({"max_retries": "many"}, 0),
        ({"max_retries": True}, 0),
        ({"max_retries": 10**9}, 100),
    ],
)
def test_it_reads_the_number_of_retries(config: JsonObject, retries: int) -> None:
    assert queries.retries_of(config) == retries


def test_the_overview_gets_counts(fleet: None, state: State) -> None:
    state("cart>web")
    state("old>older", by="service_mesh", at=NOW - timedelta(days=900))
    assert queries.catalog_counts() == {
        "services": 6,
        "discovered": 3,
        "external": 1,
        "without_team": 4,
        "dependencies": 4,
        "stale": 1,
        "open_cycles": 1,
    }
