"""PetSite, a real service: the textbook product says 0 %, the users saw 99.6 %."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from apps.engine.recommend import recommend
from apps.engine.types import CountSeries
from tests.engine.petshop import petsite


@pytest.mark.parametrize(("traffic", "observed", "naive"), [("low", 0.99591, 0.0), ("high", 0.99910, 0.246)])
def test_petsite_is_not_the_product_of_its_callees(traffic: str, observed: float, naive: float) -> None:
    service, as_of = petsite(traffic)
    found: Any = recommend(service, as_of=as_of)["availability"]
    assert found["observed"] == pytest.approx(observed, abs=5e-6)
    composite = found["composite"]
    assert composite["naive_product"] == pytest.approx(naive, abs=1e-3)
    assert composite["lower_bound"] <= composite["point"] <= composite["upper_bound"]
    assert composite["point"] == pytest.approx(observed, abs=5e-4)


@pytest.mark.parametrize("traffic", ["low", "high"])
@pytest.mark.parametrize("window_days", [28, 30])
def test_petsites_tiers_are_a_cold_starts(window_days: int, traffic: str) -> None:
    service, as_of = petsite(traffic)
    document: Any = recommend(service, as_of=as_of, window_days=window_days)
    found = document["availability"]
    assert found["verdict"] == "cold_start"
    targets = [found["tiers"][name]["target"] for name in ("conservative", "balanced", "aggressive")]
    assert targets == sorted(targets)
    assert targets[0] >= 0.97
    assert targets[-1] <= 0.999
    assert document["confidence"] < 0.5
    json.dumps(document, allow_nan=False)


@pytest.mark.parametrize("traffic", ["low", "high"])
@pytest.mark.parametrize("window_days", [28, 30])
def test_what_49_hours_cannot_tell_is_said_in_words(window_days: int, traffic: str) -> None:
    service, as_of = petsite(traffic)
    document: Any = recommend(service, as_of=as_of, window_days=window_days)
    found = document["availability"]
    for tier in found["tiers"].values():
        low, high = tier["interval"]
        assert low < tier["target"] < high < 1
        backtest = tier["backtest"]
        assert (backtest["windows"], backtest["of"], backtest["missed"]) == ([], 0, 0)
        assert (backtest["pages_per_month"], backtest["tickets_per_month"]) == (None, None)
    share = {"low": "30 %", "high": "15 %"}[traffic]
    assert found["reason"].startswith(
        f"49 h of data: {share} of each target is what is expected of its kind (Service of unknown kind"
    )
    # At high traffic the failures are steady enough to show more of them than its kind has.
    assert ("with no fewer failures than were counted" in found["reason"]) is (traffic == "high")
    assert "confidence is low until day 30" in found["reason"]
    assert found["reason"].endswith(
        f"; no past window of {window_days} days can be judged yet, nor how often alerts would fire."
    )
    summary = document["explanation"]["summary"]
    assert summary.startswith("In 49 h, ")
    assert summary.endswith(found["reason"])
    assert 1 <= len(re.findall(r"\.(?= |$)", summary)) <= 4
    # The forecast allows for what 49 hours have not shown, whatever they did show.
    assert found["tiers"]["balanced"]["target"] < found["observed"]
    for latency in document["latency"].values():
        assert latency["verdict"] == "cold_start"
        assert "day 30" in latency["reason"]


@pytest.mark.parametrize("traffic", ["low", "high"])
def test_hourly_sums_of_the_same_data_tell_the_same(traffic: str) -> None:
    service, as_of = petsite(traffic)
    assert service.counts is not None
    hours = service.counts.total.size // 12

    def summed(series: CountSeries) -> CountSeries:
        total = np.nansum(series.total[: hours * 12].reshape(hours, 12), axis=1)
        bad = np.nansum(series.bad[: hours * 12].reshape(hours, 12), axis=1)
        return CountSeries(series.start, 3_600, total, bad)

    coarse = replace(
        service,
        counts=summed(service.counts),
        dependencies=tuple(
            replace(each, target=None if each.target is None else summed(each.target))
            for each in service.dependencies
        ),
    )
    found: Any = recommend(coarse, as_of=as_of)["availability"]
    assert found["verdict"] == "cold_start"
    targets = [found["tiers"][name]["target"] for name in ("conservative", "balanced", "aggressive")]
    assert 0.97 <= targets[0] <= targets[1] <= targets[2] <= 0.999
    assert found["composite"]["point"] > 0.99


@pytest.mark.parametrize("traffic", ["low", "high"])
def test_petsites_latency_is_judged_by_bins(traffic: str) -> None:
    service, as_of = petsite(traffic)
    latency: Any = recommend(service, as_of=as_of)["latency"]
    for which in ("p95_ms", "p99_ms"):
        assert latency[which]["basis"] == "bins"
        assert latency[which]["verdict"] == "cold_start"
    assert latency["p99_ms"]["tiers"]["balanced"]["target"] > latency["p95_ms"]["tiers"]["balanced"]["target"]
