"""The document: complete, deterministic, blind to the future."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.engine.recommend import recommend
from apps.engine.types import (
    BucketSeries,
    CountSeries,
    DependencyInput,
    PercentileSeries,
    Quality,
    ServiceInput,
)
from tests.engine.build import DAY, START, end_of, full_service, hourly, steady


def text_of(service: ServiceInput, as_of: int, **options: Any) -> str:
    return json.dumps(recommend(service, as_of=as_of, **options), allow_nan=False)


def test_the_document_has_its_keys_in_their_order() -> None:
    service, as_of = full_service()
    document: Any = recommend(service, as_of=as_of)
    assert list(document) == [
        "service_id",
        "as_of",
        "window_days",
        "seed",
        "availability",
        "latency",
        "data_quality",
        "confidence",
        "explanation",
    ]
    assert list(document["availability"])[:4] == ["verdict", "reason", "observed", "tiers"]
    assert list(document["availability"]["tiers"]) == ["conservative", "balanced", "aggressive"]
    assert list(document["availability"]["composite"])[:3] == ["point", "lower_bound", "upper_bound"]
    assert list(document["latency"]) == ["p95_ms", "p99_ms"]
    assert list(document["explanation"]) == ["base", "target", "attribution", "counterfactuals", "summary"]
    assert document["as_of"] == "2026-07-31T00:00:00Z"


def test_a_tier_is_flagged_and_not_bent_where_dependencies_support_less() -> None:
    service, as_of = full_service()
    weak = replace(service.dependencies[1], published_sla=0.99, calls_per_request=1.0)
    before: Any = recommend(service, as_of=as_of)["availability"]
    after: Any = recommend(replace(service, dependencies=(service.dependencies[0], weak)), as_of=as_of)[
        "availability"
    ]
    assert before["tiers"]["aggressive"]["target"] == after["tiers"]["aggressive"]["target"]
    assert after["tiers"]["aggressive"]["supported_by_dependencies"] is False
    assert after["dependency_limit"] < after["tiers"]["aggressive"]["target"]
    assert before["tiers"]["conservative"]["supported_by_dependencies"] is True


def test_without_dependencies_support_is_unknown_and_not_true() -> None:
    counts = steady(40)
    tiers: Any = recommend(ServiceInput("svc", counts=counts), as_of=end_of(counts))["availability"]
    assert tiers["tiers"]["balanced"]["supported_by_dependencies"] is None
    assert tiers["composite"]["point"] == tiers["observed"]


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 2**31))
def test_the_same_input_and_seed_give_the_same_bytes_in_any_company(seed: int) -> None:
    services = [full_service(name, days)[0] for name, days in (("a", 20), ("b", 40), ("c", 60))]
    as_of = START + 60 * DAY
    alone = {each.service_id: text_of(each, as_of, seed=seed) for each in services}
    random.Random(seed).shuffle(services)
    for service in services:
        assert text_of(service, as_of, seed=seed) == alone[service.service_id]


def test_another_seed_gives_other_numbers() -> None:
    service, as_of = full_service()
    assert text_of(service, as_of, seed=1) != text_of(service, as_of, seed=2)


def test_the_order_of_dependencies_does_not_matter() -> None:
    service, as_of = full_service()
    backwards = replace(service, dependencies=service.dependencies[::-1])
    assert text_of(service, as_of) == text_of(backwards, as_of)


def _poisoned(series: CountSeries, as_of: int) -> CountSeries:
    known = (as_of - series.start) // series.step_seconds
    return CountSeries(
        series.start,
        series.step_seconds,
        np.concatenate([series.total[:known], np.full(500, 1e6)]),
        np.concatenate([series.bad[:known], np.full(500, 1e6)]),
    )


@settings(max_examples=8, deadline=None)
@given(st.integers(3 * DAY, 50 * DAY))
def test_nothing_after_as_of_has_any_influence(age: int) -> None:
    service, end = full_service()
    assert service.counts is not None
    as_of = end - age
    hours = service.counts.total.size
    bounds = np.array([10.0, 100.0, np.inf])
    cumulative = np.outer(service.counts.total, [0.5, 0.995, 1.0])
    history = CountSeries(START - 300 * DAY, DAY, np.full(400, 1e5), np.full(400, 40.0))
    service = replace(service, history=history, buckets=BucketSeries(START, 3_600, bounds, cumulative))
    known = (as_of - START) // 3_600
    late = cumulative.copy()
    late[known:] = 7.0
    first = service.dependencies[0]
    assert first.edge is not None
    assert service.counts is not None
    poisoned = replace(
        service,
        counts=_poisoned(service.counts, as_of),
        history=_poisoned(history, as_of),
        buckets=BucketSeries(START, 3_600, bounds, late),
        dependencies=(
            replace(first, edge=_poisoned(first.edge, as_of), target=_poisoned(first.edge, as_of)),
            *service.dependencies[1:],
        ),
    )
    assert hours > known
    assert text_of(service, as_of) == text_of(poisoned, as_of)


def test_percentiles_after_as_of_are_not_read() -> None:
    counts = steady(10)
    as_of = end_of(counts) - 2 * DAY
    at = START + 300 * np.arange(10 * 288)
    values = np.random.default_rng(1).lognormal(4, 0.3, at.size)
    late = np.where(at >= as_of, 9e9, values)
    documents = [
        recommend(
            ServiceInput("svc", counts=counts, percentiles=PercentileSeries(at, each, 2 * each, 12)),
            as_of=as_of,
        )
        for each in (values, late)
    ]
    assert documents[0] == documents[1]


def test_impossible_bins_are_left_out_and_counted() -> None:
    counts = steady(40)
    broken = hourly(counts.total.copy(), counts.bad.copy())
    broken.bad[100] = broken.total[100] + 5
    broken.total[200] = -1
    document: Any = recommend(
        ServiceInput("svc", counts=broken, quality=Quality(implausible_bins=3)), as_of=end_of(counts)
    )
    quality = document["data_quality"]
    assert quality["implausible_bins"] == 5
    assert quality["gaps"] == 2
    assert quality["coverage"] == pytest.approx(1 - 2 / 960)
    whole: Any = recommend(ServiceInput("svc", counts=counts), as_of=end_of(counts))
    assert document["confidence"] < whole["confidence"]


def test_a_gap_is_not_an_outage() -> None:
    counts = steady(40)
    holed = hourly(counts.total.copy(), counts.bad.copy())
    holed.total[300:400] = np.nan
    holed.bad[300:400] = np.nan
    document: Any = recommend(ServiceInput("svc", counts=holed), as_of=end_of(counts))
    known = np.isfinite(holed.total)
    assert document["availability"]["observed"] == pytest.approx(
        1 - holed.bad[known].sum() / holed.total[known].sum(), abs=1e-9
    )


def test_old_data_lowers_confidence() -> None:
    counts = steady(40)
    fresh: Any = recommend(ServiceInput("svc", counts=counts), as_of=end_of(counts))
    old: Any = recommend(ServiceInput("svc", counts=counts), as_of=end_of(counts) + 10 * DAY)
    assert old["confidence"] < 0.2 * fresh["confidence"]
    assert old["data_quality"]["gaps"] == 1


def test_long_daily_history_stands_in_for_a_few_fine_days() -> None:
    counts = steady(3)
    history = CountSeries(START - 200 * DAY, DAY, np.full(203, 24_000.0), np.full(203, 24.0))
    document: Any = recommend(ServiceInput("svc", counts=counts, history=history), as_of=end_of(counts))
    assert document["availability"]["verdict"] == "ok"
    assert document["data_quality"]["step_seconds"] == DAY
    assert "Daily counts" in document["data_quality"]["warnings"][0]


def test_cycles_and_unknown_targets_are_named() -> None:
    service, as_of = full_service()
    first = replace(service.dependencies[0], cycle=("checkout", "payments-db"))
    unknown = replace(service.dependencies[1], published_sla=None)
    document: Any = recommend(replace(service, dependencies=(first, unknown)), as_of=as_of)
    warnings = " ".join(document["data_quality"]["warnings"])
    assert "checkout → payments-db → checkout" in warnings
    assert "card-network has neither observations nor a published SLA" in warnings
    (cyclic,) = [
        each
        for each in document["availability"]["composite"]["dependencies"]
        if each["target_id"] == "payments-db"
    ]
    assert cyclic["effect"] < 0
    assert cyclic["cycle"] == ["checkout", "payments-db"]


def test_a_service_that_calls_itself_does_not_depend_on_itself() -> None:
    counts = steady(40)
    itself = DependencyInput("svc", edge=counts, target=counts, cycle=("svc",))
    document: Any = recommend(
        ServiceInput("svc", counts=counts, dependencies=(itself,)), as_of=end_of(counts)
    )
    assert document["availability"]["composite"]["dependencies"] == []
    assert document["availability"]["composite"]["own"] == document["availability"]["observed"]
    assert "calls itself" in document["data_quality"]["warnings"][0]


def test_it_refuses_a_window_under_a_day() -> None:
    with pytest.raises(ValueError, match="window_days"):
        recommend(ServiceInput("svc"), as_of=0, window_days=0)
