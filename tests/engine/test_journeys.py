"""Journeys: mixtures of paths over services with common nodes below them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from apps.engine.document import TierName
from apps.engine.evaluation.brute_force import simulate
from apps.engine.graph.fleet import FleetEdge, FleetGraph
from apps.engine.journeys.availability import JourneyFleet, Path, Step, evaluate
from apps.engine.journeys.predicted import Predicted
from apps.engine.simulation.random_graphs import random_graph
from apps.engine.types import TIER_BREACH_PROBABILITY
from tests.engine.test_reach import whole_of

OWN = {"web": 0.9995, "pay": 0.9998, "cart": 0.9997, "db": 0.9999, "bank": 0.999}
EDGES = [
    FleetEdge("web", "db"),
    FleetEdge("pay", "db"),
    FleetEdge("pay", "bank", 0.5, 0.9),
    FleetEdge("cart", "db", 1.0, 0.3),
]
CARD = Path("card", 4, (Step("web"), Step("cart"), Step("pay")))
INVOICE = Path("invoice", 1, (Step("web"), Step("cart")))


def predicted(unavailability: float) -> Predicted:
    tiers: dict[TierName, float] = {"aggressive": 1.5 * unavailability, "balanced": 2.5 * unavailability}
    tiers["conservative"] = 4 * unavailability
    return Predicted(tiers)


def fleet(own: dict[str, float] | None = None) -> JourneyFleet:
    graph = FleetGraph(own or OWN, EDGES)
    whole = whole_of(graph)
    return JourneyFleet(graph, whole, {name: predicted(each) for name, each in whole.items()})


def test_random_journeys_agree_with_brute_force() -> None:
    worlds, off = 60_000, []
    for number in range(30):
        generator = np.random.default_rng(number)
        graph = random_graph(generator)
        edges = [dataclasses.replace(edge, group="") for edge in graph.edges]
        graph = dataclasses.replace(graph, edges=edges, rules={})
        names = sorted(graph.own)
        paths = [
            Path(
                f"path {at}",
                generator.uniform(0.2, 1),
                tuple(
                    Step(str(name), float(generator.uniform(0.3, 1)))
                    for name in generator.permutation(names)[: int(generator.integers(1, 4))]
                ),
            )
            for at in range(int(generator.integers(1, 4)))
        ]
        # The same journeys as nodes of the graph, by brute force: draw worlds and let failures spread.
        own = {**graph.own, **{path.name: 1.0 for path in paths}}
        more = [FleetEdge(path.name, step.service_id, step.calls) for path in paths for step in path.steps]
        truth = simulate(FleetGraph(own, [*graph.edges, *more]), worlds, generator)
        total = sum(path.weight for path in paths)
        expected = sum(path.weight / total * truth[path.name] for path in paths)
        whole = {name: 1 - truth[name] for name in graph.own}
        found = evaluate(paths, JourneyFleet(graph, whole, {}), seed=number)
        spread = np.hypot(found.standard_error, np.sqrt(expected * (1 - expected) / worlds))
        off.append(abs(found.availability - expected) / spread)
    assert np.mean(np.array(off) > 3) <= 0.04


def test_what_two_services_share_counts_once() -> None:
    hard = [FleetEdge("web", "db"), FleetEdge("pay", "db")]
    graph = FleetGraph({"web": 1.0, "pay": 1.0, "db": 0.99}, hard)
    found = evaluate([Path("", 1, (Step("web"), Step("pay")))], JourneyFleet(graph, whole_of(graph), {}))
    assert found.availability == pytest.approx(0.99, abs=1e-12)
    assert found.naive == pytest.approx(0.99**2)


def test_paths_are_weighted() -> None:
    found = evaluate([CARD, INVOICE], fleet())
    assert [path.share for path in found.paths] == [0.8, 0.2]
    mixed = sum(path.share * path.availability for path in found.paths)
    assert found.availability == pytest.approx(mixed)
    assert found.paths[0].availability < found.paths[1].availability


def test_a_journey_of_one_service_has_that_services_tiers() -> None:
    graph = FleetGraph({"web": 0.999})
    alone = predicted(1e-3)
    found = evaluate(
        [Path("", 1, (Step("web"),))], JourneyFleet(graph, {"web": 1e-3}, {"web": alone}), target=0.9975
    )
    for name, unavailability in alone.tiers.items():
        assert abs(found.tiers[name] - (1 - unavailability)) < 4 * found.tier_errors[name]
    assert found.chance_missed is not None
    assert found.chance_error is not None
    assert abs(found.chance_missed - 0.05) < 4 * found.chance_error


def test_shared_infrastructure_is_one_draw_for_all_who_stand_on_it() -> None:
    """Two services that fail only through the same database share its bad windows."""
    names = [f"s{at}" for at in range(8)]
    graph = FleetGraph({"db": 0.999, **dict.fromkeys(names, 1.0)}, [FleetEdge(name, "db") for name in names])
    journey = [Path("", 1, tuple(Step(name) for name in names))]
    whole = dict.fromkeys(graph.own, 1e-3)
    found = evaluate(journey, JourneyFleet(graph, whole, {"db": predicted(1e-3)}))
    alone = evaluate([Path("", 1, (Step("db"),))], JourneyFleet(graph, whole, {"db": predicted(1e-3)}))
    assert found.tiers["balanced"] == pytest.approx(alone.tiers["balanced"], abs=1e-12)
    own = FleetGraph(dict.fromkeys(names, 0.999))
    apart = evaluate(journey, JourneyFleet(own, whole, {name: predicted(1e-3) for name in names}))
    assert apart.availability < found.availability


def test_the_interval_widens_with_the_doubt_about_a_service() -> None:
    sure, unsure = fleet(), fleet()
    wide = {
        name: Predicted({**each.tiers, "conservative": 3 * each.tiers["conservative"]})
        for name, each in unsure.predicted.items()
    }
    narrow = evaluate([CARD], sure).tiers
    wider = evaluate([CARD], dataclasses.replace(unsure, predicted=wide)).tiers
    assert wider["conservative"] < narrow["conservative"]


def test_a_service_alone_is_drawn_as_its_tiers_say() -> None:
    said = Predicted({"aggressive": 1e-3, "balanced": 4e-3, "conservative": 2e-2})
    drawn = said.draw(200_000, np.random.default_rng(3))
    for name, chance in TIER_BREACH_PROBABILITY.items():
        assert np.mean(drawn > said.tiers[name]) == pytest.approx(chance, rel=0.05)


def test_one_more_nine_buys_what_the_link_says() -> None:
    before = evaluate([CARD, INVOICE], fleet(), seed=5)
    for link in before.links:
        better = OWN | {link.service_id: 1 - (1 - OWN[link.service_id]) / 10}
        after = evaluate([CARD, INVOICE], fleet(better), seed=5)
        assert after.availability - before.availability == pytest.approx(link.gain, rel=1e-6)
    gains = [link.gain for link in before.links]
    assert gains == sorted(gains, reverse=True)
    assert before.links[0].service_id == "web"
    assert {link.service_id for link in before.links if not link.is_member} == {"db", "bank"}


def test_more_calls_of_a_service_cost_more_but_what_persists_counts_once() -> None:
    def with_calls(calls: float) -> float:
        return 1 - evaluate([Path("", 1, (Step("bank", calls),))], fleet()).availability

    assert with_calls(0.5) == pytest.approx(0.5e-3, rel=1e-6)
    assert with_calls(1) == pytest.approx(1e-3, rel=1e-6)
    assert with_calls(3) == pytest.approx(2e-3, rel=0.01)


def test_the_same_seed_gives_the_same_answer_and_paths_may_come_in_any_order() -> None:
    assert evaluate([CARD, INVOICE], fleet(), seed=2) == evaluate([CARD, INVOICE], fleet(), seed=2)
    there, back = evaluate([CARD, INVOICE], fleet()), evaluate([INVOICE, CARD], fleet())
    assert there.availability == pytest.approx(back.availability, abs=1e-5)


def test_what_nothing_is_predicted_of_is_named() -> None:
    known = fleet()
    some = {name: each for name, each in known.predicted.items() if name != "bank"}
    assert evaluate([CARD], dataclasses.replace(known, predicted=some)).fixed == ("bank",)


@pytest.mark.parametrize(
    ("paths", "words"),
    [
        ([], "needs paths"),
        ([Path("", 0, (Step("web"),))], "weight above 0"),
        ([Path("", 1, ())], "needs a service"),
        ([Path("", 1, (Step("nobody"),))], "not in the graph"),
    ],
)
def test_what_is_no_journey_is_refused(paths: list[Path], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        evaluate(paths, fleet())
