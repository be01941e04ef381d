"""A table of edges equals the sequence that it was made from, and finds edges by caller and by target."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from apps.engine.graph.edge_table import EdgeTable
from apps.engine.graph.fleet import FleetEdge
from apps.engine.simulation.random_graphs import random_graph

EDGES = [
    FleetEdge("web", "pay", 0.5, 0.8, retries=2, shared_share=0.3),
    FleetEdge("web", "db", group="g"),
    FleetEdge("pay", "db", mode="async", met=0.7),
]


@pytest.mark.parametrize("number", range(20))
def test_it_holds_the_edges_that_it_was_made_of(number: int) -> None:
    edges = list(random_graph(np.random.default_rng(number)).edges)
    table = EdgeTable.of(edges)
    assert list(table) == edges
    assert EdgeTable.of(table) is table
    for name in {edge.source for edge in edges}:
        assert [table[at] for at in table.from_source(name)] == [
            each for each in edges if each.source == name
        ]
    for name in {edge.target for edge in edges}:
        assert [table[at] for at in table.to_target(name)] == [each for each in edges if each.target == name]


def test_edges_made_of_columns_are_equal_to_those_given() -> None:
    given = EdgeTable.of(EDGES)
    made = EdgeTable(
        given.names,
        given.sources,
        given.targets,
        call_probability=given.call_probability,
        hardness=given.hardness,
        is_async=given.is_async,
        retries=given.retries,
        groups=given.groups,
        shared_share=given.shared_share,
    )
    assert list(made) == [*EDGES[:2], dataclasses.replace(EDGES[2], met=1.0)]
    assert made[-1] is made[2]
    with pytest.raises(IndexError):
        made[3]


def test_changes_make_another_table_and_leave_the_first_alone() -> None:
    first = EdgeTable.of(EDGES)
    alone = dataclasses.replace(EDGES[1], group="")
    more = FleetEdge("pay", "bank")
    second = first.with_changes({1: alone}, [more])
    assert list(second) == [EDGES[0], alone, EDGES[2], more]
    assert second.groups == {}
    assert second.from_source("pay") == [2, 3]
    assert list(first) == EDGES


def test_of_a_name_that_it_does_not_know_it_has_no_edges() -> None:
    table = EdgeTable.of(EDGES)
    assert table.from_source("nobody") == table.to_target("nobody") == []
    assert list(EdgeTable.of([])) == []
