"""End-to-end latency against cases with a known answer, and budgets that keep the target."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import gammaincinv

from apps.engine.latency.dependence import Dependence, LatencyDistribution
from apps.engine.latency.end_to_end import (
    Call,
    Parallel,
    Path,
    Serial,
    end_to_end,
    mixed,
    services_of,
    share_out,
)
from apps.engine.types import BucketSeries, Floats
from tests.engine.build import START

FINE = np.concatenate([np.linspace(1, 1_500, 1_500), [np.inf]])


def exponential(mean: float = 50.0) -> LatencyDistribution:
    return LatencyDistribution(FINE, 1e6 * (1 - np.exp(-FINE / mean)))


def within(found: float, expected: float, error: float, *, slack: float = 0.0) -> bool:
    return abs(found - expected) <= 4 * error + slack


def test_independent_exponentials_in_a_row_are_erlang() -> None:
    path = Serial((Call("a"), Call("b"), Call("c"), Call("d")))
    found = end_to_end(path, dict.fromkeys("abcd", exponential()))
    for share in (0.5, 0.95, 0.99):
        estimate = found.percentile(share)
        assert within(estimate.value, 50 * float(gammaincinv(4, share)), estimate.standard_error, slack=0.5)
        assert 0 < estimate.standard_error < 0.02 * estimate.value


def test_the_slowest_of_parallel_calls_is_the_product_of_their_distributions() -> None:
    path = Parallel((Call("a"), Call("b"), Call("c")))
    found = end_to_end(path, {"a": exponential(50), "b": exponential(50), "c": exponential(50)})
    estimate = found.percentile(0.95)
    assert within(estimate.value, -50 * np.log(1 - 0.95 ** (1 / 3)), estimate.standard_error, slack=0.5)


def test_of_a_hundred_parallel_calls_at_their_p99_most_journeys_are_slow() -> None:
    # Dean and Barroso 2013: 1 - 0.99^100 = 63 %.
    one = exponential()
    limit = float(one.quantile(np.array([0.99]))[0])
    found = end_to_end(Parallel((Call("leaf"),) * 100), {"leaf": one}, samples=20_000).chance_above(limit)
    assert within(found.value, 1 - 0.99**100, found.standard_error)


def test_where_all_is_slow_together_percentiles_of_serial_calls_add_and_only_there() -> None:
    path = Serial((Call("a"), Call("b")))
    parts = {"a": exponential(20), "b": exponential(80)}
    comonotone = Dependence(("a", "b"), np.ones(2), np.ones((2, 2)))
    together = end_to_end(path, parts, comonotone).percentile(0.99)
    added = sum(float(each.quantile(np.array([0.99]))[0]) for each in parts.values())
    assert within(together.value, added, together.standard_error)
    apart = end_to_end(path, parts).percentile(0.99)
    assert apart.value + 4 * apart.standard_error < 0.9 * added


def test_a_call_made_in_a_tenth_of_the_journeys_slows_a_tenth() -> None:
    quick = LatencyDistribution(np.array([1.0, np.inf]), np.array([1e6, 1e6]))
    slow = LatencyDistribution(np.array([500.0, 501.0, np.inf]), np.array([0.0, 1e6, 1e6]))
    found = end_to_end(Serial((Call("a"), Call("b", probability=0.1))), {"a": quick, "b": slow})
    chance = found.chance_above(400)
    assert within(chance.value, 0.1, chance.standard_error)
    assert found.percentile(0.85).value < 2
    assert found.percentile(0.95).value > 500


def test_what_cannot_be_read_stays_unreadable() -> None:
    unknown = LatencyDistribution(np.array([100.0, np.inf]), np.array([90.0, 100.0]))
    found = end_to_end(Serial((Call("a"), Call("b"))), {"a": exponential(), "b": unknown})
    assert np.isinf(found.percentile(0.95).value)
    assert np.isfinite(found.percentile(0.8).value)


def _hours(levels: Floats, seed: int, per_hour: int = 2_000) -> BucketSeries:
    generator = np.random.default_rng(seed)
    bounds = np.concatenate([10 * 1.1 ** np.arange(55), [np.inf]])
    rows = [
        np.searchsorted(np.sort(generator.lognormal(4 + level, 0.4, per_hour)), bounds, side="right")
        for level in levels
    ]
    return BucketSeries(START, 3_600, bounds, np.array(rows, dtype=np.float64))


def test_dependence_is_found_in_the_hours_and_gives_the_percentile_of_requests_that_shared_them() -> None:
    generator = np.random.default_rng(3)
    common = generator.normal(0, 0.4, 600)
    a, b = common, 0.8 * common + generator.normal(0, 0.2, 600)
    series = {"a": _hours(a, 1), "b": _hours(b, 2)}
    found = Dependence.estimated(series)
    assert found.between[0] == pytest.approx(0.5, abs=0.06)
    assert found.correlation[0, 1] == pytest.approx(np.corrcoef(a, b)[0, 1], abs=0.05)
    hours = generator.integers(0, 600, 400_000)
    truth = np.exp(4 + a[hours] + generator.normal(0, 0.4, hours.size))
    truth += np.exp(4 + b[hours] + generator.normal(0, 0.4, hours.size))
    parts = {name: LatencyDistribution.of(each) for name, each in series.items()}
    path = Serial((Call("a"), Call("b")))
    for share in (0.95, 0.99):
        expected = float(np.quantile(truth, share))
        assert end_to_end(path, parts, found).percentile(share).value == pytest.approx(expected, rel=0.03)
    assert end_to_end(path, parts).percentile(0.99).value < 0.93 * expected


def test_few_requests_an_hour_do_not_look_like_movement() -> None:
    steady = {"a": _hours(np.zeros(400), 1, per_hour=30), "b": _hours(np.zeros(400), 2, per_hour=30)}
    found = Dependence.estimated(steady)
    assert found.between.max() < 0.01


def test_services_never_seen_together_are_taken_for_independent() -> None:
    generator = np.random.default_rng(4)
    first = _hours(generator.normal(0, 0.4, 100), 1)
    later = _hours(generator.normal(0, 0.4, 100), 2)
    apart = BucketSeries(START + 400 * 3_600, 3_600, later.bounds_ms, later.cumulative)
    assert Dependence.estimated({"a": first, "b": apart}).correlation[0, 1] == 0.0


@st.composite
def paths(draw: st.DrawFn, depth: int = 2) -> Path:
    if depth == 0 or draw(st.booleans()):
        return Call(draw(st.sampled_from("abcd")))
    parts = tuple(draw(st.lists(paths(depth - 1), min_size=1, max_size=3)))
    return Serial(parts) if draw(st.booleans()) else Parallel(parts)


def _longest(path: Path, takes: dict[str, float]) -> float:
    if isinstance(path, Call):
        return takes[path.service_id]
    times = [_longest(part, takes) for part in path.parts]
    return sum(times) if isinstance(path, Serial) else max(times)


@settings(max_examples=40, deadline=None)
@given(paths(), st.floats(1.0, 5_000.0))
def test_where_every_call_keeps_its_allotment_the_journey_keeps_its_budget(path: Path, budget: float) -> None:
    parts = {"a": exponential(10), "b": exponential(40), "c": exponential(160), "d": exponential(5)}
    found = share_out(path, parts, budget, samples=2_000)
    assert set(found) == set(services_of(path))
    assert _longest(path, {name: each.budget_ms for name, each in found.items()}) <= budget * (1 + 1e-9)


def test_slow_services_get_more_of_the_budget_and_parallel_ones_share_theirs() -> None:
    parts = {"a": exponential(10), "b": exponential(90), "c": exponential(90)}
    found = share_out(Serial((Call("a"), Parallel((Call("b"), Call("c"))))), parts, 400)
    assert found["b"].budget_ms == found["c"].budget_ms
    assert found["a"].budget_ms + found["b"].budget_ms == pytest.approx(400)
    assert found["b"].budget_ms > 5 * found["a"].budget_ms
    assert found["b"].chance_over == pytest.approx(np.exp(-found["b"].budget_ms / 90), abs=1e-3)


def test_a_call_made_in_some_journeys_may_take_what_it_takes_there() -> None:
    parts = {"a": exponential(100), "b": exponential(100), "c": exponential(100)}
    path = Serial((Call("a"), Call("b"), Call("c", probability=0.3)))
    found = share_out(path, parts, 600)
    p95 = end_to_end(path, parts).percentile(0.95).value
    made = found["c"].near_ms / found["c"].budget_ms * 600 / p95
    # Slow journeys make the call more often than others, and the budget is what these spend.
    assert 0.3 < made < 0.9
    spent = found["a"].budget_ms + found["b"].budget_ms + made * found["c"].budget_ms
    assert spent == pytest.approx(600, rel=0.02)
    assert found["c"].budget_ms == pytest.approx(found["a"].budget_ms, rel=0.25)
    # A call that journeys near the percentile never make may still take the time that it takes.
    rare = Serial((Call("a"), Call("d", probability=0.001)))
    slow = LatencyDistribution(np.array([5_000.0, 5_001.0, np.inf]), np.array([0.0, 1e6, 1e6]))
    assert share_out(rare, parts | {"d": slow}, 600)["d"].budget_ms == 600


def test_what_services_take_in_slow_journeys_adds_up_to_how_slow_these_are() -> None:
    parts = {"a": exponential(10), "b": exponential(90)}
    path = Serial((Call("a"), Call("a"), Call("b"), Call("b", probability=0.5)))
    found = share_out(path, parts, 400)
    p95 = end_to_end(path, parts).percentile(0.95).value
    assert found["a"].near_ms + found["b"].near_ms == pytest.approx(p95, rel=0.02)
    hidden = LatencyDistribution(np.array([1.0, np.inf]), np.array([1.0, 2.0]))
    assert np.isinf(share_out(Call("c"), {"c": hidden}, 400)["c"].near_ms)


def test_a_mixture_of_paths_is_slow_as_its_paths_are_slow_together() -> None:
    # P(T > t) = 0.8 exp(-t / 20) + 0.2 exp(-t / 200): neither path's percentile, nor their mean.
    quick, slow = (
        end_to_end(Call(name), {name: exponential(mean)}) for name, mean in (("a", 20), ("b", 200))
    )
    found = mixed([quick, slow], [0.8, 0.2])
    times = np.linspace(0, 1_500, 150_001)
    above = 0.8 * np.exp(-times / 20) + 0.2 * np.exp(-times / 200)
    for share in (0.5, 0.95, 0.99):
        estimate = found.percentile(share)
        expected = float(times[np.searchsorted(-above, -(1 - share))])
        assert within(estimate.value, expected, estimate.standard_error, slack=0.5)
    with pytest.raises(ValueError, match="add up to 1"):
        mixed([quick, slow], [0.8, 0.8])


def test_the_dependence_of_some_is_that_of_all() -> None:
    whole = Dependence(
        ("a", "b", "c"), np.array([0.1, 0.2, 0.3]), np.array([[1, 0.5, 0.2], [0.5, 1, 0], [0.2, 0, 1]])
    )
    part = whole.among(("c", "a"))
    assert part.between.tolist() == [0.3, 0.1]
    assert part.correlation.tolist() == [[1, 0.2], [0.2, 1]]


def test_the_same_arguments_give_the_same_draws() -> None:
    path, parts = Serial((Call("a"), Call("b"))), {"a": exponential(), "b": exponential()}
    first, second = (end_to_end(path, parts, samples=1_000, seed=5).latencies_ms for _ in range(2))
    assert (first == second).all()
    assert (first != end_to_end(path, parts, samples=1_000, seed=6).latencies_ms).any()


def test_it_refuses_what_is_no_path() -> None:
    with pytest.raises(ValueError, match="no latencies of b"):
        end_to_end(Serial((Call("a"), Call("b"))), {"a": exponential()})
    with pytest.raises(ValueError, match="needs parts"):
        end_to_end(Serial(()), {})
    with pytest.raises(ValueError, match="probability"):
        end_to_end(Call("a", probability=1.5), {"a": exponential()})
    with pytest.raises(ValueError, match="budget"):
        share_out(Call("a"), {"a": exponential()}, 0)
    with pytest.raises(ValueError, match="must not fall"):
        LatencyDistribution(np.array([1.0, np.inf]), np.array([2.0, 1.0]))
