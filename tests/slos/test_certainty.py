"""How sure a recommendation is, in words that agree with each other and with the figures."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from apps.engine.forecast import evidence
from apps.slos.evaluation.calibration import TIERS, calibration
from apps.slos.presenting.certainty import (
    FIRST_WEEK_DAYS,
    confidence_words,
    data_words,
    meaning,
    quality_words,
    reliability,
)
from apps.slos.presenting.tiers import missed_sentence, more_than_meant, rate_words
from apps.ui.charts import Window
from apps.ui.format import percent

QUALITY: Any = {
    "days": 90.0,
    "coverage": 0.996,
    "gaps": 0,
    "missing_seconds": 0,
    "step_seconds": 3600,
    "total_requests": 1_000_000.0,
    "expected_requests": 300_000.0,
    "implausible_bins": 0,
    "partial_bins": 0,
    "warnings": [],
    "confidence_parts": {"history": 0.9, "coverage": 0.99, "precision": 0.6},
}


DOCUMENT: Any = {"service_id": "ledger", "window_days": 28, "data_quality": QUALITY}
NOTHING: Any = QUALITY | dict.fromkeys(
    ("days", "coverage", "gaps", "missing_seconds", "step_seconds", "total_requests", "expected_requests")
)


def part(regime: str | None = "rare_incidents") -> Any:
    tiers = {
        name: {"target": target, "breach_probability": chance}
        for name, target, chance in (
            ("conservative", 0.998, 0.01),
            ("balanced", 0.9993, 0.05),
            ("aggressive", 0.9996, 0.2),
        )
    }
    return {"tiers": tiers} | ({"regime": regime} if regime else {})


def test_reliability_is_that_of_services_of_the_same_kind() -> None:
    group = calibration().regimes["rare_incidents"]
    found = reliability(part())
    assert found is not None
    assert found.sentence == (
        f"Of {group.cases} simulated services with rare incidents, {percent(group.missed['balanced'], 1)} "
        "missed a balanced target; stated: 5\u202f%."
    )
    assert [row.stated for row in found.rows] == ["1\u202f%", "5\u202f%", "20\u202f%"]
    assert [row.missed for row in found.rows] == [percent(group.missed[tier], 1) for tier in TIERS]


def test_services_in_their_first_week_are_told_as_such() -> None:
    group = calibration().young
    for days in (1.0, 2.05, 6.9):
        found = reliability(part("new"), days)
        assert found is not None
        assert found.sentence == (
            f"Of {group.cases} simulated services with 1 to 6 days of history, "
            f"{percent(group.missed['balanced'], 1)} missed a balanced target; stated: 5\u202f%."
        )
        assert [row.missed for row in found.rows] == [percent(group.missed[tier], 1) for tier in TIERS]
    for known in (7.0, 29.0, None):
        found = reliability(part("new"), known)
        assert found is not None
        assert "simulated services with 7 to 29 days of history, " in found.sentence
        assert len(found.rows) == 3
    assert "new services 7 to 29 days, young ones 1 to 6 days" in calibration().about["shown"]


def test_what_was_not_evaluated_is_not_claimed() -> None:
    found = reliability(part("up_or_down"), 6.9)
    assert found is not None
    assert found.sentence == (
        "How often sites watched by probes with under 7 days of history miss their targets was not evaluated."
    )
    assert found.rows == ()


def test_the_first_week_is_the_engines() -> None:
    assert FIRST_WEEK_DAYS == evidence.FIRST_WEEK_DAYS


def test_sites_that_a_clock_asks_are_told_as_the_real_ones_they_are() -> None:
    group, about = calibration().regimes["up_or_down"], calibration().real
    found = reliability(part("up_or_down"))
    assert found is not None
    assert found.sentence == (
        "Real sites watched by probes missed a balanced target in "
        f"{percent(group.missed['balanced'], 1)} of {group.cases:,} windows; stated: 5\u202f%."
    )
    assert found.source.startswith(
        f"Real histories, none simulated: {about['sites']} sites on {about['pages']} public status pages. "
        "Shown: 60 to 90 days"
    )
    assert found.source.endswith("Judged: each page by what was learned from all the others.")
    assert [row.missed for row in found.rows] == [percent(group.missed[tier], 1) for tier in TIERS]


def test_no_regime_is_told_as_what_it_is_not() -> None:
    for name, group in calibration().regimes.items():
        found = reliability(part(name))
        assert found is not None
        words = f"{found.sentence} {found.source}".replace("none simulated", "")
        assert ("simulated" in words) is not group.is_real
        assert ("eal " in words) is group.is_real


@pytest.mark.parametrize("found", [part(None), part("something newer"), {"regime": "steady", "tiers": None}])
def test_without_a_known_kind_or_a_number_nothing_is_claimed(found: Any) -> None:
    assert reliability(found) is None


def test_a_chance_is_explained_with_the_services_own_numbers() -> None:
    found = meaning(DOCUMENT, part())
    assert found is not None
    assert found.question == "What does 5\u202f% mean here?"
    words = " ".join(found.answers)
    assert (
        "In 20 windows like the next 28 days we expect about one in which ledger ends below 99.93\u202f%"
        in words
    )
    assert "and 19 in which it keeps that or does better" in words
    assert "28\u202fmin of full outage, or for 210 failures among 300,000 requests" in words
    assert "99.8\u202f% is missed about once in 100, 99.96\u202f% once in 5" in words


def test_no_number_has_nothing_to_explain() -> None:
    assert meaning(DOCUMENT, part() | {"tiers": None}) is None
    assert meaning(None, None) is None


def test_gaps_are_told_with_their_length_and_nothing_says_the_opposite() -> None:
    with_gap = QUALITY | {"gaps": 1, "missing_seconds": 32_400}
    assert "1 gap without data, 9\u202fh in all, left out." in quality_words(with_gap)
    assert "No hour is missing." not in quality_words(with_gap)
    assert "No hour is missing." in quality_words(QUALITY)
    for quality in (QUALITY, with_gap):
        assert "gap" not in confidence_words(0.9, "ok", quality)


def test_what_is_odd_in_the_data_is_counted_in_plain_words() -> None:
    lines = quality_words(QUALITY | {"implausible_bins": 1, "partial_bins": 3, "warnings": ["Clock moved."]})
    assert "1 hour could not be true and was left out." in lines
    assert "3 hours came from incomplete answers." in lines
    assert lines[-1] == "Clock moved."
    assert "1,000,000 requests in 90 days." in lines
    assert data_words(QUALITY) == "90 d, 99.6\u202f% of hours"
    assert quality_words(NOTHING) == quality_words(None) == []


def test_a_confidence_that_is_not_good_says_what_holds_it_back() -> None:
    fair = confidence_words(0.6, "ok", QUALITY)
    assert fair.startswith("Fair, held back most by wide intervals: ")
    assert fair.count("wide") == 1, "once is enough"
    assert confidence_words(0.3, "ok", QUALITY).startswith("Low, held back most by wide intervals")
    doubted = QUALITY | {"confidence_parts": {"precision": 0.6, "evidence": 0.5}}
    assert confidence_words(0.3, "ok", doubted).startswith(
        "Low, held back most by doubts about what was counted:"
    )
    assert confidence_words(0.8, "ok", QUALITY).startswith("Good")
    for days in (2.0, 7.0):
        weeks = confidence_words(0.3, "cold_start", QUALITY | {"days": days})
        assert weeks == "Low: there is little history, and the tiers allow for what so few days cannot show."
    assert "publishes" in confidence_words(0.2, "cold_start", NOTHING)
    assert confidence_words(0.0, "insufficient_traffic", QUALITY) == "Too little is known for a number."
    assert confidence_words(0.0, "nothing_kept", QUALITY) == "What was counted leaves no target to keep."


@pytest.mark.parametrize(
    ("rate", "words"),
    [
        (0.0, "no page"),
        (0.25, "a page every 4 months"),
        (0.5, "a page every 2 months"),
        (1.0, "1 page a month"),
        (1.25, "1.2 pages a month"),
    ],
)
def test_alerts_are_told_as_somebody_would_remember_them(rate: float, words: str) -> None:
    assert rate_words(rate, "page") == words


def test_missed_windows_are_named_by_their_dates_the_newest_first() -> None:
    windows = [
        Window(date(2026, month, 1), date(2026, month, 28), 0.99, month in (3, 5, 6)) for month in range(1, 9)
    ]
    assert missed_sentence(windows) == (
        "Would have missed 3 of 8 past windows: 1 Jun to 28 Jun, 1 May to 28 May and 1 more."
    )
    assert missed_sentence(windows[:2]) == "Would have missed none of 2 past windows."


@pytest.mark.parametrize(
    ("missed", "chance", "is_warned"),
    [(0, 0.01, False), (2, 0.01, False), (5, 0.01, True), (3, 0.05, False), (9, 0.05, True), (5, 0.2, False)],
)
def test_a_past_that_missed_too_often_is_remarked_on(missed: int, chance: float, is_warned: bool) -> None:
    day = date(2026, 1, 1)
    windows = [Window(day, day, 0.99, number < missed) for number in range(25)]
    assert bool(more_than_meant(windows, chance)) is is_warned
