"""Every statement of an explanation holds when the engine runs again, and its words carry the result's numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.engine.decomposition import held_within, scaled_failures
from apps.engine.explanation.what_if import KnownPast, with_scaled_cause
from apps.engine.forecast.batch import PastFeatures
from apps.engine.forecast.inputs import dependency_share_of
from apps.engine.forecast.service import ServiceForecast
from apps.engine.recommend import recommend
from apps.engine.rounding import percent
from apps.engine.series import DAY_SECONDS
from apps.engine.simulation.known_edges import simulated_service
from apps.engine.types import CountSeries, ServiceInput
from tests.engine.build import HOUR, START, end_of, steady

TOLERANCE = 0.1
"""Relative to the unavailability. A new run estimates hardness again, which the explanation follows only where it
matters.
"""


def a_service(number: int) -> tuple[ServiceInput, int]:
    """A service of a simulated fleet, and when its data ends."""
    counts, known = simulated_service(np.random.default_rng([5, number]), "edge")
    service = ServiceInput("svc", counts=counts, dependencies=tuple(each.dependency for each in known))
    return service, START + counts.total.size * HOUR


@pytest.mark.parametrize("number", range(12))
def test_every_counterfactual_comes_true_when_recommend_runs_again(number: int) -> None:
    service, as_of = a_service(number)
    document: Any = recommend(service, as_of=as_of)
    target = document["explanation"]["target"]
    for each in document["explanation"]["counterfactuals"]:
        change = each["change"]
        changed = with_scaled_cause(service, as_of=as_of, cause=change["cause"], scale=change["scale"])
        again: Any = recommend(changed, as_of=as_of)
        result = again["explanation"]["target"]
        assert 1 - result == pytest.approx(1 - each["result"], rel=TOLERANCE), each["text"]
        if each["kind"] == "one_more_nine" and 0 < change["scale"] < 1:
            assert 1 - result <= (1 - target) / 10 * 1.001
        if each["kind"] in ("one_nine_better", "without_incidents"):
            assert each["result"] >= target
        if each["kind"] == "one_nine_worse":
            assert each["result"] <= target


def test_it_comes_true_where_daily_counts_stand_in_for_a_few_fine_ones() -> None:
    counts = steady(3)
    generator = np.random.default_rng(4)
    bad = generator.poisson(np.where(generator.random(203) < 0.05, 900, 24)).astype(float)
    history = CountSeries(START - 200 * DAY_SECONDS, DAY_SECONDS, np.full(203, 24_000.0), bad)
    service, as_of = ServiceInput("svc", counts=counts, history=history), end_of(counts)
    document: Any = recommend(service, as_of=as_of)
    assert document["data_quality"]["step_seconds"] == DAY_SECONDS
    changes = document["explanation"]["counterfactuals"]
    assert changes
    for each in changes:
        change = each["change"]
        changed = with_scaled_cause(service, as_of=as_of, cause=change["cause"], scale=change["scale"])
        again: Any = recommend(changed, as_of=as_of)
        assert again["explanation"]["target"] == pytest.approx(each["result"], abs=1e-9), each["text"]


@pytest.mark.parametrize("number", range(4))
def test_it_comes_true_of_a_site_that_a_clock_asks(number: int) -> None:
    generator = np.random.default_rng(number)
    hours = 24 * 60
    total, bad = np.full(hours, 12.0), generator.binomial(1, 0.02 * (number % 2), hours).astype(float)
    for start in generator.integers(0, hours - 4, 5):
        bad[start : start + int(generator.integers(1, 4))] = round(12 * generator.uniform(0.2, 1))
    service, as_of = ServiceInput("site", counts=CountSeries(START, HOUR, total, bad)), START + hours * HOUR
    document: Any = recommend(service, as_of=as_of)
    for each in document["explanation"]["counterfactuals"]:
        change = each["change"]
        changed = with_scaled_cause(service, as_of=as_of, cause=change["cause"], scale=change["scale"])
        again: Any = recommend(changed, as_of=as_of)
        assert again["explanation"]["target"] == pytest.approx(each["result"], abs=1e-9), each["text"]


def test_more_failures_than_requests_fail_where_others_do_and_nowhere_else() -> None:
    total = np.array([100.0, 100.0, 100.0, 100.0])
    held = held_within(np.array([130.0, 60.0, 0.0, 0.0]), total)
    np.testing.assert_allclose(held, [100, 90, 0, 0])
    np.testing.assert_allclose(held_within(np.array([250.0, 60.0, 0.0, 0.0]), total), [100, 100, 55, 55])
    np.testing.assert_allclose(held_within(np.full(4, 500.0), total), total)


def test_a_changed_past_is_forecast_alike_alone_and_in_company() -> None:
    service, as_of = a_service(1)
    past = KnownPast.of(service, as_of)
    forecast = ServiceForecast.of(past.counts, past.parts, has_dependency=True, window_days=28)
    changes = [("all", 0.0), ("all", 0.3), ("own", 10.0), ("incidents", 0.0)]
    scales = np.stack([past.scales(cause, scale) for cause, scale in changes])
    bad = scaled_failures(past.parts, past.counts.dense_total, scales)
    shares = dependency_share_of(past.parts, scales)
    together = PastFeatures.of(forecast, bad, shares).unavailability(0.05)
    for row in range(len(changes)):
        alone = PastFeatures.of(forecast, bad[row : row + 1], shares[row : row + 1]).unavailability(0.05)
        assert alone[0] == together[row]


def test_a_cause_that_is_not_there_cannot_be_changed() -> None:
    service, as_of = a_service(0)
    with pytest.raises(ValueError, match="no cause"):
        with_scaled_cause(service, as_of=as_of, cause="dependency:nobody", scale=0.5)
    with pytest.raises(ValueError, match="no counts"):
        with_scaled_cause(ServiceInput("svc"), as_of=as_of, cause="all", scale=0.5)


def _numbers(value: object) -> Iterator[float]:
    if isinstance(value, dict):
        for inner in value.values():
            yield from _numbers(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _numbers(inner)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield float(value)


@settings(max_examples=40)
@given(st.integers(0, 1_000), st.integers(1, 95), st.integers(-5, -2))
def test_every_number_in_the_summary_is_one_of_the_result(number: int, days: int, exponent: int) -> None:
    if number % 2:
        service, as_of = a_service(number)
        as_of = min(as_of, START + days * DAY_SECONDS)
    else:
        counts = steady(days, rate=10.0**exponent, seed=number)
        service, as_of = ServiceInput("svc", counts=counts), end_of(counts)
    document: Any = recommend(service, as_of=as_of)
    summary = document["explanation"]["summary"]
    assert 1 <= len(re.findall(r"\.(?: |$)", summary)) <= 4
    if document["availability"]["tiers"] is None:
        return
    known = list(_numbers(document))
    shares = {percent(each) for each in known if 0 <= each <= 1}
    for text in re.findall(r"\d+(?:\.\d+)? %", summary.replace(" % of each target", "")):
        assert text in shares, summary
    plain = re.sub(r"\d+(?:\.\d+)? %( of each target)?", "", summary)
    quality = document["data_quality"]
    assert f"{quality['total_requests']:,.0f} requests" in summary
    assert "1 window in 20" in summary
    for text in re.findall(r"\((\d[\d.e-]*) points\)", plain):
        contributions = [each["contribution"] for each in document["explanation"]["attribution"]]
        assert any(float(text) == pytest.approx(-100 * each, rel=0.06) for each in contributions), summary
