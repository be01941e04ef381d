"""What a step changes: a service's composite, each cause of its past, and the calls it makes."""

from __future__ import annotations

import numpy as np
import pytest

from apps.engine.explanation.changed_causes import with_changed_causes
from apps.engine.graph.fleet import FleetEdge, FleetGraph, GroupRule
from apps.engine.journeys.steps import Below, ChangeStep, ImpossibleStep, Level, StepKind, levels
from apps.engine.recommend import recommend
from apps.engine.types import DependencyInput, ServiceInput
from tests.engine.build import end_of, with_dependency
from tests.engine.test_reach import whole_of

OWN = {"web": 0.9995, "pay": 0.9998, "db": 0.9999, "bank": 0.999, "mail": 0.99}
EDGES = [
    FleetEdge("web", "db"),
    FleetEdge("web", "pay", 0.5, 0.8),
    FleetEdge("web", "mail", mode="async"),
    FleetEdge("pay", "bank"),
]
GRAPH = FleetGraph(OWN, EDGES)
BELOW = Below("web", GRAPH, whole_of(GRAPH), {("pay", 500.0): 0.001})
PAY = 1 - 0.9998 * 0.999


def after(kind: StepKind, target: str, value: float) -> Level:
    return levels(BELOW, [ChangeStep(kind, target, value)])[-1]


def test_without_steps_nothing_moves() -> None:
    (level,) = levels(BELOW, [])
    assert (level.ratio, dict(level.scales), level.own_scale, level.added) == (1.0, {}, 1.0, 0.0)
    assert level.unavailability == pytest.approx(BELOW.whole["web"], rel=1e-6)


def test_a_fallback_takes_the_share_that_it_answers() -> None:
    assert after("fallback", "pay", 0.75).scales == {"pay": pytest.approx(0.25)}


def test_a_queue_leaves_only_its_own_failures() -> None:
    level = after("queue", "pay", 0.9999)
    assert level.scales["pay"] == pytest.approx(0.5 * 1e-4 / (0.4 * PAY), rel=1e-3)


def test_a_retry_saves_what_is_transient_and_multiplies_calls_in_an_outage() -> None:
    level = after("retry", "pay", 2)
    assert level.scales["pay"] == pytest.approx(0.5, rel=1e-3)
    (load,) = level.loads
    assert (load.target_id, load.in_outage) == ("pay", 3.0)
    assert load.usual == pytest.approx(1 + 0.5 * 2 * PAY + 0.5 * PAY, rel=1e-3)


def test_a_replica_leaves_what_is_common_and_what_is_below() -> None:
    level = after("replica", "bank", 1)
    bank = 0.1 * 1e-3 + (0.9 * 1e-3) ** 2
    assert level.scales["pay"] == pytest.approx((1 - 0.9998 * (1 - bank)) / PAY, rel=1e-3)
    assert after("replica", "web", 1).own_scale == pytest.approx(0.1, rel=0.01)


def test_a_timeout_fails_what_is_slower() -> None:
    level = after("timeout", "pay", 500.0)
    assert level.ratio > 1
    assert level.scales["pay"] == pytest.approx((PAY + 0.001) / PAY, rel=1e-3)


def test_a_changed_target_replaces_whatever_is_below() -> None:
    assert after("target", "pay", 0.99999).scales["pay"] == pytest.approx(1e-5 / PAY, rel=1e-3)
    assert after("target", "bank", 0.9999).scales["pay"] == pytest.approx(
        (1 - 0.9998 * 0.9999) / PAY, rel=1e-3
    )


def test_steps_add_up_in_order() -> None:
    steps = [
        ChangeStep("fallback", "pay", 0.5),
        ChangeStep("fallback", "pay", 0.5),
        ChangeStep("target", "db", 0.99999),
    ]
    found = levels(BELOW, steps)
    assert [round(level.scales.get("pay", 1.0), 6) for level in found] == [1.0, 0.5, 0.25, 0.25]
    assert found[-1].scales["db"] == pytest.approx(0.1)
    assert [level.ratio for level in found] == sorted((level.ratio for level in found), reverse=True)


def test_behind_a_queue_no_timeout_matters() -> None:
    queue = ChangeStep("queue", "pay", 0.9999)
    alone = levels(BELOW, [queue])[-1]
    both = levels(BELOW, [ChangeStep("timeout", "pay", 500.0), queue])[-1]
    assert both.unavailability == pytest.approx(alone.unavailability, rel=1e-9)


def test_behind_a_queue_a_member_is_no_longer_needed() -> None:
    edges = [FleetEdge("web", each, group="both") for each in ("db", "pay")]
    graph = FleetGraph(OWN, edges, {("web", "both"): GroupRule(2, 0.0)})
    below = Below("web", graph, whole_of(graph))
    first, level = levels(below, [ChangeStep("queue", "pay", 1.0)])
    assert first.unavailability == pytest.approx(1 - 0.9995 * 0.9999 * 0.9998, rel=1e-3)
    assert level.unavailability == pytest.approx(1 - 0.9995 * 0.9999, rel=1e-3)


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (ChangeStep("fallback", "bank", 0.9), "web does not call bank itself"),
        (ChangeStep("fallback", "mail", 0.9), "does not wait for mail"),
        (ChangeStep("timeout", "db", 20.0), "db has no latency histogram"),
        (ChangeStep("replica", "nobody", 1), "does not depend on nobody"),
        (ChangeStep("target", "web", 0.9999), "own target"),
    ],
)
def test_a_step_that_does_not_fit_says_why(step: ChangeStep, words: str) -> None:
    with pytest.raises(ImpossibleStep, match=words):
        levels(BELOW, [step])


def a_service() -> tuple[ServiceInput, int]:
    counts, edge = with_dependency()
    dependency = DependencyInput("db", edge=edge, target=edge)
    return ServiceInput("checkout", counts=counts, dependencies=(dependency,)), end_of(counts)


def balanced(service: ServiceInput, as_of: int) -> float:
    availability = recommend(service, as_of=as_of)["availability"]
    return float(availability["tiers"]["balanced"]["target"])  # type: ignore[index]


def test_the_same_past_gives_the_same_tiers() -> None:
    service, as_of = a_service()
    same, unseen = with_changed_causes(service, as_of=as_of, scales={})
    assert unseen == ()
    assert same.counts is not None
    assert service.counts is not None
    assert np.allclose(same.counts.bad, service.counts.bad)
    assert balanced(same, as_of) == pytest.approx(balanced(service, as_of), abs=1e-9)


def test_a_dependency_that_fails_less_lifts_the_tiers_and_added_failures_lower_them() -> None:
    service, as_of = a_service()
    better, _ = with_changed_causes(service, as_of=as_of, scales={"db": 0.1})
    worse, _ = with_changed_causes(service, as_of=as_of, scales={}, added=1e-3)
    assert balanced(worse, as_of) < balanced(service, as_of) < balanced(better, as_of)


def test_a_dependency_that_the_past_does_not_show_is_named() -> None:
    service, as_of = a_service()
    same, unseen = with_changed_causes(service, as_of=as_of, scales={"never-seen": 0.1})
    assert unseen == ("never-seen",)
    assert balanced(same, as_of) == pytest.approx(balanced(service, as_of), abs=1e-9)
