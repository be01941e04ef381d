"""Large graphs are solved over arrays, small ones over lists: the answer is one."""

from __future__ import annotations

import random
import struct

import pytest

from apps.slos.impact import influence
from apps.slos.impact.influence import Edges
from apps.slos.impact.stand_ins import Group, Member


def edges_of(rows: list[tuple[int, int, float]]) -> Edges:
    edges = Edges()
    edges.add(b"".join(struct.pack(">qqdq", *row, 0) for row in rows))
    return edges


@pytest.mark.parametrize(("calls", "most"), [(1.2, 1.0), (3, 0.2), (3, 0.9), (8, 1.0)])
@pytest.mark.parametrize("seed", range(4))
def test_lists_and_arrays_agree(seed: int, calls: float, most: float) -> None:
    draw = random.Random(seed)
    nodes = draw.sample(range(10_000), 120)
    rows: list[tuple[int, int, float]] = []
    for _ in range(int(120 * calls)):
        source, target = draw.sample(nodes, 2)
        rows.append((source, target, draw.choice([0.0, draw.uniform(0, most)])))
    edges = edges_of(rows)
    start = nodes[0]
    found = influence._by_lists(start, nodes, edges)
    assert influence._by_arrays(start, nodes, edges) == pytest.approx(found, abs=1e-4)
    r = dict(zip(nodes, found, strict=True))
    for node in nodes[1:]:
        spared = 1.0
        for source, target, carried in rows:
            if source == node:
                spared *= 1 - carried * r[target]
        assert r[node] == pytest.approx(1 - spared, abs=1e-4)


def test_a_cycle_that_no_failure_reaches_stays_at_nothing() -> None:
    edges = edges_of([(1, 0, 0.0), (1, 2, 1.0), (2, 1, 1.0), (3, 0, 1.0)])
    for solve in (influence._by_lists, influence._by_arrays):
        assert solve(0, [0, 1, 2, 3], edges) == [1.0, 0.0, 0.0, 1.0]


def test_the_service_itself_is_left_out() -> None:
    edges = edges_of([(7, 5, 0.5), (5, 7, 1.0)])
    assert influence.influence(5, [5, 7], edges) == {7: 0.5}


@pytest.mark.parametrize("seed", range(6))
def test_lists_and_arrays_agree_on_groups(seed: int) -> None:
    draw = random.Random(seed)
    nodes = draw.sample(range(10_000), 120)
    rows = [(*draw.sample(nodes, 2), draw.choice([0.0, draw.uniform(0, 0.8)])) for _ in range(200)]
    groups = []
    for _ in range(80):
        source, *targets = draw.sample([*nodes, 10_001], draw.randint(2, 5))
        members = tuple(Member(each, draw.uniform(0, 0.01), draw.uniform(0.5, 1)) for each in targets)
        groups.append(Group(source, draw.uniform(0, 1), draw.randint(1, len(targets)), members))
    edges = edges_of(rows)  # type: ignore[arg-type]
    found = influence._by_lists(nodes[0], nodes, edges, groups, 0.003)
    assert influence._by_arrays(nodes[0], nodes, edges, groups, 0.003) == pytest.approx(found, abs=1e-4)
    assert all(0 <= each <= 1 for each in found)
    assert found != influence._by_lists(nodes[0], nodes, edges)


def test_stand_ins_in_a_cycle_do_not_hold_each_other_down() -> None:
    """1 stands on one of 2 and 3, which both stand on 1: nothing of that fails because a tenth of 0 does."""
    edges = edges_of([(2, 1, 1.0), (3, 1, 1.0), (2, 0, 0.1)])
    group = Group(1, 1.0, 1, (Member(2, 0.0, 1.0), Member(3, 0.0, 1.0)))
    for solve in (influence._by_lists, influence._by_arrays):
        found = solve(0, [0, 1, 2, 3], edges, [group], 0.01)
        assert found == pytest.approx([1.0, 0.0, 0.1, 0.0], abs=1e-5)
