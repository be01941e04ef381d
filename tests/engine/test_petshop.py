"""PetSite, a real service: the textbook product says 0 %, the users saw 99.6 %."""

from __future__ import annotations

import json
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


@pytest.mark.parametrize("window_days", [28, 30])
def test_petsites_tiers_are_a_cold_starts(window_days: int) -> None:
    service, as_of = petsite("low")
    document: Any = recommend(service, as_of=as_of, window_days=window_days)
    found = document["availability"]
    assert found["verdict"] == "cold_start"
    targets = [found["tiers"][name]["target"] for name in ("conservative", "balanced", "aggressive")]
    assert targets == sorted(targets)
    assert targets[0] >= 0.97
    assert targets[-1] <= 0.999
    assert document["confidence"] < 0.5
    json.dumps(document, allow_nan=False)


def test_hourly_sums_of_the_same_data_tell_the_same() -> None:
    service, as_of = petsite("low")
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


def test_petsites_latency_is_judged_by_bins() -> None:
    service, as_of = petsite("low")
    latency: Any = recommend(service, as_of=as_of)["latency"]
    for which in ("p95_ms", "p99_ms"):
        assert latency[which]["basis"] == "bins"
        assert latency[which]["verdict"] == "cold_start"
    assert latency["p99_ms"]["tiers"]["balanced"]["target"] > latency["p95_ms"]["tiers"]["balanced"]["target"]
