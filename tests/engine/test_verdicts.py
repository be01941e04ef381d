"""When there is a number, and the reason when there is none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.engine.recommend import recommend
from apps.engine.types import ServiceInput
from apps.engine.verdicts import judge
from apps.engine.window.tiers import LEAST_TARGET
from tests.engine.build import end_of, hourly, steady


def availability_of(service: ServiceInput, as_of: int, **options: Any) -> Any:
    return recommend(service, as_of=as_of, **options)["availability"]


@pytest.mark.parametrize(
    ("hours", "verdict"),
    [
        (23, "insufficient_history"),
        (24, "cold_start"),
        (29 * 24, "cold_start"),
        (30 * 24, "ok"),
    ],
)
def test_the_verdict_follows_the_days_of_data(hours: int, verdict: str) -> None:
    counts = hourly(np.full(hours, 500.0), np.full(hours, 1.0))
    found = availability_of(ServiceInput("svc", counts=counts), end_of(counts))
    assert found["verdict"] == verdict
    assert (found["tiers"] is None) is (verdict == "insufficient_history")


def test_too_little_traffic_gets_a_reason_and_no_number() -> None:
    total = np.zeros(28 * 24)
    total[:212] = 1.0
    counts = hourly(total, np.zeros_like(total))
    found = availability_of(ServiceInput("payments-api", counts=counts), end_of(counts))
    assert found["verdict"] == "insufficient_traffic"
    assert found["tiers"] is None
    assert found["reason"] == "payments-api has 212 requests in 28 days; 2,995 are needed to support 99.9 %."


@pytest.mark.parametrize(("requests", "verdict"), [(299, "insufficient_traffic"), (300, "cold_start")])
def test_three_hundred_requests_in_a_window_are_the_least(requests: int, verdict: str) -> None:
    total = np.zeros(28 * 24)
    total[:requests] = 1.0
    counts = hourly(total, np.zeros_like(total))
    assert availability_of(ServiceInput("svc", counts=counts), end_of(counts))["verdict"] == verdict


def test_two_bins_a_month_apart_are_not_a_month_of_history() -> None:
    total = np.full(40 * 24, np.nan)
    total[0] = total[-1] = 1_000.0
    counts = hourly(total, total * 0)
    assert (
        availability_of(ServiceInput("svc", counts=counts), end_of(counts))["verdict"]
        == "insufficient_history"
    )


def test_a_service_without_data_gets_nulls_and_a_reason() -> None:
    document: Any = recommend(ServiceInput("new-service"), as_of=1_780_272_000)
    assert document["availability"]["verdict"] == "no_data"
    assert document["availability"]["reason"]
    assert document["availability"]["tiers"] is None
    assert document["availability"]["composite"]["point"] is None
    assert document["confidence"] == 0
    assert document["explanation"]["target"] is None
    assert document["explanation"]["summary"] == document["availability"]["reason"]
    assert document["latency"]["p95_ms"]["verdict"] == "no_data"


def test_an_external_without_observations_gets_its_sla_with_ten_percent_more_unavailability() -> None:
    document: Any = recommend(
        ServiceInput("card-network", is_external=True, archetype="external", published_sla=0.999),
        as_of=1_780_272_000,
    )
    found = document["availability"]
    assert found["verdict"] == "cold_start"
    assert found["tiers"]["balanced"]["target"] == pytest.approx(0.9989)
    assert found["tiers"]["aggressive"]["target"] == pytest.approx(0.999)
    assert found["tiers"]["conservative"]["target"] < 0.9989
    assert "published SLA" in found["reason"]
    explanation = document["explanation"]
    total = explanation["base"] + sum(each["contribution"] for each in explanation["attribution"])
    assert total == pytest.approx(explanation["target"], abs=1e-9)
    assert document["confidence"] <= 0.2


def test_an_external_with_observations_is_judged_by_them() -> None:
    counts = steady(60, rate=5e-3)
    service = ServiceInput("card-network", is_external=True, published_sla=0.9999, counts=counts)
    found = availability_of(service, end_of(counts))
    assert found["verdict"] == "ok"
    assert found["tiers"]["aggressive"]["target"] < 0.996


def test_cold_start_leans_on_the_archetype_and_says_so() -> None:
    counts = steady(2, per_hour=50_000, rate=1e-5)
    as_of = end_of(counts)
    worker = availability_of(ServiceInput("svc", counts=counts, archetype="worker"), as_of)
    cache = availability_of(ServiceInput("svc", counts=counts, archetype="cache"), as_of)
    assert worker["tiers"]["balanced"]["target"] < cache["tiers"]["balanced"]["target"]
    assert "Worker or batch service" in worker["reason"]
    document: Any = recommend(ServiceInput("svc", counts=counts), as_of=as_of)
    assert document["confidence"] <= 0.5
    assert "archetype" in [each["feature"] for each in document["explanation"]["attribution"]]


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 60), st.sampled_from([20.0, 1_200.0]), st.sampled_from([None, 0.999]))
def test_where_every_request_failed_nothing_can_be_recommended(
    days: int, per_hour: float, published: float | None
) -> None:
    total = np.full(days * 24, per_hour)
    counts = hourly(total, total)
    service = ServiceInput(
        "ledger", is_external=published is not None, published_sla=published, counts=counts
    )
    document: Any = recommend(service, as_of=end_of(counts))
    found = document["availability"]
    assert found["verdict"] == "nothing_kept"
    assert found["tiers"] is None
    assert found["observed"] == 0
    assert f"All {total.sum():,.0f} requests of ledger in " in found["reason"]
    assert "selects every request" in found["reason"]
    assert document["confidence"] == 0
    assert document["explanation"]["target"] is None
    assert document["explanation"]["summary"] == found["reason"]


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 60), st.floats(0.9, 0.9999), st.integers(0, 99))
def test_where_nearly_every_request_failed_no_tier_is_next_to_nothing(
    days: int, rate: float, seed: int
) -> None:
    counts = steady(days, per_hour=500.0, rate=rate, seed=seed)
    found = availability_of(ServiceInput("ledger", counts=counts), end_of(counts))
    if found["tiers"] is not None:
        assert all(tier["target"] >= LEAST_TARGET for tier in found["tiers"].values())
        assert rate < 0.995
        return
    assert found["verdict"] == "nothing_kept"
    if counts.bad.sum() == counts.total.sum():
        assert f"All {counts.total.sum():,.0f} requests of ledger" in found["reason"]
        return
    assert f"{counts.bad.sum():,.0f} of {counts.total.sum():,.0f} requests of ledger" in found["reason"]
    assert "at most 1 %, which is too low for an SLO" in found["reason"]


def test_a_tier_that_may_miss_everything_is_no_less_than_one_percent() -> None:
    generator = np.random.default_rng(2)
    total = np.full(3 * 24, 12.0)
    bad = np.where(generator.random(total.size) < 0.3, total, 0.0)
    counts = hourly(total, bad)
    found = availability_of(ServiceInput("site", counts=counts), end_of(counts))
    assert found["tiers"]["conservative"]["target"] >= LEAST_TARGET
    low, high = found["tiers"]["conservative"]["interval"]
    assert 0 <= low <= found["tiers"]["conservative"]["target"] <= high <= 1


def test_a_service_of_which_every_hour_was_left_out_says_so_and_why() -> None:
    found = judge("shop", None, 28, {"several writers in one series": 70, "an hour out of all proportion": 2})
    assert found.verdict == "no_data"
    assert found.reason == (
        "shop has no usable hour: 72 hours were read and left out (several writers in one series, "
        "an hour out of all proportion)."
    )
