"""What an SLO does upstream: whom it reaches, how far it moves them, whose own SLO breaks."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from apps.accounts.models import Team
from apps.catalog.models import Service
from apps.core.actions import Actor
from apps.core.dispatcher import dispatch
from apps.engine.edges import estimates as engine
from apps.engine.graph import redundancy
from apps.slos.impact import stand_ins, upstream
from apps.slos.impact.analysis import Effect, analyse
from apps.slos.impact.callers import Reaching, reaching
from apps.slos.models import EdgeEstimate, Recommendation, ServiceStatus
from tests.slos.conftest import full_hour, make_edge, make_service

SURE = {"calls_per_request": 1.0}


@pytest.fixture
def fleet(shop: Team) -> dict[str, Service]:
    return {name: make_service(name, team=shop) for name in ("web", "app", "batch", "db", "mail")}


def estimate(source: Service, target: Service, q: float, h: float, **values: Any) -> None:
    EdgeEstimate.objects.create(
        source=source,
        target=target,
        call_probability=q,
        call_probability_source="observed",
        hardness=h,
        **{"hardness_source": "observed"} | values,
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


def set_slo(service: Service, target: float, actor: Actor) -> None:
    dispatch(
        "slos.set",
        {"service_id": service.service_id, "sli_type": "availability", "target": target, "rationale": "why"},
        actor=actor,
    )


def effects(
    service: Service, proposed: float, sli_type: str = "availability", depth: int | None = None
) -> dict[str, Effect]:
    return {effect.service_id: effect for effect in analyse(service, sli_type, proposed, depth).affected}


def test_the_priors_are_those_of_the_engine() -> None:
    assert dict(engine.CALL_PROBABILITY_PRIOR) == upstream.CALL_PROBABILITY_PRIOR
    assert dict(engine.HARDNESS_PRIOR) == upstream.HARDNESS_PRIOR
    assert engine.EXTERNAL_ALLOWANCE == upstream.EXTERNAL_ALLOWANCE
    assert redundancy.COMMON_CAUSE_SHARE == stand_ins.COMMON_CAUSE_SHARE
    assert redundancy.PERSISTENT_SHARE == stand_ins.PERSISTENT_SHARE


def test_the_change_is_q_times_h_along_a_chain(fleet: dict[str, Service], owner: Actor) -> None:
    web, app, db = fleet["web"], fleet["app"], fleet["db"]
    make_edge(web, app)
    make_edge(app, db)
    estimate(app, db, 0.5, 0.8)
    estimate(web, app, 0.9, 1.0)
    for service, seen in ((web, 0.9990), (app, 0.9993), (db, 0.9999)):
        observe(service, seen)
    set_slo(db, 0.9995, owner)
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


def test_it_names_the_slo_that_breaks_and_by_how_much(fleet: dict[str, Service], owner: Actor) -> None:
    web, app, db = fleet["web"], fleet["app"], fleet["db"]
    make_edge(app, db)
    make_edge(web, db)
    estimate(app, db, 1.0, 1.0)
    estimate(web, db, 0.01, 1.0)
    for service in (web, app, db):
        observe(service, 0.9996)
    set_slo(app, 0.999, owner)
    set_slo(web, 0.999, owner)
    found = analyse(db, "availability", 0.998)
    assert [effect.service_id for effect in found.affected] == ["app", "web"]
    assert (found.broken, found.affected[0].breaks, found.affected[1].breaks) == (1, True, False)
    assert found.affected[0].shortfall == pytest.approx(0.999 - 0.998)
    assert analyse(db, "availability", 0.9995).broken == 0


def test_what_is_broken_today_is_not_blamed_on_the_proposal(fleet: dict[str, Service], owner: Actor) -> None:
    make_edge(fleet["app"], fleet["db"])
    observe(fleet["app"], 0.99)
    observe(fleet["db"], 0.9999)
    set_slo(fleet["app"], 0.999, owner)
    effect = effects(fleet["db"], 0.99)["app"]
    assert (effect.was_broken, effect.breaks) == (True, False)


def test_depth_limits_how_far_it_looks(fleet: dict[str, Service]) -> None:
    make_edge(fleet["web"], fleet["app"])
    make_edge(fleet["app"], fleet["db"])
    found = analyse(fleet["db"], "availability", 0.99, 1)
    assert [effect.service_id for effect in found.affected] == ["app"]
    assert found.not_looked_at is not None
    assert found.not_looked_at.startswith("Looked 1 call far:")
    assert analyse(fleet["db"], "availability", 0.99, 2).not_looked_at is None


def chain(length: int, team: Team) -> list[Service]:
    """Services of which each calls the one before."""
    services = [make_service(f"link-{at:02}", team=team) for at in range(length)]
    for target, source in pairwise(services):
        make_edge(source, target, calls_per_request=1.0)
        estimate(source, target, 1.0, 1.0)
    return services


def test_it_looks_as_far_as_the_graph_goes(shop: Team, owner: Actor) -> None:
    services = chain(15, shop)
    set_slo(services[-1], 0.99, owner)
    found = analyse(services[0], "availability", 0.5)
    assert {effect.service_id: effect.depth for effect in found.affected} == {
        service.service_id: at for at, service in enumerate(services) if at
    }
    assert found.affected[-1].influence == pytest.approx(1.0)
    assert (found.depth, found.not_looked_at) == (14, None)
    assert reaching(services[0], limit=6) == Reaching(1, ["link-14"])


def test_a_cycle_far_up_is_walked_once(shop: Team) -> None:
    services = chain(14, shop)
    make_edge(services[11], services[13], calls_per_request=1.0)
    make_edge(services[0], services[12], calls_per_request=1.0)
    found = analyse(services[0], "availability", 0.5)
    assert len(found.affected) == 13
    assert reaching(services[0], limit=6) == Reaching(0, [])


def test_an_evidenced_fallback_stops_a_failure(fleet: dict[str, Service]) -> None:
    make_edge(fleet["app"], fleet["db"], criticality="soft")
    make_edge(fleet["web"], fleet["app"])
    estimate(fleet["app"], fleet["db"], 1.0, 0.05, has_fallback=True)
    found = effects(fleet["db"], 0.5)
    assert (found["app"].influence, found["web"].influence) == (0, 0)
    # Its answers are waited for all the same.
    assert effects(fleet["db"], 400, "latency_p95")["app"].influence == 1


def test_retries_count_unless_hardness_was_measured_with_them(fleet: dict[str, Service]) -> None:
    for name, source in (("app", "prior"), ("web", "observed")):
        make_edge(fleet[name], fleet["db"], retry_config={"max_attempts": 3})
        estimate(fleet[name], fleet["db"], 0.8, 0.9, hardness_source=source, availability=0.9999)
    make_edge(fleet["mail"], fleet["db"], retry_config={"max_retries": 1})
    found = effects(fleet["db"], 0.99)
    assert found["web"].influence == pytest.approx(0.72)
    assert found["app"].influence == pytest.approx(0.72 * (0.5 + 0.5 * 0.01**2))
    assert found["mail"].influence == pytest.approx(0.9 * (0.5 + 0.5 * 0.01))


@pytest.mark.parametrize("retries", [0, 2])
@pytest.mark.parametrize(("needed", "availability"), [(1, 0.999), (1, 0.9), (2, 0.999)])
def test_a_member_of_a_group_moves_its_caller_as_the_composite_does(
    fleet: dict[str, Service], needed: int, availability: float, retries: int
) -> None:
    app, web, db, batch, mail = (fleet[name] for name in ("app", "web", "db", "batch", "mail"))
    for target, up in ((db, 0.9995), (batch, availability), (mail, 0.998)):
        make_edge(
            app,
            target,
            redundancy_group="stores",
            redundancy_needed=needed,
            retry_config={"max_retries": retries},
        )
        estimate(app, target, 0.3, 0.9, hardness_source="prior", availability=up)
        observe(target, up)
    make_edge(web, app)
    estimate(web, app, 1.0, 1.0)
    observe(app, 0.995)
    proposed = 0.97
    effect = effects(db, proposed)["app"]
    before, after = (
        0.9
        * 0.9
        * redundancy.stand_in_unavailability(
            [redundancy.retried_unavailability(down, retries) for down in (1 - up, 1 - availability, 0.002)],
            needed=needed,
        )
        for up in (0.9995, proposed)
    )
    change = (effect.after or 0) - (effect.before or 0)
    # A member that is down for sure has no share β left that would strike alone.
    assert -1.12 * (after - before) <= change <= -(after - before) * (1 - 1e-9)
    assert effects(db, proposed)["web"].influence == pytest.approx(effect.influence)


def test_stand_ins_that_rest_on_one_service_fall_together(fleet: dict[str, Service]) -> None:
    web, app, batch, db, mail = (fleet[name] for name in ("web", "app", "batch", "db", "mail"))
    for target in (app, batch):
        make_edge(web, target, redundancy_group="copies")
        estimate(web, target, 0.5, 0.9, hardness_source="prior", availability=0.999)
        make_edge(target, db)
        estimate(target, db, 1.0, 1.0)
    make_edge(mail, app, redundancy_group="copies")
    estimate(mail, app, 1.0, 0.9, hardness_source="prior", availability=0.999)
    found = effects(db, 0.99)
    assert found["web"].influence == pytest.approx(0.9, rel=1e-3)
    # A group of one is no group; one of which nothing is known takes nobody's place.
    assert found["mail"].influence == pytest.approx(0.9)
    make_edge(mail, make_service("unseen"), redundancy_group="copies")
    assert effects(db, 0.99)["mail"].influence == pytest.approx(0.9)
    EdgeEstimate.objects.filter(source=web, target=batch).update(has_fallback=True)
    assert effects(db, 0.99)["web"].influence == pytest.approx(0.45)


def test_a_slow_service_breaks_a_faster_slo_upstream(fleet: dict[str, Service], owner: Actor) -> None:
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


def test_a_latency_that_is_seen_already_is_not_blamed_on_the_proposal(
    fleet: dict[str, Service], owner: Actor
) -> None:
    app, db = fleet["app"], fleet["db"]
    make_edge(app, db)
    estimate(app, db, 1.0, 0.2)
    dispatch(
        "slos.set",
        {"service_id": "app", "sli_type": "latency_p99", "threshold_ms": 300, "rationale": "why"},
        actor=owner,
    )
    unknown = analyse(db, "latency_p95", 400)
    assert (unknown.current, unknown.current_source, unknown.broken) == (None, "unknown", 1)
    now = full_hour()
    for days, seen in ((2, 120.0), (1, 350.0)):
        Recommendation.objects.create(
            service=db,
            sli_type="latency_p95",
            status="superseded",
            verdict="ok",
            confidence=0.9,
            document={"observed": seen},
            shared={},
            as_of=now,
            window_days=28,
            seed=0,
            generated_at=now - timedelta(days=days),
            expires_at=now,
        )
    found = analyse(db, "latency_p95", 400)
    assert (found.current, found.current_source, found.broken) == (350.0, "observed", 0)
    (effect,) = [each for each in found.affected if each.threshold_ms is not None]
    assert effect.was_broken


def test_who_has_a_slo_upstream_is_named_nearest_first(fleet: dict[str, Service], owner: Actor) -> None:
    make_edge(fleet["web"], fleet["app"])
    make_edge(fleet["app"], fleet["db"])
    make_edge(fleet["db"], fleet["web"])
    make_edge(fleet["batch"], fleet["db"])
    for name in ("web", "app", "db"):
        set_slo(fleet[name], 0.99, owner)
    assert reaching(fleet["db"], limit=6) == Reaching(2, ["app", "web"])
    assert reaching(fleet["db"], limit=1) == Reaching(2, ["app"])
