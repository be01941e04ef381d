from __future__ import annotations

import random
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.ui.charts import GraphEdge, GraphNode, dependency_graph
from apps.ui.charts.graph_layout import columns, place


def node(name: str) -> GraphNode:
    return GraphNode(name, name, f"/services/{name}")


def boxes(svg: str) -> list[tuple[float, float]]:
    root = ElementTree.fromstring(svg)
    found = []
    for link in root.findall("a"):
        box = link.find("rect")
        assert box is not None
        found.append((float(box.get("x", "0")), float(box.get("y", "0"))))
    return found


def test_callers_stand_left_and_dependencies_right() -> None:
    column = columns(["web", "api", "db", "edge"], [("web", "api"), ("api", "db"), ("edge", "web")], "api")
    assert column == {"api": 0, "web": -1, "edge": -2, "db": 1}


def test_a_cycle_through_the_focus_has_a_place_for_every_member() -> None:
    column = columns(["a", "b", "c"], [("a", "b"), ("b", "c"), ("c", "a")], "a")
    assert column == {"a": 0, "b": 1, "c": -1}


def test_what_has_no_path_to_the_focus_is_still_drawn() -> None:
    chart = dependency_graph([node("a"), node("b"), node("lost")], [GraphEdge("a", "b")], "a")
    assert len(boxes(chart.svg)) == 3


def test_every_node_is_a_link_inside_a_group() -> None:
    chart = dependency_graph([node("a"), node("b")], [GraphEdge("a", "b")], "a")
    root = ElementTree.fromstring(chart.svg)
    assert root.get("role") == "group"
    assert [link.get("href") for link in root.findall("a")] == ["/services/a", "/services/b"]
    assert root.findall("a")[0].get("aria-current") == "true"


def test_a_cycle_is_said_in_words() -> None:
    nodes = [GraphNode(name, name, "#", in_cycle=True) for name in ("a", "b")]
    edges = [GraphEdge("a", "b", in_cycle=True), GraphEdge("b", "a", in_cycle=True)]
    chart = dependency_graph(nodes, edges, "a")
    assert "in a cycle" in chart.alternative
    assert "↻ in a cycle" in chart.svg


def test_two_steps_either_way_fit_a_page_and_say_who_is_in_a_cycle_uncut() -> None:
    names = [f"s{at}" for at in range(5)]
    nodes = [GraphNode(name, name, "#", "shop · critical", in_cycle=True) for name in names]
    chart = dependency_graph(nodes, [GraphEdge(f"s{at}", f"s{at + 1}") for at in range(4)], "s2")
    root = ElementTree.fromstring(chart.svg)
    assert float(root.get("width", "0")) == float((root.get("viewBox") or "").split()[2]) <= 1158
    notes = {one.text for one in root.iter("text") if one.get("class") == "note-text"}
    assert notes == {"↻ in a cycle · shop · critical"}


def test_a_long_note_gives_up_the_words_of_its_sign_first() -> None:
    nodes = [GraphNode("a", "a", "#", "warehouse · critical", in_cycle=True)]
    chart = dependency_graph(nodes, [], "a")
    assert "↻ warehouse · critical" in chart.svg
    assert "in a cycle · warehouse · critical" in (
        ElementTree.fromstring(chart.svg).findtext("a/title") or ""
    )


def test_the_legend_names_only_the_styles_that_occur() -> None:
    svg = dependency_graph([node("a"), node("b")], [GraphEdge("a", "b", "async")], "a").svg
    words = [element.text for element in ElementTree.fromstring(svg).iter("text")]
    assert "async" in words
    assert not [text for text in words if text and text.startswith("stale")]


def test_an_edge_to_itself_and_an_unknown_end_do_not_break_it() -> None:
    chart = dependency_graph([node("a")], [GraphEdge("a", "a"), GraphEdge("a", "gone")], "a")
    assert len(chart.table.rows) == 1


def test_it_refuses_a_focus_that_is_not_there() -> None:
    with pytest.raises(ValueError, match="focus"):
        dependency_graph([node("a")], [], "b")


def test_a_long_edge_has_a_place_of_its_own_in_each_column_it_crosses() -> None:
    placed = place(["web", "api", "db"], [("web", "api"), ("api", "db"), ("web", "db")], "api")
    ((column, row),) = placed.waypoints["web", "db"]
    assert column == 0
    assert abs(row - placed.row["api"]) >= 0.75


@settings(max_examples=60, deadline=None)
@given(st.integers(min_value=1, max_value=24), st.integers(min_value=0, max_value=60), st.integers())
def test_no_two_boxes_overlap_and_the_order_of_input_does_not_matter(
    size: int, amount: int, seed: int
) -> None:
    chance = random.Random(seed)
    names = [f"service-{index}" for index in range(size)]
    edges = [GraphEdge(chance.choice(names), chance.choice(names)) for _ in range(amount)]
    nodes = [node(name) for name in names]
    chart = dependency_graph(nodes, edges, names[0])
    places = boxes(chart.svg)
    for index, (x, y) in enumerate(places):
        for other_x, other_y in places[index + 1 :]:
            assert abs(x - other_x) >= 168 or abs(y - other_y) >= 42
    chance.shuffle(nodes)
    chance.shuffle(edges)
    assert dependency_graph(nodes, edges, names[0]).svg == chart.svg
