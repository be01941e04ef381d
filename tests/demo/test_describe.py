"""The description of the demo fleet: what it says it shows is there, and mistakes in it are named."""

from __future__ import annotations

import tomllib
from typing import Any

import networkx
import pytest

from apps.demo.description import PATH, DescriptionError, Event, fleet, parse
from apps.slos.models import SliType


def document() -> dict[str, Any]:
    return tomllib.loads(PATH.read_text(encoding="utf-8"))


def test_it_has_about_forty_services_in_four_teams() -> None:
    assert 38 <= len(fleet().services) <= 48
    assert sorted(fleet().teams) == ["payments", "platform", "risk", "shop"]


def test_it_has_the_one_cycle_and_no_other() -> None:
    graph = networkx.DiGraph((call.source, call.target) for call in fleet().calls)
    cycles = [
        sorted(members) for members in networkx.strongly_connected_components(graph) if len(members) > 1
    ]
    assert cycles == [["orders", "pricing", "stock"]]
    assert graph.has_edge("orders", "stock")
    assert graph.has_edge("stock", "pricing")
    assert graph.has_edge("pricing", "orders")


def test_a_database_is_shared_by_many_services() -> None:
    assert len({call.source for call in fleet().calls if call.target == "payments-db"}) >= 4


def test_a_pair_of_gateways_stands_in_for_each_other() -> None:
    pair = [call for call in fleet().calls if call.source == "payout-router" and call.group]
    assert [call.target for call in pair] == ["sepa-gw", "sepa-gw-2"]
    assert len({call.group for call in pair}) == 1


def test_a_provider_has_a_published_sla_and_nothing_else() -> None:
    network = fleet().service("card-network")
    assert network.external
    assert network.telemetry == "none"
    assert network.published_sla == 0.9995


def test_a_soft_dependency_behaves_hard() -> None:
    ledger = next(call for call in fleet().calls if (call.source, call.target) == ("payments-api", "ledger"))
    assert ledger.criticality == "soft"
    assert ledger.hardness > 0.5


def test_there_are_asynchronous_calls_and_they_carry_no_failures() -> None:
    asynchronous = [call for call in fleet().calls if call.mode == "async"]
    assert asynchronous
    assert not any(call.carries_failures for call in asynchronous)


def test_decisions_are_about_known_slis_and_known_users() -> None:
    assert {decision.sli for decision in fleet().decisions} <= set(SliType.values)
    assert {decision.by for decision in fleet().decisions} == {"sre", "owner"}
    keys = [(decision.service, decision.sli) for decision in fleet().decisions]
    assert len(keys) == len(set(keys))


def test_owners_decide_on_their_own_services_only() -> None:
    teams = {
        fleet().service(decision.service).team for decision in fleet().decisions if decision.by == "owner"
    }
    assert teams == {"payments"}


def test_a_weekday_moves_an_event_to_the_last_such_day() -> None:
    event = Event(note="", service="ledger", day=-10, hours=1, hour=14, weekday="friday")
    # Ten days before a Wednesday is a Sunday; the Friday before it is twelve days back.
    assert event.start_hour(anchor_weekday=2) == -12 * 24 + 14
    assert event.start_hour(anchor_weekday=0) == -10 * 24 + 14


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda d: d["services"]["ledger"].update(colour="red"), "services.ledger: unknown field colour"),
        (
            lambda d: d["services"]["ledger"].update(kind="mainframe"),
            "services.ledger: there is no kind mainframe",
        ),
        (
            lambda d: d["services"]["ledger"].update(profile="tides"),
            "services.ledger: there is no profile tides",
        ),
        (lambda d: d["services"]["ledger"]["calls"].update(nobody={"per_request": 1}), "calls nobody"),
        (lambda d: d["events"][0].update(service="nobody"), "there is no service nobody"),
        (lambda d: d["events"][0].update(weekday="doomsday"), "doomsday is no weekday"),
        (lambda d: d["decisions"][0].update(services=["nobody"]), "decisions: there is no service nobody"),
    ],
)
def test_it_names_what_contradicts_itself(change: Any, complaint: str) -> None:
    described = document()
    change(described)
    with pytest.raises(DescriptionError, match=complaint):
        parse(described)
