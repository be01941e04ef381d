"""What a promise does upstream: whom it reaches, how far it moves them, whose own promise breaks."""

from __future__ import annotations

import pytest

from apps.accounts.models import Team
from apps.catalog.models import Service
from apps.core.actions import Actor
from apps.core.dispatcher import dispatch
from apps.engine.edges import estimates as engine
from apps.slos import impact
from apps.slos.impact import Effect, analyse
from apps.slos.models import EdgeEstimate, ServiceStatus
from tests.slos.conftest import full_hour, make_edge, make_service

SURE = {"calls_per_request": 1.0}


@pytest.fixture
def fleet(shop: Team) -> dict[str, Service]:
    return {name: make_service(name, team=shop) for name in ("web", "app", "batch", "db", "mail")}


def estimate(source: Service, target: Service, q: float, h: float) -> None:
    EdgeEstimate.objects.create(
        source=source,
        target=target,
        call_probability=q,
        call_probability_source="observed",
        hardness=h,
        hardness_source="observed",
    )


def observe(service: Service, availability: float) -> None:
    ServiceStatus.objects.create(
        service=service,
        computed_at=full_hour(),
        as_of=full_hour(),
        observed=availability,
        window_days=28,
        state="no_slo",
    )


def promise(service: Service, target: float, actor: Actor) -> None:
    dispatch(
        "slos.set",
        {"service_id": service.service_id, "sli_type": "availability", "target": target, "rationale": "why"},
        actor=actor,
    )


def effects(
    service: Service, proposed: float, sli_type: str = "availability", depth: int = 5
) -> dict[str, Effect]:
    return {effect.service_id: effect for effect in analyse(service, sli_type, proposed, depth).affected}


def test_the_priors_are_those_of_the_engine() -> None:
    assert dict(engine.CALL_PROBABILITY_PRIOR) == impact.CALL_PROBABILITY_PRIOR
    assert dict(engine.HARDNESS_PRIOR) == impact.HARDNESS_PRIOR


def test_the_change_is_q_times_h_along_a_chain(fleet: dict[str, Service], owner: Actor) -> None:
    web, app, db = fleet["web"], fleet["app"], fleet["db"]
    make_edge(web, app)
    make_edge(app, db)
    estimate(app, db, 0.5, 0.8)
    estimate(web, app, 0.9, 1.0)
    for service, seen in ((web, 0.9990), (app, 0.9993), (db, 0.9999)):
        observe(service, seen)
    promise(db, 0.9995, owner)
    found = effects(db, 0.9975)
    assert (found["app"].depth, found["app"].is_direct, found["web"].is_direct) == (1, True, False)
    assert found["app"].influence == pytest.approx(0.4)
    assert found["web"].influence == pytest.approx(0.36)
    change = (found["app"].after or 0) - (found["app"].before or 0)
    assert change == pytest.approx(0.4 * (0.9975 - 0.9995))
    assert found["app"].before == pytest.approx(0.9993 - 0.4 * (0.9999 - 0.9995))


def test_a_service_reached_by_two_paths_is_hit_once(fleet: dict[str, Service]) -> None:
    web, app, batch, db = (fleet[name] for name in ("web", "app", "batch", "db"))
    for source, target in ((web, app), (web, batch), (app, db), (batch, db)):
        make_edge(source, target)
        estimate(source, target, 1.0, 0.9)
    found = effects(db, 0.99)
    assert found["web"].influence == pytest.approx(1 - (1 - 0.81) ** 2)
    assert found["web"].influence < 2 * 0.81


def test_a_cycle_comes_to_an_end_and_stays_a_probability(fleet: dict[str, Service]) -> None:
    web, app, db = fleet["web"], fleet["app"], fleet["db"]
    for source, target in ((web, app), (app, web), (app, db), (db, app)):
        make_edge(source, target)
        estimate(source, target, 1.0, 0.9)
    found = effects(db, 0.99)
    assert set(found) == {"app", "web"}
    for effect in found.values():
        assert 0 < effect.influence < 1
    # r(app) = 1 − (1 − 0.9)(1 − 0.9·r(web)), r(web) = 0.9·r(app)
    assert found["app"].influence == pytest.approx(0.9 / (1 - 0.1 * 0.81))


def test_asynchronous_and_stale_edges_carry_nothing(fleet: dict[str, Service]) -> None:
    make_edge(fleet["mail"], fleet["db"], mode="async")
    make_edge(fleet["batch"], fleet["db"], is_stale=True)
    found = effects(fleet["db"], 0.5)
    assert found["mail"].influence == 0
    assert "batch" not in found


def test_without_an_estimate_declared_calls_and_priors_stand_in(fleet: dict[str, Service]) -> None:
    make_edge(fleet["app"], fleet["db"], calls_per_request=0.25)
    make_edge(fleet["web"], fleet["db"], criticality="soft")
    found = effects(fleet["db"], 0.99)
    assert found["app"].influence == pytest.approx(0.25 * 0.9)
    assert found["web"].influence == pytest.approx(0.5 * 0.1)


def test_it_names_the_promise_that_breaks_and_by_how_much(fleet: dict[str, Service], owner: Actor) -> None:
    web, app, db = fleet["web"], fleet["app"], fleet["db"]
    make_edge(app, db)
    make_edge(web, db)
    estimate(app, db, 1.0, 1.0)
    estimate(web, db, 0.01, 1.0)
    for service in (web, app, db):
        observe(service, 0.9996)
    promise(app, 0.999, owner)
    promise(web, 0.999, owner)
    found = analyse(db, "availability", 0.998)
    assert [effect.service_id for effect in found.affected] == ["app", "web"]
    assert (found.broken, found.affected[0].breaks, found.affected[1].breaks) == (1, True, False)
    assert found.affected[0].shortfall == pytest.approx(0.999 - 0.998)
    assert analyse(db, "availability", 0.9995).broken == 0


def test_what_is_broken_today_is_not_blamed_on_the_proposal(fleet: dict[str, Service], owner: Actor) -> None:
    make_edge(fleet["app"], fleet["db"])
    observe(fleet["app"], 0.99)
    observe(fleet["db"], 0.9999)
    promise(fleet["app"], 0.999, owner)
    effect = effects(fleet["db"], 0.99)["app"]
    assert (effect.was_broken, effect.breaks) == (True, False)


def test_depth_limits_how_far_it_looks(fleet: dict[str, Service]) -> None:
    make_edge(fleet["web"], fleet["app"])
    make_edge(fleet["app"], fleet["db"])
    assert set(effects(fleet["db"], 0.99, depth=1)) == {"app"}


def test_a_slow_service_breaks_a_faster_promise_upstream(fleet: dict[str, Service], owner: Actor) -> None:
    web, app, db = fleet["web"], fleet["app"], fleet["db"]
    make_edge(app, db)
    make_edge(web, db)
    estimate(app, db, 1.0, 0.2)
    estimate(web, db, 0.1, 0.2)
    for service in (app, web):
        dispatch(
            "slos.set",
            {
                "service_id": service.service_id,
                "sli_type": "latency_p99",
                "threshold_ms": 300,
                "rationale": "why",
            },
            actor=owner,
        )
    found = analyse(db, "latency_p95", 400)
    with_slo = {effect.service_id: effect for effect in found.affected if effect.threshold_ms is not None}
    # One request in twenty is slower than 400 ms; app allows one in a hundred, and always waits for the
    # database.
    assert with_slo["app"].breaks
    assert with_slo["app"].shortfall == pytest.approx(0.04)
    assert not with_slo["web"].breaks
    assert with_slo["app"].before is None
    assert analyse(db, "latency_p95", 250).broken == 0


def test_who_has_a_promise_upstream_is_named_nearest_first(fleet: dict[str, Service], owner: Actor) -> None:
    make_edge(fleet["web"], fleet["app"])
    make_edge(fleet["app"], fleet["db"])
    make_edge(fleet["db"], fleet["web"])
    make_edge(fleet["batch"], fleet["db"])
    for name in ("web", "app", "db"):
        promise(fleet[name], 0.99, owner)
    assert impact.upstream_with_slo(fleet["db"]) == ["app", "web"]
