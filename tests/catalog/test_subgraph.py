"""Walking the graph: what is reached, how far it is, and what lies between."""

from __future__ import annotations

from datetime import timedelta

import networkx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.catalog.graph.traversal import Direction, Subgraph
from apps.catalog.models import Dependency, Service
from apps.catalog.queries import subgraph
from apps.core.errors import NotFound
from tests.catalog.conftest import NOW, State
from tests.typed_dicts import problems


def down(answer: Subgraph) -> dict[str, int | None]:
    return {node["service_id"]: node["depth_down"] for node in answer["nodes"]}


def up(answer: Subgraph) -> dict[str, int | None]:
    return {node["service_id"]: node["depth_up"] for node in answer["nodes"]}


def pairs(answer: Subgraph) -> list[str]:
    return [f"{edge['source']}>{edge['target']}" for edge in answer["edges"]]


@pytest.fixture
def chain(state: State) -> None:
    state("a>b", "b>c", "c>d", "d>e", "x>a", "y>x", "a>c")


def test_it_goes_down_as_far_as_asked(chain: None) -> None:
    assert down(subgraph("a", "downstream", 2)) == {"a": 0, "b": 1, "c": 1, "d": 2}
    assert down(subgraph("a", "downstream", 1)) == {"a": 0, "b": 1, "c": 1}


def test_it_goes_up(chain: None) -> None:
    assert up(subgraph("c", "upstream", 10)) == {"c": 0, "a": 1, "b": 1, "x": 2, "y": 3}


def test_it_goes_both_ways_without_turning_round(chain: None) -> None:
    answer = subgraph("b", "both", 5)
    assert up(answer) == {"b": 0, "a": 1, "x": 2, "y": 3, "c": None, "d": None, "e": None}
    assert down(answer) == {"b": 0, "c": 1, "d": 2, "e": 3, "a": None, "x": None, "y": None}


def test_it_is_as_typed(chain: None) -> None:
    for direction in ("downstream", "upstream", "both"):
        assert list(problems(subgraph("b", direction, 5), Subgraph)) == []


def test_the_edges_are_those_among_all_that_is_reached(chain: None) -> None:
    assert pairs(subgraph("a", "downstream", 1)) == ["a>b", "a>c", "b>c"]


def test_the_service_is_first_and_the_nearest_next(chain: None) -> None:
    assert [node["service_id"] for node in subgraph("b", "both", 3)["nodes"]][:3] == ["b", "a", "c"]


def test_a_cycle_is_walked_once_round(state: State) -> None:
    state("a>b", "b>c", "c>a")
    assert down(subgraph("a", "downstream", 10)) == {"a": 0, "b": 1, "c": 2}


def test_a_service_without_edges_reaches_itself(state: State) -> None:
    state(services=[{"service_id": "alone", "team": "t", "criticality": "low", "external": True}])
    answer = subgraph("alone", "both")
    assert answer["edges"] == []
    assert answer["nodes"] == [
        {
            "service_id": "alone",
            "depth_down": 0,
            "depth_up": 0,
            "team": "t",
            "criticality": "low",
            "is_external": True,
            "is_discovered": False,
        }
    ]


def test_stale_edges_are_left_out_unless_asked_for(state: State) -> None:
    state("a>b", by="otel_service_graph", at=NOW - timedelta(days=900))
    state("b>c")
    assert list(down(subgraph("a"))) == ["a"]
    answer = subgraph("a", include_stale=True)
    assert list(down(answer)) == ["a", "b", "c"]
    assert [edge["is_stale"] for edge in answer["edges"]] == [True, False]


def test_too_large_a_graph_keeps_the_nearest_and_says_so(state: State) -> None:
    state("a>b", "a>c", "b>d", "c>e")
    answer = subgraph("a", max_nodes=3)
    assert (answer["is_truncated"], list(down(answer))) == (True, ["a", "b", "c"])
    assert pairs(answer) == ["a>b", "a>c"]
    assert subgraph("a", max_edges=2)["is_truncated"]
    assert not subgraph("a")["is_truncated"]


def test_a_small_graph_that_is_walked_many_times_round_is_not_too_large(state: State) -> None:
    names = "abcd"
    state(*[f"{one}>{other}" for one in names for other in names if one != other])
    answer = subgraph("a", "both", 10, max_nodes=4)
    assert not answer["is_truncated"]
    assert down(answer) == up(answer) == {"a": 0, "b": 1, "c": 1, "d": 1}


@pytest.mark.parametrize(("asked", "walked"), [(0, 1), (-5, 1), (10, 10), (500, 10)])
def test_the_depth_has_bounds(chain: None, asked: int, walked: int) -> None:
    assert subgraph("a", depth=asked)["depth"] == walked


def test_it_knows_only_services_that_exist(db: None) -> None:
    with pytest.raises(NotFound, match="no service called a/b"):
        subgraph("a/b")


@given(
    st.sets(
        st.tuples(st.integers(0, 9), st.integers(0, 9)).filter(lambda pair: pair[0] != pair[1]), max_size=30
    ),
    st.integers(1, 10),
)
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_it_reaches_what_a_breadth_first_search_reaches(
    state: State, edges: set[tuple[int, int]], depth: int
) -> None:
    Dependency.objects.all().delete()
    Service.objects.all().delete()
    state(*[f"{one}>{other}" for one, other in edges], services=[{"service_id": str(n)} for n in range(10)])
    graph = networkx.DiGraph(edges)
    graph.add_node(0)
    expected_down = networkx.single_source_shortest_path_length(graph, 0, cutoff=depth)
    expected_up = networkx.single_source_shortest_path_length(graph.reverse(), 0, cutoff=depth)
    answer = subgraph("0", "both", depth)
    assert {name: far for name, far in down(answer).items() if far is not None} == {
        str(node): far for node, far in expected_down.items()
    }
    assert {name: far for name, far in up(answer).items() if far is not None} == {
        str(node): far for node, far in expected_up.items()
    }
    reached = set(expected_down) | set(expected_up)
    assert set(pairs(answer)) == {f"{one}>{other}" for one, other in edges if {one, other} <= reached}


@given(
    edges=st.sets(
        st.tuples(st.integers(0, 9), st.integers(0, 9)).filter(lambda edge: edge[0] != edge[1]), max_size=40
    ),
    depth=st.integers(1, 10),
    max_nodes=st.integers(1, 11),
    direction=st.sampled_from(["downstream", "upstream"]),
)
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_of_too_many_it_keeps_the_nearest_at_their_distances(
    state: State, edges: set[tuple[int, int]], depth: int, max_nodes: int, direction: Direction
) -> None:
    Dependency.objects.all().delete()
    Service.objects.all().delete()
    state(*[f"{one}>{other}" for one, other in edges], services=[{"service_id": str(n)} for n in range(10)])
    graph = networkx.DiGraph(edges)
    graph.add_node(0)
    walked = graph if direction == "downstream" else graph.reverse()
    expected = networkx.single_source_shortest_path_length(walked, 0, cutoff=depth)
    answer = subgraph("0", direction, depth, max_nodes=max_nodes)
    found = down(answer) if direction == "downstream" else up(answer)
    assert all(expected[int(name)] == far for name, far in found.items())
    assert sorted(far for far in found.values() if far is not None) == sorted(expected.values())[:max_nodes]
    assert answer["is_truncated"] == (len(expected) > max_nodes)
