"""The summary words the document's numbers."""

from __future__ import annotations

import re
from typing import Any

import pytest

from apps.engine.document import AvailabilityWindow
from apps.engine.explanation.attribution import Contribution
from apps.engine.explanation.narrative import Seen, summarise, with_what_is_missing
from apps.engine.recommend import recommend
from apps.engine.rounding import duration, percent, plain
from apps.engine.types import ServiceInput
from apps.engine.window.backtest import backtest_document
from apps.engine.window.tiers import Tier
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
        "49 h",
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
    assert "none of 960,960 requests to svc failed" in document["explanation"]["summary"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (99.6, "100"),
        (100.0, "100"),
        (43.21, "43"),
        (0.3219, "0.32"),
        (0.3, "0.3"),
        (1.2e-07, "0.00000012"),
    ],
)
def test_figures_never_have_an_exponent(value: float, text: str) -> None:
    assert plain(value) == text


@pytest.mark.parametrize(("contribution", "text"), [(-0.998, "(100 points)"), (-1.2e-7, "(0.000012 points)")])
def test_a_part_of_any_size_is_written_in_plain_points(contribution: float, text: str) -> None:
    tiers: Any = {
        name: Tier(0.001, chance, (0.0, 0.1))
        for name, chance in (("conservative", 0.01), ("balanced", 0.05), ("aggressive", 0.2))
    }
    cause = Contribution("own", "Own failures", contribution)
    assert text in summarise("svc", Seen(1000.0, 998.0, 0.002, 40.0), tiers, [cause], None, None)


@pytest.mark.parametrize(("days", "end"), [(3, ", nor how often alerts would fire."), (10, " yet.")])
def test_a_cold_start_says_what_its_past_cannot_tell(days: int, end: str) -> None:
    counts = steady(days)
    document: Any = recommend(ServiceInput("svc", counts=counts), as_of=end_of(counts), window_days=30)
    reason = document["availability"]["reason"]
    assert "; no past window of 30 days can be judged yet" in reason
    assert reason.endswith(end)
    assert document["explanation"]["summary"].endswith(reason)
    assert reason.count(". ") == 0


def test_a_past_that_can_be_judged_lacks_nothing() -> None:
    judged = backtest_document(
        [AvailabilityWindow(start="", end="", missed=False, availability=1.0)], 0.0, None
    )
    assert with_what_is_missing("29 days of data.", judged, 28) == "29 days of data."
