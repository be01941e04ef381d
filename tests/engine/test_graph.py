"""Cycles are found whole, and are named in the same way every time."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.engine.graph.cycles import cycle_path, strongly_connected

_EDGES = st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from("abcdef")), max_size=20)


def test_it_finds_components_and_leaves_chains_alone() -> None:
    edges = [("a", "b"), ("b", "c"), ("c", "a"), ("c", "d"), ("d", "e"), ("x", "x"), ("p", "q"), ("q", "p")]
    assert strongly_connected(edges) == [("a", "b", "c"), ("p", "q"), ("x",)]


@given(_EDGES, st.randoms())
def test_the_order_of_edges_does_not_matter(edges: list[tuple[str, str]], random: object) -> None:
    shuffled = list(edges)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert strongly_connected(shuffled) == strongly_connected(edges)


@given(_EDGES)
def test_every_component_has_a_path_of_real_edges_back_to_its_start(edges: list[tuple[str, str]]) -> None:
    for component in strongly_connected(edges):
        path = cycle_path(component, edges)
        assert path[0] == path[-1] == min(component)
        assert set(pairwise(path)) <= set(edges)
        assert set(path) <= set(component)


def test_the_path_is_the_shortest_and_first_in_order() -> None:
    edges = [("a", "c"), ("c", "a"), ("a", "b"), ("b", "a"), ("b", "c")]
    assert cycle_path(("a", "b", "c"), edges) == ["a", "b", "a"]


def test_no_cycle_is_an_error() -> None:
    with pytest.raises(ValueError, match="no cycle"):
        cycle_path(("a", "b"), [("a", "b")])
