"""The first week: what was counted bounds the recommendation, whatever the archetype expects."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from apps.engine.archetypes import Archetypes
from apps.engine.explanation.what_if import with_scaled_cause
from apps.engine.recommend import recommend
from apps.engine.simulation.fleet import CUT_HOUR, HOUR_SECONDS
from apps.engine.simulation.fleet import START as SIMULATED_START
from apps.engine.simulation.young import YOUNG_FAMILIES, simulate_young, young_generator
from apps.engine.types import CountSeries, Floats, ServiceInput
from apps.engine.window.tiers import LEAST_TARGET
from tests.engine.build import START, end_of, hourly, steady

TIERS = ("conservative", "balanced", "aggressive")
NAMES = sorted(Archetypes.built_in().by_name)
SIXTHS = 6
STEPS = 3.0
"""The forecast moves in steps: of two similar records, the better one may get this many times the unavailability."""


@st.composite
def patterns(draw: st.DrawFn) -> tuple[Floats, Floats]:
    """Requests of 1 to 7 days, hour by hour, and the distribution of their failures, with mean 1."""
    generator = np.random.default_rng(draw(st.integers(0, 2**31)))
    hours = draw(st.integers(24, 7 * 24 - 1))
    per_hour = draw(st.sampled_from([20, 400, 1_500, 40_000]))
    total = generator.poisson(per_hour * (1 + 0.4 * np.sin(np.arange(hours) / 24 * 2 * np.pi))) + 1.0
    kind = draw(st.sampled_from(["even", "days differ", "hours differ", "a step"]))
    shape = np.ones(hours)
    if kind == "days differ":
        shape = np.repeat(generator.lognormal(0, 0.6, 8), 24)[:hours]
    elif kind == "hours differ":
        shape = generator.lognormal(0, 1.5, hours)
    elif kind == "a step":
        shape = np.where(np.arange(hours) < hours // 2, 1.0, 5.0)
    return total.astype(np.float64), shape / shape.mean()


def failed(total: Floats, rates: Floats, seed: int) -> Floats:
    drawn = np.random.default_rng(seed).binomial(total.astype(int), np.minimum(1.0, rates))
    return np.asarray(drawn, dtype=np.float64)


def availability_of(counts: CountSeries, archetype: str = "default") -> Any:
    service = ServiceInput("svc", archetype=archetype, counts=counts)
    return recommend(service, as_of=end_of(counts))["availability"]


def unavailabilities(found: dict[str, Any]) -> Floats:
    return np.array([1 - found["tiers"][name]["target"] for name in TIERS])


def without_the_worst(total: Floats, bad: Floats) -> float:
    """The level of a record without the two sixths that failed most: what no single incident explains."""
    parts = [
        (float(b.sum()), float(t.sum()))
        for b, t in zip(*(np.array_split(each, SIXTHS) for each in (bad, total)), strict=True)
    ]
    kept = sorted(parts)[: SIXTHS - 2]
    return sum(b for b, _ in kept) / sum(t for _, t in kept)


@settings(max_examples=80, deadline=None)
@given(
    patterns(),
    st.sampled_from([0.0, 1e-4, 1e-3, 0.01, 0.04, 0.2, 0.6]),
    st.sampled_from(NAMES),
    st.integers(0, 99),
)
def test_no_tier_asks_for_what_the_record_clearly_breaks(
    pattern: tuple[Floats, Floats], rate: float, archetype: str, seed: int
) -> None:
    total, shape = pattern
    bad = failed(total, rate * shape, seed)
    found = availability_of(hourly(total, bad), archetype)
    if found["tiers"] is None:
        assert found["verdict"] == "nothing_kept"
        assert bad.sum() >= 0.9 * total.sum()
        return
    targets = [found["tiers"][name]["target"] for name in TIERS]
    assert LEAST_TARGET <= targets[0] <= targets[1] <= targets[2] < 1
    if bad.sum() >= 100:
        assert 1 - targets[2] >= 0.5 * without_the_worst(total, bad)


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from([0.01, 0.04, 0.2, 0.6]),
    st.integers(24, 7 * 24 - 1),
    st.sampled_from([1_500.0, 40_000.0]),
    st.sampled_from(NAMES),
    st.integers(0, 99),
)
@example(0.04, 72, 1_500.0, "default", 1)
def test_a_service_that_fails_steadily_is_not_given_what_it_breaks_every_day(
    rate: float, hours: int, per_hour: float, archetype: str, seed: int
) -> None:
    counts = steady(hours / 24, per_hour=per_hour, rate=rate, seed=seed)
    found = availability_of(counts, archetype)
    assert found["observed"] == pytest.approx(1 - rate, rel=0.02)
    # The aggressive tier least of all: one window in five misses it.
    assert (unavailabilities(found) >= 0.93 * (1 - found["observed"])).all()
    assert found["tiers"]["balanced"]["target"] < found["observed"]


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from([1, 30, 300]),
    st.integers(3 * 24, 7 * 24 - 1),
    st.sampled_from(["worker", "external", "frontend", "default"]),
    st.integers(0, 99),
)
def test_a_service_much_better_than_its_kind_is_not_dragged_to_it(
    better: int, hours: int, archetype: str, seed: int
) -> None:
    typical = 1 - Archetypes.built_in().get(archetype).typical_availability
    counts = steady(hours / 24, per_hour=100_000.0, rate=typical / better, seed=seed)
    found = availability_of(counts, archetype)
    alike = availability_of(counts, "cache")
    # The archetype that expects least costs the service at most a factor of two against the one that expects most.
    assert (unavailabilities(found) <= 2.0 * unavailabilities(alike)).all()
    assert unavailabilities(found)[2] <= 8.0 * typical / better


@settings(max_examples=30, deadline=None)
@given(
    patterns(), st.sampled_from([1e-3, 0.01, 0.1, 0.5]), st.sampled_from([0.02, 0.1, 0.3]), st.integers(0, 99)
)
def test_of_two_records_alike_the_better_one_is_never_given_a_clearly_lower_target(
    pattern: tuple[Floats, Floats], rate: float, share: float, seed: int
) -> None:
    total, shape = pattern
    worse = failed(total, rate * shape, seed)
    better = failed(worse, np.full(worse.size, share), seed)
    assume(better.sum() >= 30)
    found = [availability_of(hourly(total, bad)) for bad in (worse, better)]
    assume(found[0]["tiers"] is not None)
    assert (unavailabilities(found[1]) <= STEPS * unavailabilities(found[0])).all()


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from([4.0, 12.0, 60.0]),
    st.integers(24, 7 * 24 - 1),
    st.sampled_from([0.0, 0.01, 0.1, 0.5, 1.0]),
    st.sampled_from(NAMES),
    st.integers(0, 2**31),
)
def test_sites_that_are_up_or_down_get_ordered_tiers_or_none(
    probes: float, hours: int, down: float, archetype: str, seed: int
) -> None:
    is_down = np.random.default_rng(seed).random(hours) < down
    total = np.full(hours, probes)
    found = availability_of(hourly(total, np.where(is_down, total, 0.0)), archetype)
    if is_down.all():
        assert found["verdict"] == "nothing_kept"
    if found["tiers"] is None:
        assert found["verdict"] == "nothing_kept"
        assert is_down.mean() >= 0.9
        return
    targets = [found["tiers"][name]["target"] for name in TIERS]
    assert LEAST_TARGET <= targets[0] <= targets[1] <= targets[2] < 1


def test_one_burst_in_an_otherwise_clean_record_is_no_level() -> None:
    total = np.full(4 * 24, 10_000.0)
    burst, even = np.zeros(total.size), np.full(total.size, 100.0)
    burst[40] = even.sum() / 2
    at_once, spread = (availability_of(hourly(total, bad)) for bad in (burst, even))
    # It bounds the target, and has no other effect.
    assert unavailabilities(at_once)[2] == pytest.approx(1 - at_once["observed"])
    assert unavailabilities(spread)[2] > 1.05 * (1 - spread["observed"])


def test_the_share_of_the_prior_falls_with_evidence_and_is_what_is_said() -> None:
    shares = []
    for days, per_hour in ((1, 20.0), (1, 100_000.0), (3, 100_000.0), (6, 100_000.0)):
        reason = availability_of(steady(days, per_hour=per_hour, rate=1e-3))["reason"]
        assert " % of each target is what is expected of its kind" in reason
        shares.append(int(reason.split(": ")[1].split(" %")[0]))
    assert shares == sorted(shares, reverse=True)
    assert shares[0] > 50
    assert shares[2] < 10


@pytest.mark.parametrize("family", YOUNG_FAMILIES)
def test_what_is_explained_of_a_young_service_comes_true_and_adds_up(family: str) -> None:
    as_of = SIMULATED_START + CUT_HOUR * HOUR_SECONDS
    for number in range(6):
        service = simulate_young(young_generator(3, family, number), family, "svc").service
        explanation: Any = recommend(service, as_of=as_of)["explanation"]
        if explanation["target"] is None:
            continue
        added = sum(each["contribution"] for each in explanation["attribution"])
        assert explanation["base"] + added == pytest.approx(explanation["target"], abs=1e-9)
        for each in explanation["counterfactuals"]:
            change = each["change"]
            changed = with_scaled_cause(service, as_of=as_of, cause=change["cause"], scale=change["scale"])
            again: Any = recommend(changed, as_of=as_of)["explanation"]
            assert 1 - again["target"] == pytest.approx(1 - each["result"], rel=0.1), each["text"]


def test_daily_counts_alone_are_bounded_by_what_they_show_too() -> None:
    total = np.full(4, 50_000.0)
    bad = np.array([2_000.0, 1_900.0, 2_100.0, 2_000.0])
    service = ServiceInput("svc", history=CountSeries(START, 86_400, total, bad))
    found: Any = recommend(service, as_of=START + 4 * 86_400)["availability"]
    assert found["verdict"] == "cold_start"
    assert (unavailabilities(found) >= 0.75 * 0.04).all()


@given(
    days=st.floats(1.0, 6.5),
    rate=st.floats(1e-5, 0.6),
    share=st.floats(0.02, 1.0),
    archetype=st.sampled_from(["default", "database", "worker", "external"]),
    seed=st.integers(0, 10**6),
)
@settings(max_examples=40, deadline=None)
def test_no_tier_of_the_first_week_is_better_than_what_was_counted(
    days: float, rate: float, share: float, archetype: str, seed: int
) -> None:
    """For any distribution of failures: evenly, or all in a few hours."""
    generator = np.random.default_rng(seed)
    hours = int(days * 24)
    total = generator.integers(500, 5_000, hours).astype(float)
    is_failing = generator.random(hours) < share
    bad = np.minimum(total, generator.poisson(total * np.where(is_failing, rate, 0.0))).astype(float)
    service = ServiceInput("young", archetype=archetype, counts=CountSeries(0, 3600, total, bad))
    found = recommend(service, as_of=hours * 3600)["availability"]
    for tier in (found["tiers"] or {}).values():
        assert found["observed"] is not None
        assert tier["target"] <= found["observed"] + 1e-9
