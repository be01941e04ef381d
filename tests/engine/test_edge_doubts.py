"""What is not known of an edge is part of what is said of it."""

from __future__ import annotations

import numpy as np
import pytest

from apps.engine.edges.dependencies import composite_document, service_composite
from apps.engine.edges.estimates import EdgeEstimate, estimate_edges
from apps.engine.series import observe
from apps.engine.types import CountSeries, DependencyInput
from tests.engine.build import HOUR, end_of, hourly, steady

REQUESTS = 5_000
TARGETS_CALLS = 1_000
LOSS = 0.135
"""How often a failure of the target fails a request: call probability times hardness."""


def _seen_from_the_target(call_probability: float) -> EdgeEstimate:
    """An edge that nobody watches to a target that has other callers too: traffic says no more than at most."""
    generator = np.random.default_rng(5)
    hours = 60 * 24
    total = np.full(hours, float(REQUESTS))
    rate = np.where(generator.random(hours) < 0.05, generator.uniform(0, 0.4, hours), 0.0)
    met = generator.binomial(REQUESTS, call_probability * rate)
    bad = (
        generator.binomial(met, LOSS / call_probability) + generator.binomial(REQUESTS, 1e-4, hours)
    ).astype(np.float64)
    asked = generator.poisson(TARGETS_CALLS, hours).astype(np.float64)
    own = observe(hourly(total, bad), end_of(hourly(total, bad)))
    target = hourly(asked, generator.binomial(asked.astype(int), rate).astype(np.float64))
    (found,) = estimate_edges(own, [DependencyInput("db", target=target)], end_of(target))
    return found


@pytest.mark.parametrize("call_probability", [0.14, 0.16, 0.18, 0.2])
def test_hardness_is_in_doubt_where_the_call_probability_is(call_probability: float) -> None:
    found = _seen_from_the_target(call_probability)
    assert found.call_probability_source == "bounded_by_target_traffic"
    assert found.hardness_interval is not None
    low, high = found.hardness_interval
    assert low <= LOSS / call_probability <= high


def test_what_fails_requests_so_often_is_called_as_often_at_least() -> None:
    found = _seen_from_the_target(0.16)
    assert found.call_probability_interval is not None
    low, high = found.call_probability_interval
    assert 0.9 * LOSS < low < 0.16 < high


def test_a_dependency_of_unknown_availability_takes_nothing() -> None:
    (found,) = estimate_edges(None, [DependencyInput("bank", retries=2)], 0)
    assert found.availability is None
    assert found.effective_unavailability == 0.0
    assert service_composite(0.999, 0.999, [found]).composite.point == 0.999


@pytest.mark.parametrize("retries", [0, 1, 3])
def test_the_document_says_what_retries_make_of_one_call(retries: int) -> None:
    """With 1 % failing, a half of it for good, calls grow by what is tried again; while the target is down every retry
    is made.
    """
    counts = steady(30)
    edge = hourly(counts.total, 0.01 * counts.total)
    (found,) = estimate_edges(
        observe(counts, end_of(counts)), [DependencyInput("db", retries=retries, edge=edge)], end_of(counts)
    )
    (row,) = composite_document(service_composite(0.999, 1.0, [found]))["dependencies"]
    again = sum(0.5 * 0.01 + 0.5 * 0.01**tries for tries in range(1, retries + 1))
    assert row["load_amplification"] == pytest.approx(1 + again, abs=1e-6)
    assert row["load_amplification_in_outage"] == 1 + retries
    assert row["retries"] == retries
    assert row["retry_shared_share"] == (0.5 if retries else None)


def test_before_calls_were_watched_the_target_tells_of_failures() -> None:
    """It failed in the first half only, when nobody watched the calls."""
    generator = np.random.default_rng(7)
    half = 30 * 24
    total = np.full(2 * half, float(REQUESTS))
    rate = np.where(generator.random(2 * half) < 0.05, generator.uniform(0, 0.2, 2 * half), 0.0)
    rate[half:] = 0.0
    met = generator.binomial(REQUESTS, rate)
    bad = generator.binomial(met, 0.6) + generator.binomial(REQUESTS, 1e-4, 2 * half)
    counts = hourly(total, bad.astype(np.float64))
    target = hourly(total, met.astype(np.float64))
    watched = CountSeries(counts.start + half * HOUR, HOUR, total[half:], np.zeros(half))
    own = observe(counts, end_of(counts))
    (found,) = estimate_edges(own, [DependencyInput("db", edge=watched, target=target)], end_of(counts))
    assert found.hardness_source == "observed"
    assert found.hardness == pytest.approx(0.6, abs=0.05)
    (blind,) = estimate_edges(own, [DependencyInput("db", edge=watched)], end_of(counts))
    assert blind.hardness_source == "prior"


@pytest.mark.parametrize("targets", [1, 2, 5])
@pytest.mark.parametrize("rate", [1e-5, 1e-4, 1e-3])
def test_a_hardness_that_survival_bounds_lies_within_its_interval(targets: int, rate: float) -> None:
    counts = steady(30, rate=rate)
    always_bad = hourly(counts.total, 0.01 * counts.total)
    found = estimate_edges(
        observe(counts, end_of(counts)),
        [DependencyInput(f"db{number}", target=always_bad) for number in range(targets)],
        end_of(counts),
    )
    for each in found:
        assert each.hardness is not None
        assert each.hardness_interval is not None
        assert each.hardness_source == "bounded_by_survival"
        low, high = each.hardness_interval
        assert 0.0 <= low <= each.hardness <= high <= 1.0
        # What was assumed of it before stays possible.
        assert high >= 0.9
    # Together they explain what failed at most, and no less: each was scaled by as much as it had to be.
    claimed = sum(each.call_probability * (each.hardness or 0.0) * 0.01 for each in found)
    assert claimed <= 1.5 * rate + 1e-4
    assert len({round(each.hardness or 0.0, 9) for each in found}) == 1
