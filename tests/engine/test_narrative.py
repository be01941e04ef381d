"""The summary says in words what the document says in numbers."""

from __future__ import annotations

import re
from typing import Any

import pytest

from apps.engine.recommend import recommend
from apps.engine.rounding import duration, percent
from apps.engine.types import ServiceInput
from tests.engine.build import end_of, full_service, steady


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.99955, "99.955 %"),
        (0.9959084, "99.59 %"),
        (0.999, "99.9 %"),
        (0.5, "50 %"),
        (0.9999999, "99.99999 %"),
        (0.99999999949, "99.999999949 %"),
        (1.0, "100 %"),
    ],
)
def test_percentages_keep_two_digits_of_what_is_missing(value: float, text: str) -> None:
    assert percent(value) == text


def test_durations_are_readable() -> None:
    assert [duration(each) for each in (300, 3 * 3_600, 49 * 3_600, 90 * 86_400)] == [
        "5 min",
        "3 h",
        "2 days",
        "90 days",
    ]


def test_the_summary_has_one_to_four_sentences_with_the_documents_numbers() -> None:
    service, as_of = full_service()
    document: Any = recommend(service, as_of=as_of)
    summary = document["explanation"]["summary"]
    assert 1 <= len(re.findall(r"\.(?: |$)", summary)) <= 4
    assert percent(document["availability"]["observed"]) in summary
    assert percent(document["availability"]["tiers"]["balanced"]["target"]) in summary
    assert "1 window in 20" in summary
    worst = min(document["explanation"]["attribution"], key=lambda each: each["contribution"])
    assert worst["label"] in summary


def test_it_says_which_tier_the_dependencies_do_not_support() -> None:
    service, as_of = full_service()
    service = ServiceInput(
        service.service_id,
        counts=service.counts,
        dependencies=(
            *service.dependencies[:1],
            type(service.dependencies[1])("psp", is_external=True, published_sla=0.95, calls_per_request=1.0),
        ),
    )
    document: Any = recommend(service, as_of=as_of)
    assert (
        f"Its dependencies support {percent(document['availability']['dependency_limit'])}"
        in (document["explanation"]["summary"])
    )


def test_a_spotless_history_is_called_one() -> None:
    counts = steady(40, rate=0.0)
    document: Any = recommend(ServiceInput("svc", counts=counts), as_of=end_of(counts))
    assert "failed none of" in document["explanation"]["summary"]
