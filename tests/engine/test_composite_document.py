"""The composite's document says how it was found and gives each estimate as it is."""

from __future__ import annotations

from typing import Any

import pytest

from apps.engine.edges.dependencies import composite_document, service_composite
from apps.engine.edges.estimates import EdgeEstimate, estimate_edges
from apps.engine.series import observe
from apps.engine.types import DependencyInput, GraphFigure
from tests.engine.build import end_of, with_dependency


def _published(name: str, *nodes: str, group: str = "") -> DependencyInput:
    return DependencyInput(
        name, published_sla=0.99, calls_per_request=1.0, depends_on=nodes, redundancy_group=group
    )


def _document(*dependencies: DependencyInput) -> Any:
    return composite_document(service_composite(None, 1.0, estimate_edges(None, dependencies, 0)))


@pytest.mark.parametrize(("pairs", "method"), [(0, "exact"), (1, "exact"), (14, "sampled")])
def test_it_says_whether_the_number_was_sampled(pairs: int, method: str) -> None:
    document = _document(
        _published("alone"),
        *(_published(f"{name}{at}", f"node{at}") for at in range(pairs) for name in "ab"),
    )
    assert document["method"] == method
    assert (document["standard_error"] > 0) == (method == "sampled")
    assert document["lower_bound"] <= document["point"] <= document["upper_bound"]


def test_stand_ins_stand_on_what_all_of_them_stand_on() -> None:
    def is_shared(*second: str) -> bool:
        document = _document(
            _published("db", "mesh"),
            _published("psp-a", "mesh", "east", group="psp"),
            _published("psp-b", *second, group="psp"),
        )
        return bool(document["dependencies"][0]["is_shared"])

    assert is_shared("mesh", "west")
    assert not is_shared("west")
    assert not is_shared()


def test_a_node_that_only_the_whole_graph_shows_is_shared_too() -> None:
    def shared(graph: GraphFigure | None) -> list[bool]:
        estimates = estimate_edges(None, [_published("bank"), _published("db")], 0)
        document = composite_document(service_composite(None, 1.0, estimates, graph))
        return [row["is_shared"] for row in document["dependencies"]]

    assert shared(GraphFigure(0.97, 0.0, True, 3, shared=("db",))) == [False, True]
    assert shared(GraphFigure(0.97, 0.0, True, 3)) == [False, False]
    assert shared(None) == [False, False]


def test_stand_ins_divide_what_they_cost_among_them() -> None:
    document = _document(
        *(_published(name, group="psp") for name in ("a", "b", "c")), _published("other", group="other")
    )
    *members, alone = document["dependencies"]
    assert sum(row["effect"] for row in members) + alone["effect"] == pytest.approx(
        document["point"] - 1, rel=0.02
    )
    assert len({row["effect"] for row in members}) == 1
    assert members[0]["effect"] < 0


def test_the_naive_product_multiplies_what_is_known() -> None:
    unknown = DependencyInput("shadow")
    assert _document(_published("a"), _published("b"), unknown)["naive_product"] == pytest.approx(0.989**2)
    assert _document(unknown)["naive_product"] is None


def test_intervals_are_given_as_they_were_estimated() -> None:
    counts, edge = with_dependency(call_probability=0.7, hardness=0.6)
    estimates = estimate_edges(
        observe(counts, end_of(counts)), [DependencyInput("db", edge=edge)], end_of(counts)
    )
    document: Any = composite_document(service_composite(0.999, 1.0, estimates))
    (found,), (row,) = estimates, document["dependencies"]
    for name in ("call_probability", "hardness"):
        low, high = row[f"{name}_interval"]
        assert low < row[name] < high
        assert (low, high) == pytest.approx(getattr(found, f"{name}_interval"), abs=1e-6)


@pytest.mark.parametrize(("calls", "expected"), [(0.05, 0.05), (1.0, 1.0), (4.0, 1.0)])
def test_a_declared_call_probability_has_no_interval(calls: float, expected: float) -> None:
    (row,) = _document(DependencyInput("db", published_sla=0.99, calls_per_request=calls))["dependencies"]
    assert (row["call_probability"], row["call_probability_interval"]) == (expected, None)
    assert row["effect"] == pytest.approx(-expected * row["hardness"] * (1 - row["availability"]))


@pytest.mark.parametrize("call_probability", [0.1, 0.5, 0.9])
def test_the_interval_of_calls_holds_their_probability_and_is_not_wide(call_probability: float) -> None:
    counts, edge = with_dependency(call_probability=call_probability)
    found: EdgeEstimate
    (found,) = estimate_edges(
        observe(counts, end_of(counts)), [DependencyInput("db", edge=edge)], end_of(counts)
    )
    assert found.call_probability_interval is not None
    low, high = found.call_probability_interval
    assert low <= found.call_probability <= high
    assert 0 < high - low < 0.01
