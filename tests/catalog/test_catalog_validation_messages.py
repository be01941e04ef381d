"""What is wrong with a graph is said in the words of whoever wrote it, over the API and in files alike."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from apps.catalog.ingesting.validation import validate_graph
from apps.catalog.schemas import DependencyRows, ServiceRows

SERVICE: list[tuple[dict[str, Any], str, str]] = [
    (
        {"criticality": "urgent"},
        "criticality",
        "'urgent' is not possible; write critical, high, medium or low",
    ),
    ({"external": "perhaps"}, "external", "'perhaps' is neither true nor false"),
    ({"external": 7}, "external", "'7' is neither true nor false"),
    ({"published_sla": 99.5}, "published_sla", "'99.5' is a percentage; write the ratio: 0.995"),
    ({"published_sla": "1e"}, "published_sla", "'1e' is not a number; write the ratio that is published"),
    ({"team": 5}, "team", "has to be text"),
    ({"team": "x" * 1001}, "team", "is longer than 1,000 characters"),
    ({"service_id": " a"}, "service_id", "the service id begins or ends with white space"),
    ({"colour": "red"}, "colour", "is not known here; remove it or correct its name"),
    ({"metadata": "red"}, "metadata", "has to be an object"),
]
EDGE: list[tuple[dict[str, Any], str, str]] = [
    ({"mode": "grpc"}, "mode", "'grpc' is not possible; write sync or async"),
    ({"calls_per_request": -1}, "calls_per_request", "'-1' is less than 0"),
    ({"calls_per_request": "many"}, "calls_per_request", "'many' is not a number"),
    ({"calls_per_request": float("inf")}, "calls_per_request", "'inf' is not a number"),
    ({"calls_per_request": 2e9}, "calls_per_request", "'2000000000.0' is more than 1e+06"),
    ({"timeout_ms": "1.5"}, "timeout_ms", "'1.5' is not a whole number"),
    ({"timeout_ms": "9" * 5000}, "timeout_ms", "is not a whole number"),
    ({"timeout_ms": 10**9}, "timeout_ms", "'1000000000' is more than 86,400,000"),
    ({"observed_at": "yesterday"}, "observed_at", "'yesterday' is not ISO 8601"),
    ({"observed_at": "2026-01-01T00:00:00"}, "observed_at", "has no time zone; write it with one"),
]
LISTS: list[tuple[str, Any, str, str]] = [
    *(("services", {"service_id": "a"} | row, field, words) for row, field, words in SERVICE),
    *(("dependencies", {"source": "a", "target": "b"} | row, field, words) for row, field, words in EDGE),
    ("dependencies", {"source": "a"}, "target", "is missing"),
    ("services", "a", "", "has to be an object"),
]


class Request(BaseModel):
    """A graph as an action takes it."""

    services: ServiceRows = []
    dependencies: DependencyRows = []


@pytest.mark.django_db  # What is in the future is told by the clock of the database.
@pytest.mark.parametrize(("name", "row", "field", "words"), LISTS)
def test_a_value_that_cannot_be_taken_is_named_in_plain_words(
    name: str, row: Any, field: str, words: str
) -> None:
    (problem,) = validate_graph([(1, {name: [row]})])[1].kept
    assert problem.field == field
    assert words in problem.message
    with pytest.raises(ValidationError) as caught:
        Request.model_validate({name: [row]})
    assert words in caught.value.errors()[0]["msg"]
