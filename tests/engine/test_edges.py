"""Call probability and hardness come from the data where these suffice."""

from __future__ import annotations

import numpy as np
import pytest

from apps.engine.edges.dependencies import service_composite
from apps.engine.edges.estimates import HARDNESS_PRIOR, estimate_edges, published_availability
from apps.engine.series import observe
from apps.engine.types import CountSeries, DependencyInput
from tests.engine.build import HOUR, end_of, hourly, steady, with_dependency


@pytest.mark.parametrize("hardness", [0.1, 0.6, 0.95])
def test_it_recovers_call_probability_and_hardness_from_edge_series(hardness: float) -> None:
    counts, edge = with_dependency(call_probability=0.7, hardness=hardness)
    own = observe(counts, end_of(counts))
    (found,) = estimate_edges(own, [DependencyInput("db", edge=edge)], end_of(counts))
    assert found.call_probability == pytest.approx(0.7, abs=0.01)
    assert found.call_probability_source == "observed"
    assert found.hardness == pytest.approx(hardness, abs=0.05)
    assert found.hardness_source == "observed"
    assert found.hardness_interval is not None
    assert found.hardness_interval[0] - 0.03 <= hardness <= found.hardness_interval[1] + 0.03


def test_requests_from_before_calls_were_watched_say_nothing_of_an_edge() -> None:
    counts, edge = with_dependency(call_probability=0.7, hardness=0.6)
    half = edge.total.size // 2
    late = CountSeries(edge.start + half * HOUR, HOUR, edge.total[half:], edge.bad[half:])
    own = observe(counts, end_of(counts))
    (found,) = estimate_edges(own, [DependencyInput("db", edge=late, target=edge)], end_of(counts))
    assert found.call_probability == pytest.approx(0.7, abs=0.01)
    # The target's own failures stand in for calls before they were watched.
    assert found.hardness == pytest.approx(0.6, abs=0.06)


@pytest.mark.parametrize(("first", "later"), [("cache", "db"), ("db", "cache")])
def test_an_edge_that_was_not_used_while_others_were_watched_is_used_less(first: str, later: str) -> None:
    counts, edge = with_dependency(call_probability=0.7, hardness=0.6)
    half = edge.total.size // 2
    late = CountSeries(edge.start + half * HOUR, HOUR, edge.total[half:], edge.bad[half:])
    unread = CountSeries(edge.start, HOUR, np.zeros(0), np.zeros(0))
    own = observe(counts, end_of(counts))
    given = [
        DependencyInput(later, edge=late),
        DependencyInput(first, edge=edge),
        DependencyInput("mail", edge=unread),
    ]
    found = {each.dependency.target_id: each for each in estimate_edges(own, given, end_of(counts))}
    assert found[first].call_probability == pytest.approx(0.7, abs=0.01)
    assert found[later].call_probability == pytest.approx(0.35, abs=0.02)
    assert found["mail"].call_probability_source == "prior"


def test_calls_in_coarser_bins_than_the_service_has_are_divided_by_its_requests() -> None:
    counts, edge = with_dependency(call_probability=0.7, hardness=0.6)
    days = [each.reshape(-1, 24).sum(axis=1) for each in (edge.total, edge.bad)]
    own = observe(counts, end_of(counts))
    daily = CountSeries(edge.start, 24 * HOUR, *days)
    (found,) = estimate_edges(own, [DependencyInput("db", edge=daily)], end_of(counts))
    assert found.call_probability_source == "observed"
    assert found.call_probability == pytest.approx(0.7, abs=0.01)
    assert found.call_probability_interval is not None
    low, high = found.call_probability_interval
    assert 0.0 < low < found.call_probability < high < 1.0
    often = CountSeries(edge.start, 24 * HOUR, 5 * days[0], days[1])
    (found,) = estimate_edges(own, [DependencyInput("db", edge=often)], end_of(counts))
    assert (found.call_probability, found.call_probability_interval) == (1.0, (1.0, 1.0))


def test_hours_without_requests_say_nothing() -> None:
    counts, edge = with_dependency(hardness=0.6)
    idle = np.arange(counts.total.size) % 24 < 6

    def without(series: CountSeries) -> CountSeries:
        return hourly(np.where(idle, 0.0, series.total), np.where(idle, 0.0, series.bad))

    own = observe(without(counts), end_of(counts))
    (found,) = estimate_edges(own, [DependencyInput("db", edge=without(edge))], end_of(counts))
    assert found.hardness_source == "observed"
    assert found.hardness == pytest.approx(0.6, abs=0.05)


def test_it_reads_hardness_from_the_targets_own_series_where_there_is_no_edge() -> None:
    counts, edge = with_dependency(call_probability=1.0, hardness=0.5)
    own = observe(counts, end_of(counts))
    (found,) = estimate_edges(own, [DependencyInput("db", target=edge)], end_of(counts))
    assert found.call_probability_source == "co_movement"
    assert found.call_probability == pytest.approx(1.0, abs=0.02)
    assert found.hardness == pytest.approx(0.5, abs=0.05)


def test_aliases_of_one_dependency_share_its_effect() -> None:
    counts, edge = with_dependency(call_probability=1.0, hardness=0.8)
    own = observe(counts, end_of(counts))
    both = [DependencyInput("db", edge=edge), DependencyInput("db-loadbalancer", edge=edge)]
    found = estimate_edges(own, both, end_of(counts))
    assert sum(each.hardness or 0.0 for each in found) == pytest.approx(0.8, abs=0.06)


def test_a_dependency_that_never_failed_keeps_its_prior() -> None:
    counts = steady(30)
    quiet = hourly(counts.total, np.zeros_like(counts.total))
    own = observe(counts, end_of(counts))
    (found,) = estimate_edges(own, [DependencyInput("db", criticality="soft", edge=quiet)], end_of(counts))
    assert found.hardness == HARDNESS_PRIOR["soft"]
    assert found.hardness_source == "prior"


def test_declared_calls_are_taken_and_capped_at_one() -> None:
    counts = steady(30)
    own = observe(counts, end_of(counts))
    many, few = estimate_edges(
        own,
        [DependencyInput("a", calls_per_request=3.0), DependencyInput("b", calls_per_request=0.2)],
        end_of(counts),
    )
    assert (many.call_probability, few.call_probability) == (1.0, 0.2)
    assert many.call_probability_source == "declared"


def test_nobody_calls_a_target_more_often_than_it_is_called() -> None:
    counts = steady(30, per_hour=1_000)
    rare = hourly(np.full(counts.total.size, 10.0), np.full(counts.total.size, 10.0))
    own = observe(counts, end_of(counts))
    (found,) = estimate_edges(own, [DependencyInput("elb", target=rare)], end_of(counts))
    assert found.call_probability == pytest.approx(0.01, rel=0.02)
    assert found.call_probability_source == "bounded_by_target_traffic"


def test_a_service_that_survived_its_dependency_does_not_depend_on_it_that_hard() -> None:
    counts = steady(30, rate=1e-4)
    always_bad = hourly(counts.total, 0.01 * counts.total)
    own = observe(counts, end_of(counts))
    (found,) = estimate_edges(own, [DependencyInput("db", target=always_bad)], end_of(counts))
    assert found.hardness is not None
    assert found.hardness * 0.01 < 2e-4
    assert found.hardness_source == "bounded_by_survival"


def test_async_dependencies_are_named_but_not_counted() -> None:
    counts = steady(30)
    own = observe(counts, end_of(counts))
    bad = hourly(counts.total, counts.total)
    found = estimate_edges(own, [DependencyInput("mailer", mode="async", target=bad)], end_of(counts))
    composite = service_composite(0.999, 0.999, found)
    assert composite.composite.point == 0.999
    assert composite.limit is None
    assert [each.dependency.target_id for each in composite.estimates] == ["mailer"]


def test_a_published_sla_is_read_with_ten_percent_more_unavailability() -> None:
    assert published_availability(0.999) == pytest.approx(0.9989)
    (found,) = estimate_edges(None, [DependencyInput("psp", is_external=True, published_sla=0.999)], 0)
    assert found.availability == pytest.approx(0.9989)
    assert found.availability_source == "published_sla"


def test_observations_of_an_external_come_before_its_sla() -> None:
    counts = steady(30)
    own = observe(counts, end_of(counts))
    seen = hourly(counts.total, 0.02 * counts.total)
    dependency = DependencyInput("psp", is_external=True, published_sla=0.9999, target=seen)
    (found,) = estimate_edges(own, [dependency], end_of(counts))
    assert found.availability == pytest.approx(0.98)


def test_redundant_targets_cost_less_than_the_best_of_them() -> None:
    pair = [
        DependencyInput(name, is_external=True, published_sla=0.99, redundancy_group="psp")
        for name in ("a", "b")
    ]
    alone = service_composite(None, 1.0, estimate_edges(None, pair[:1], 0)).composite
    both = service_composite(None, 1.0, estimate_edges(None, pair, 0)).composite
    assert both.point > alone.point
    assert both.lower <= both.point <= both.upper


def test_more_members_that_must_be_up_cost_more() -> None:
    def point(needed: int) -> float:
        members = [
            DependencyInput(
                name,
                published_sla=0.99,
                calls_per_request=1.0,
                redundancy_group="psp",
                redundancy_needed=needed,
            )
            for name in ("a", "b", "c")
        ]
        return service_composite(None, 1.0, estimate_edges(None, members, 0)).composite.point

    assert point(1) > point(2) > point(3)
    # No more can be needed than there are.
    assert point(4) == point(3)


def test_a_service_better_than_what_its_dependencies_promise_never_fails_by_itself() -> None:
    promised = estimate_edges(None, [DependencyInput("psp", published_sla=0.99)], 0)
    composite = service_composite(0.9999, 1.0, promised)
    assert composite.own == 1.0
    assert composite.limit is not None
    assert composite.composite.point == composite.limit < 0.9999


def test_own_reliability_is_what_the_dependencies_leave() -> None:
    counts, edge = with_dependency(own_rate=2e-4)
    own = observe(counts, end_of(counts))
    assert own is not None
    composite = service_composite(
        own.availability, 1.0, estimate_edges(own, [DependencyInput("db", edge=edge)], end_of(counts))
    )
    assert composite.own == pytest.approx(1 - 2e-4, abs=1.5e-4)
    assert composite.composite.point == pytest.approx(own.availability, abs=1e-9)
