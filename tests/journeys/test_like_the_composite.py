"""A journey to one service comes to what that service's composite says: stand-ins, fallbacks and unknowns alike."""

from __future__ import annotations

import pytest

from apps.accounts.models import Team
from apps.catalog.models import Service
from apps.core.actions import Actor
from apps.core.dispatcher import dispatch
from apps.journeys.making import compute, graph
from apps.journeys.models import Journey
from apps.slos.models import EdgeEstimate
from tests.journeys.conftest import journey_input
from tests.slos.conftest import compute as recommend
from tests.slos.conftest import current, full_hour, make_calls, make_edge, make_hours, make_service, steady

NEAR = 2e-5
"""What sampling and two failures at once are worth here."""


@pytest.fixture
def web(shop: Team) -> Service:
    service = make_service("web", team=shop)
    make_hours(service, fails=steady(0.004), end=full_hour())
    return service


def achieved(actor: Actor) -> float:
    paths = [{"name": "", "weight": 1, "steps": [{"service_id": "web"}]}]
    dispatch("journeys.create", journey_input(paths=paths), actor=actor)
    document, _ = compute.evaluated(Journey.objects.get())
    assert document["availability"] is not None
    return document["availability"]


def stand_ins(web: Service, needed: int, share: float = 0.01) -> list[Service]:
    found = [make_service(name) for name in ("one", "two", "three")]
    for each in found:
        make_hours(each, fails=steady(share), end=full_hour())
        make_edge(web, each, redundancy_group="trio", redundancy_needed=needed)
    return found


@pytest.mark.parametrize("needed", [1, 2, 3])
def test_so_many_stand_ins_must_be_up_as_in_the_composite(web: Service, admin: Actor, needed: int) -> None:
    recommend(*stand_ins(web, needed), web)
    stored = current(web)
    assert achieved(admin) == pytest.approx(stored.composite, abs=NEAR)
    # One needed: β of one in a hundred. Two: three pairs besides. All three: each for itself.
    lost = 1 - stored.document["composite"]["point"] / stored.document["composite"]["own"]
    least, most = {1: (0.0009, 0.0011), 2: (0.0011, 0.0014), 3: (0.003, 0.04)}[needed]
    assert least < lost < most


def test_a_stand_in_of_which_nothing_is_known_takes_nobodys_place(web: Service, admin: Actor) -> None:
    known = stand_ins(web, needed=2)
    make_edge(web, make_service("new"), redundancy_group="trio", redundancy_needed=3)
    recommend(*known, web)
    below = graph.load([web.pk])
    assert below.graph.rules["web", "trio"].needed == 2
    assert below.unknown == ("new",)
    assert achieved(admin) == pytest.approx(current(web).composite, abs=NEAR)


def test_a_stand_in_behind_a_queue_is_none(web: Service, admin: Actor) -> None:
    known = stand_ins(web, needed=3)
    web.outgoing.filter(target=known[0]).update(mode="async")
    recommend(*known, web)
    assert graph.load([web.pk]).graph.rules["web", "trio"].needed == 2
    assert achieved(admin) == pytest.approx(current(web).composite, abs=NEAR)


def test_behind_an_evidenced_fallback_nothing_counts(web: Service, admin: Actor) -> None:
    cache = make_service("cache")
    end = full_hour()

    def often(ago: int) -> float:
        return 0.3 if ago % 31 == 3 else 0.0005

    make_hours(cache, fails=often, end=end)
    make_edge(web, cache, criticality="soft", calls_per_request=1.0)
    make_calls(web, cache, end=end, days=60, per_hour=10_000, fails=often)
    recommend(cache, web)
    edge = EdgeEstimate.objects.get(source=web, target=cache)
    assert edge.has_fallback
    found = achieved(admin)
    assert found == pytest.approx(current(web).composite, abs=NEAR)
    assert found == pytest.approx(0.996, abs=1e-4)
    EdgeEstimate.objects.update(has_fallback=False, hardness=0.5)
    changed = compute.evaluated(Journey.objects.get())[0]["availability"]
    assert changed is not None
    assert changed < found - 0.003


def test_a_caller_that_meets_few_of_its_targets_failures_loses_few(web: Service, admin: Actor) -> None:
    """What the target fails at night strikes those who call it at night."""
    batch, end = make_service("batch"), full_hour()
    make_hours(batch, fails=steady(0.02), end=end)
    make_edge(web, batch, calls_per_request=1.0)
    make_calls(web, batch, end=end, days=60, per_hour=10_000, fails=steady(0.0005))
    recommend(batch, web)
    stored = current(web)
    assert stored.composite is not None
    assert stored.composite > 0.99
    assert achieved(admin) == pytest.approx(stored.composite, abs=NEAR)
