"""A graph is checked as a whole: everything that is wrong is named at once, with its place."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.catalog.ingesting.validation import MAX_PROBLEMS, validate_graph
from tests.catalog.conftest import NOW, edge


def problems(
    *parts: dict[str, Any],
) -> list[tuple[int, str, str]]:
    _, found = validate_graph(enumerate(parts, start=1), now=NOW)
    return [(problem.part, problem.path, problem.message) for problem in found.kept]


def of_service(**said: Any) -> list[tuple[str, str]]:
    return [(path, message) for _, path, message in problems({"services": [{"service_id": "a", **said}]})]


def of_edge(**said: Any) -> list[tuple[str, str]]:
    return [(path, message) for _, path, message in problems({"dependencies": [{**edge("a", "b"), **said}]})]


def test_a_graph_that_is_right_has_no_problems() -> None:
    graph, found = validate_graph(
        [(1, {"services": [{"service_id": "a"}]}), (2, {"dependencies": [edge("a", "b"), edge("b", "a")]})],
        now=NOW,
    )
    assert not found
    assert [row.service_id for row in graph.services] == ["a"]
    assert [(row.source, row.target) for row in graph.dependencies] == [("a", "b"), ("b", "a")]
    assert graph.rows == 3


def test_it_names_every_bad_row_and_not_only_the_first() -> None:
    found = problems(
        {"services": [{"service_id": ""}, {"service_id": "a"}, {"team": "x"}]},
        {"dependencies": [edge("a", "a"), edge("a", "b", mode="sometimes"), edge("b", "c", timeout_ms=-1)]},
    )
    assert [(part, path) for part, path, _ in found] == [
        (1, "services.0.service_id"),
        (1, "services.2.service_id"),
        (2, "dependencies.1.mode"),
        (2, "dependencies.2.timeout_ms"),
        (2, "dependencies.0.target"),
    ]


def test_it_counts_the_problems_that_it_does_not_keep() -> None:
    _, found = validate_graph([(1, {"services": [{"service_id": ""}] * (MAX_PROBLEMS + 50)})], now=NOW)
    assert found.count == MAX_PROBLEMS + 50
    assert len(found.documents()) == MAX_PROBLEMS


@pytest.mark.parametrize(
    ("service_id", "reason"),
    [
        ("", "is empty"),
        (" a", "white space"),
        ("a\u00a0", "white space"),
        ("a\x00b", "control character (U+0000)"),
        ("a\nb", "control character (U+000A)"),
        ("a\u2028b", "line break"),
        ("a\ud800b", "surrogate"),
        ("x" * 256, "256 characters; at most 255"),
    ],
)
def test_it_says_why_an_id_cannot_be_one(service_id: str, reason: str) -> None:
    ((path, message),) = of_service(service_id=service_id)
    assert path == "services.0.service_id"
    assert reason in message


@given(st.text(min_size=1, max_size=255).map(str.strip).filter(lambda text: text and text.isprintable()))
def test_every_printable_text_can_be_an_id(service_id: str) -> None:
    assert problems({"services": [{"service_id": service_id}]}) == []


def test_a_service_may_stand_once_in_all_parts() -> None:
    found = problems(
        {"services": [{"service_id": "a"}]}, {"services": [{"service_id": "b"}, {"service_id": "a"}]}
    )
    assert found == [(2, "services.1.service_id", "a is already in row 1 of part 1")]


def test_an_edge_may_stand_once() -> None:
    ((_, path, message),) = problems({"dependencies": [edge("a", "b"), edge("b", "a"), edge("a", "b")]})
    assert (path, message) == ("dependencies.2.target", "a → b is already in row 1")


def test_it_names_what_two_rows_contradict_each_other_in() -> None:
    ((_, _, message),) = problems(
        {"dependencies": [edge("a", "b"), edge("a", "b", criticality="soft", timeout_ms=5)]}
    )
    assert (
        message
        == "a → b is already in row 1 with a different criticality, timeout_ms; keep the one that is right"
    )


def test_it_refuses_an_edge_seen_in_the_future() -> None:
    ((path, _),) = of_edge(observed_at=(NOW + timedelta(hours=1)).isoformat())
    assert path == "dependencies.0.observed_at"
    assert of_edge(observed_at=(NOW + timedelta(minutes=1)).isoformat()) == []


def test_it_refuses_a_time_without_a_zone() -> None:
    ((path, message),) = of_edge(observed_at="2026-03-01T00:00:00")
    assert path == "dependencies.0.observed_at"
    assert "no time zone" in message


@pytest.mark.parametrize("sla", [99.9, 1, 0, -0.5, "0.999999999", "NaN"])
def test_it_refuses_a_published_sla_that_is_no_ratio(sla: object) -> None:
    assert [path for path, _ in of_service(published_sla=sla)] == ["services.0.published_sla"]


@pytest.mark.parametrize("sla", [0.999, "0.9999", 0.5, "0.99999999"])
def test_it_takes_a_ratio_as_number_or_text(sla: object) -> None:
    assert of_service(published_sla=sla) == []


@pytest.mark.parametrize(
    "said",
    [
        {"criticality": "urgent"},
        {"team": "two\nlines"},
        {"metadata": {"key": "nul\x00"}},
        {"metadata": {"key": float("nan")}},
        {"metadata": {"key": "x" * 40_000}},
        {"metadata": []},
        {"tema": "typo"},
    ],
)
def test_it_refuses_what_a_service_cannot_be(said: dict[str, Any]) -> None:
    ((path, _),) = of_service(**said)
    assert path == f"services.0.{next(iter(said))}"


@pytest.mark.parametrize(
    "said",
    [
        {"mode": "batch"},
        {"criticality": "critical"},
        {"timeout_ms": 1.5},
        {"timeout_ms": 2**40},
        {"calls_per_request": -1},
        {"calls_per_request": float("inf")},
        {"retry_config": "twice"},
    ],
)
def test_it_refuses_what_an_edge_cannot_be(said: dict[str, Any]) -> None:
    ((path, _),) = of_edge(**said)
    assert path == f"dependencies.0.{next(iter(said))}"


def test_it_takes_the_longer_names_of_two_fields() -> None:
    graph, found = validate_graph(
        [
            (
                1,
                {
                    "services": [{"service_id": "a", "is_external": True}],
                    "dependencies": [edge("a", "b", communication_mode="async")],
                },
            )
        ],
        now=NOW,
    )
    assert not found
    assert (graph.services[0].external, graph.dependencies[0].mode) == (True, "async")
