"""A composed graph agrees with brute force: shared nodes count once, and so do failures in cycles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.engine.evaluation.composite import METHODS, evaluate_graph
from apps.engine.graph import sampling, spreading
from apps.engine.graph.composing import compose_fleet
from apps.engine.graph.draws import Worlds
from apps.engine.graph.fleet import FleetEdge, FleetGraph, GroupRule
from apps.engine.graph.redundancy import k_of_n_unavailability, load_amplification, retried_unavailability
from apps.engine.graph.spreading import Cycle
from apps.engine.simulation.random_graphs import random_graph

WORLDS = 60_000
GRAPHS = 40


@pytest.mark.parametrize("method", METHODS)
def test_random_graphs_agree_with_brute_force(method: str) -> None:
    off = [
        abs(each.off)
        for number in range(GRAPHS)
        for each in evaluate_graph(1, number, worlds=WORLDS)
        if each.method == method
    ]
    # If the errors are normal, one in 370 is beyond three standard errors.
    assert sum(each > 3 for each in off) <= 3
    assert max(off) < 4.5
    assert sum(each > 2 for each in off) / len(off) < 0.08


def test_the_order_of_nodes_and_edges_does_not_matter() -> None:
    for number in range(10):
        graph = random_graph(np.random.default_rng(number))
        turned = replace(
            graph, own=dict(reversed(list(graph.own.items()))), edges=tuple(reversed(graph.edges))
        )
        assert compose_fleet(turned) == compose_fleet(graph)


def test_sampled_figures_say_how_sure_they_are_and_repeat() -> None:
    graph = random_graph(np.random.default_rng(4))
    exact = compose_fleet(graph)
    sampled = compose_fleet(graph, max_conditioned=-1, seed=3)
    assert all(each.is_exact and each.standard_error == 0 for each in exact.nodes.values())
    for name, each in sampled.nodes.items():
        assert not each.is_exact
        assert each.standard_error < 0.05 * (1 - each.availability) + 1e-12
        assert each.availability == pytest.approx(exact.nodes[name].availability, abs=4 * each.standard_error)
    assert compose_fleet(graph, max_conditioned=-1, seed=3) == sampled


def test_rare_failures_are_sampled_closely_enough() -> None:
    own = {"web": 1.0, "mesh": 0.99999} | {f"s{at}": 0.99995 for at in range(8)}
    edges = [FleetEdge("web", f"s{at}") for at in range(8)] + [FleetEdge(f"s{at}", "mesh") for at in range(8)]
    (exact, sampled) = (
        compose_fleet(FleetGraph(own, edges), max_conditioned=limit).nodes["web"] for limit in (12, -1)
    )
    assert 1 - exact.availability == pytest.approx(1 - 0.99999 * 0.99995**8, rel=1e-9)
    assert sampled.standard_error < 0.03 * (1 - exact.availability)
    assert sampled.availability == pytest.approx(exact.availability, abs=3 * sampled.standard_error)


def test_a_node_reached_by_two_paths_counts_once() -> None:
    edges = [FleetEdge("a", "b"), FleetEdge("a", "c"), FleetEdge("b", "db"), FleetEdge("c", "db")]
    found = compose_fleet(FleetGraph({"a": 1.0, "b": 1.0, "c": 1.0, "db": 0.99}, edges))
    assert found.nodes["a"].availability == pytest.approx(0.99)
    assert found.nodes["a"].conditioned == 1


def test_a_cycle_counts_each_failure_once() -> None:
    own = {"a": 0.99, "b": 0.98, "c": 0.97}
    edges = [FleetEdge("a", "b"), FleetEdge("b", "c"), FleetEdge("c", "a")]
    found = compose_fleet(FleetGraph(own, edges))
    for each in found.nodes.values():
        assert each.availability == pytest.approx(0.99 * 0.98 * 0.97)
    assert list(found.cycles) == [("a", "b", "c")]


def test_retries_within_a_cycle_settle_where_their_equation_holds() -> None:
    edges = [
        FleetEdge("a", "b", retries=2, shared_share=0.3),
        FleetEdge("b", "a", retries=1, shared_share=0.5),
    ]
    found = compose_fleet(FleetGraph({"a": 0.9, "b": 0.8}, edges))
    down = {name: 1 - each.availability for name, each in found.nodes.items()}
    b_hits_a = 0.3 + 0.7 * down["b"] ** 2
    a_hits_b = 0.5 + 0.5 * down["a"]
    assert down["a"] == pytest.approx(1 - 0.9 * (1 - b_hits_a * 0.2), abs=1e-9)
    assert down["b"] == pytest.approx(1 - 0.8 * (1 - a_hits_b * 0.1), abs=1e-9)
    assert found.cycles["a", "b"] > 1


def test_a_cycle_that_one_failure_brings_down_is_sampled_in_the_worlds_that_there_is_room_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # 40 members with two edges each, of which 1.8 carry a failure on average: it reaches nearly all of them.
    names = [f"s{number:02}" for number in range(40)]
    edges = [
        FleetEdge(name, names[(at + step) % 40], hardness=0.9)
        for at, name in enumerate(names)
        for step in (1, 7)
    ]
    graph = FleetGraph(dict.fromkeys([*names, "web"], 0.9995), [*edges, FleetEdge("web", "s00")])
    plenty = compose_fleet(graph, samples=400_000)
    held: list[int] = []
    spread = Cycle.spread

    def counting(cycle: Cycle, failed: Mapping[str, Worlds], worlds: int) -> dict[str, Worlds]:
        found = spread(cycle, failed, worlds)
        held.append(sum(map(len, found.values())))
        return found

    monkeypatch.setattr(Cycle, "spread", counting)
    monkeypatch.setattr(spreading, "MOST_TRIED", 20_000)
    monkeypatch.setattr(sampling, "MAX_FAILURES_IN_A_CYCLE", 30_000)
    few = compose_fleet(graph, samples=400_000)
    assert max(held) < 1.5 * 30_000
    for name, each in few.nodes.items():
        assert each.standard_error > 3 * plenty.nodes[name].standard_error
        assert each.availability == pytest.approx(
            plenty.nodes[name].availability, abs=4 * each.standard_error
        )
    assert few.nodes["s00"].availability < 0.985, "it fails by all the others"


def test_asynchronous_edges_are_named_and_carry_nothing() -> None:
    graph = FleetGraph({"a": 0.999, "mail": 0.5}, [FleetEdge("a", "mail", mode="async")])
    found = compose_fleet(graph)
    assert found.nodes["a"].availability == pytest.approx(0.999)
    assert found.excluded == (("a", "mail"),)


@pytest.mark.parametrize(("needed", "members"), [(1, 2), (2, 3), (3, 3), (2, 5)])
def test_k_of_n_with_a_common_cause(needed: int, members: int) -> None:
    own = {"a": 1.0} | {f"m{at}": 0.95 for at in range(members)}
    edges = [
        FleetEdge("a", f"m{at}", call_probability=1 / members + 1e-9, group="m") for at in range(members)
    ]
    found = compose_fleet(FleetGraph(own, edges, {("a", "m"): GroupRule(needed, 0.1)}))
    expected = k_of_n_unavailability(0.05, members, needed, 0.1)
    assert 1 - found.nodes["a"].availability == pytest.approx(expected, rel=0.06)
    assert found.nodes["m0"].availability == pytest.approx(0.95)
    independent = compose_fleet(FleetGraph(own, edges, {("a", "m"): GroupRule(needed, 0.0)}))
    assert 1 - independent.nodes["a"].availability == pytest.approx(
        k_of_n_unavailability(0.05, members, needed), rel=1e-9
    )


def test_retries_save_the_transient_part_and_cost_calls() -> None:
    edge = FleetEdge("a", "b", retries=2, shared_share=0.4)
    found = compose_fleet(FleetGraph({"a": 1.0, "b": 0.9}, [edge]))
    assert 1 - found.nodes["a"].availability == pytest.approx(retried_unavailability(0.1, 2, 0.4))
    (load,) = found.loads
    assert (load.source, load.target, load.in_outage) == ("a", "b", 3.0)
    assert load.usual == pytest.approx(1 + (0.4 * 0.1 + 0.6 * 0.1) + (0.4 * 0.1 + 0.6 * 0.01))
    assert load_amplification(0.0, 3) == 1.0
    assert load_amplification(1.0, 3) == 4.0


@given(st.integers(0, 10_000), st.data())
def test_a_better_node_makes_nobody_worse(number: int, data: st.DataObject) -> None:
    graph = random_graph(np.random.default_rng(number), 6)
    # The best member's own failures determine the common cause, so groups are left out.
    graph = replace(graph, edges=[replace(edge, group="") for edge in graph.edges], rules={})
    name = data.draw(st.sampled_from(sorted(graph.own)))
    better = dict(graph.own)
    better[name] += (1 - better[name]) * data.draw(st.floats(0, 1))
    before, after = compose_fleet(graph), compose_fleet(replace(graph, own=better))
    for each in graph.own:
        assert after.nodes[each].availability >= before.nodes[each].availability - 1e-9


@pytest.mark.parametrize(
    ("graph", "words"),
    [
        (FleetGraph({"a": 1.2}), "availability of a"),
        (FleetGraph({"a": 1.0}, [FleetEdge("a", "b")]), "b is not a node"),
        (FleetGraph({"a": 1.0, "b": 1.0}, [FleetEdge("a", "b", hardness=2)]), "probability of a → b"),
        (FleetGraph({"a": 1.0, "b": 1.0}, [FleetEdge("a", "b", retries=-1)]), "retried -1 times"),
        (
            FleetGraph({"a": 1.0, "b": 1.0}, [FleetEdge("a", "b", group="g")], {("a", "g"): GroupRule(2)}),
            "cannot need 2",
        ),
    ],
)
def test_what_cannot_be_is_refused(graph: FleetGraph, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        compose_fleet(graph)


def test_members_of_a_large_cycle_come_out_as_measured() -> None:
    # Sampling noise over thousands of members is no reason to change what each fails by itself.
    generator = np.random.default_rng(7)
    names = [f"s{number:04}" for number in range(2_000)]
    edges = [
        FleetEdge(names[at], names[to], call_probability=float(generator.random()), hardness=0.3)
        for at in range(len(names))
        for to in generator.choice(len(names), 5, replace=False)
        if to != at
    ]
    measured = {name: 1 - 1e-3 * float(generator.random()) for name in names}
    composed = compose_fleet(FleetGraph(dict.fromkeys(names, 1.0), edges, measured=measured))
    (rounds,) = composed.cycles.values()
    assert rounds <= 3
    off = np.array([composed.nodes[name].availability - measured[name] for name in names])
    errors = np.array([composed.nodes[name].standard_error for name in names])
    frequent = np.array([measured[name] < 1 - 1e-4 for name in names])
    assert np.sqrt(((off / errors)[frequent] ** 2).mean()) < 1.4
    assert abs(off.mean()) < 0.02 * (1 - np.mean(list(measured.values())))


def test_one_member_that_is_off_is_found_among_a_thousand() -> None:
    # Groups are left out where a cycle begins: the shares that the two outside it get from s0000 must be found.
    names = [f"s{number:04}" for number in range(1_000)]
    edges = [
        FleetEdge(name, names[(at + step) % 1_000], hardness=0.05)
        for at, name in enumerate(names)
        for step in (1, 7)
    ]
    edges += [FleetEdge("s0000", each, group="pair") for each in ("left", "right")]
    measured = dict.fromkeys(names, 0.999) | dict.fromkeys(("left", "right"), 0.992)
    own = dict.fromkeys((*measured, "web"), 1.0)
    rules = {("s0000", "pair"): GroupRule(needed=1)}
    web = compose_fleet(FleetGraph(own, [*edges, FleetEdge("web", "s0000")], rules, measured)).nodes["web"]
    assert web.limit == pytest.approx(0.999, abs=1e-4)


def test_who_does_not_stand_on_an_avalanche_is_sampled_as_well_as_without_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sampling, "MAX_FAILURES_IN_A_CYCLE", 3_000)

    def cycle(prefix: str, size: int) -> list[FleetEdge]:
        names = [f"{prefix}{number:03}" for number in range(size)]
        return [
            FleetEdge(name, names[(at + step) % size], hardness=0.9)
            for at, name in enumerate(names)
            for step in (1, 2)
        ]

    avalanche, ring = cycle("avalanche", 200), cycle("ring", 12)
    own = {edge.source: 0.9995 for edge in avalanche} | {edge.source: 1 - 1e-5 for edge in ring}
    edges = [*avalanche, *ring, FleetEdge("web", "avalanche000"), FleetEdge("web", "ring000")]
    nodes = compose_fleet(FleetGraph(own | {"web": 1.0}, edges)).nodes
    alone = compose_fleet(
        FleetGraph({name: up for name, up in own.items() if name.startswith("ring")}, ring)
    ).nodes
    assert nodes["ring000"].standard_error < 2 * alone["ring000"].standard_error
    assert nodes["ring000"].availability == pytest.approx(alone["ring000"].availability, abs=2e-5)
    assert nodes["avalanche000"].standard_error > 100 * nodes["ring000"].standard_error
    assert nodes["web"].standard_error >= nodes["avalanche000"].standard_error / 2


def test_what_never_failed_in_the_worlds_sampled_is_not_said_to_be_sure() -> None:
    names = [f"s{number:02}" for number in range(12)]
    edges = [FleetEdge(name, names[at - 1]) for at, name in enumerate(names)]
    graph = FleetGraph(dict.fromkeys([*names, "web"], 1 - 1e-12), [*edges, FleetEdge("web", "s00")])
    web = compose_fleet(graph, samples=1_000).nodes["web"]
    assert (web.availability, web.limit) == (1.0, 1.0)
    assert web.standard_error == pytest.approx(1e-3, rel=0.01)
    assert web.limit_error == pytest.approx(1e-3, rel=0.01)
