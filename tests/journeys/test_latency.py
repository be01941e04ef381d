"""How long a journey takes: drawn from its services' histograms, shared out over them, refused where it cannot be."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest

from apps.accounts.models import Team
from apps.catalog.models import Service
from apps.core.actions import Actor
from apps.core.dispatcher import dispatch
from apps.journeys.making import compute
from apps.journeys.models import Journey, JourneyResult
from apps.telemetry.models import LatencyHour, SliHour
from apps.telemetry.storing.aggregates import ensure_partitions
from tests.journeys.conftest import journey_input
from tests.slos.conftest import copy_rows, full_hour, make_edge, make_hours, make_service

FINE = [*np.arange(5.0, 3_005.0, 5.0).tolist(), float("inf")]


def uniform(slowest_ms: float) -> list[float]:
    """Cumulative counts of an hour whose requests take anything up to ``slowest_ms``, all alike."""
    return [10_000 * min(1.0, bound / slowest_ms) for bound in FINE]


def exponential(mean_ms: float) -> list[float]:
    return [float(10_000 * (1 - np.exp(-bound / mean_ms))) for bound in FINE]


def make_histograms(
    service: Service,
    cumulative: Sequence[float],
    *,
    days: int = 5,
    bounds: Sequence[float] = FINE,
    end: datetime | None = None,
) -> None:
    """The same histogram in every hour: nothing moves, so services are independent."""
    end = end or full_hour()
    copy_rows(
        LatencyHour,
        ("service_id", "bin_start", "bounds_ms", "cumulative"),
        (
            (service.pk, end - timedelta(hours=ago), list(bounds), list(cumulative))
            for ago in range(1, days * 24 + 1)
        ),
    )


def steps(*given: str | tuple[str, float]) -> list[dict[str, Any]]:
    return [
        {"service_id": each} if isinstance(each, str) else {"service_id": each[0], "calls": each[1]}
        for each in given
    ]


def latency_of(actor: Actor, *paths: Sequence[str | tuple[str, float]], **more: Any) -> dict[str, Any]:
    """Create a journey over paths of equal weight, compute it, and return what is stored of its latency."""
    given = [{"name": f"path {at}", "steps": steps(*path)} for at, path in enumerate(paths)]
    done = dispatch("journeys.create", journey_input(**{"team": None, "paths": given, **more}), actor=actor)
    journey = Journey.objects.get(slug=done.value["journey"])
    assert compute.compute_one(journey)
    return dict(JourneyResult.objects.get(journey=journey).document["latency"])


def inside_of(found: dict[str, Any]) -> list[tuple[str, list[str], float]]:
    return [(one["service_id"], one["by"], one["share"]) for path in found["paths"] for one in path["inside"]]


@pytest.fixture
def pair(shop: Team) -> dict[str, Service]:
    """``first`` and ``second`` take anything up to 200 and 100 ms; neither calls the other."""
    found = {name: make_service(name, team=shop) for name in ("first", "second")}
    make_hours(found["first"], days=2)
    make_histograms(found["first"], uniform(200))
    make_histograms(found["second"], uniform(100))
    return found


def test_two_services_in_a_row_are_slow_as_the_sum_of_both_is(pair: dict[str, Service], admin: Actor) -> None:
    # U(0, 200) + U(0, 100): P(sum > t) = (300 - t)² / 40,000 where t is above 200.
    found = latency_of(admin, ["first", "second"])
    for name, share in (("p95", 0.95), ("p99", 0.99)):
        expected = 300 - np.sqrt((1 - share) * 40_000)
        assert abs(found[name]["ms"] - expected) <= 4 * found[name]["error_ms"] + 0.5
        assert 0 < found[name]["error_ms"] < 1
    assert abs(found["p50"]["ms"] - 150) <= 4 * found["p50"]["error_ms"] + 0.5
    # The sum of both p95s, which is what nobody may do.
    assert found["p95"]["ms"] < 0.92 * 285


@pytest.mark.parametrize("is_counted", [True, False])
def test_history_of_last_year_is_read_up_to_where_it_ends(is_counted: bool, shop: Team, admin: Actor) -> None:
    end = full_hour() - timedelta(days=300)
    service = make_service("first", team=shop)
    if is_counted:
        make_hours(service, days=3, end=end)
    ensure_partitions((end - timedelta(days=6)).date(), end.date())
    make_histograms(service, uniform(200), end=end)
    found = latency_of(admin, ["first"])
    assert found["until"] == end.isoformat().replace("+00:00", "Z")
    assert abs(found["p95"]["ms"] - 190) <= 4 * found["p95"]["error_ms"] + 0.5


def test_a_service_called_twice_takes_its_time_twice_and_one_called_rarely_seldom(
    pair: dict[str, Service], admin: Actor
) -> None:
    generator = np.random.default_rng(1)
    twice = generator.uniform(0, 200, (2, 400_000)).sum(axis=0)
    rarely = np.where(generator.random(400_000) < 0.3, generator.uniform(0, 100, 400_000), 0)
    found = latency_of(admin, [("first", 2), ("second", 0.3)])
    expected = float(np.quantile(twice + rarely, 0.95))
    assert found["p95"]["ms"] == pytest.approx(expected, rel=0.01)


def test_paths_are_mixed_by_their_shares_and_not_averaged(pair: dict[str, Service], admin: Actor) -> None:
    found = latency_of(
        admin,
        paths=[
            {"name": "long", "weight": 1, "steps": steps("first")},
            {"name": "short", "weight": 3, "steps": steps("second")},
        ],
    )
    # A quarter is uniform up to 200, the others up to 100: 5 % are slower than 160.
    assert abs(found["p95"]["ms"] - 160) <= 4 * found["p95"]["error_ms"] + 0.5
    assert [(path["name"], path["share"]) for path in found["paths"]] == [("long", 0.25), ("short", 0.75)]
    assert [path["p95"]["ms"] for path in found["paths"]] == pytest.approx([190, 95], abs=2)


def test_a_target_is_shared_out_and_says_what_is_slower_today(pair: dict[str, Service], admin: Actor) -> None:
    found = latency_of(admin, ["first", "second"], latency_target_ms=240)
    assert found["target_ms"] == 240
    assert abs(found["slower"]["share"] - 60**2 / 40_000) <= 4 * found["slower"]["error"]
    first, second = found["services"]
    assert (first["service_id"], second["service_id"]) == ("first", "second")
    assert first["budget_ms"] + second["budget_ms"] == pytest.approx(240, abs=0.1)
    assert first["chance_over"] == pytest.approx(1 - first["budget_ms"] / 200, abs=0.01)
    assert first["near_ms"] + second["near_ms"] == pytest.approx(found["p95"]["ms"], rel=0.02)


def test_of_several_paths_a_service_keeps_the_least_budget(pair: dict[str, Service], admin: Actor) -> None:
    found = latency_of(admin, ["first", "second"], ["first"], latency_target_ms=240)
    first = next(one for one in found["services"] if one["service_id"] == "first")
    assert first["path"] == "path 0"
    assert first["budget_ms"] < 200


def test_without_a_target_nothing_is_shared_out(pair: dict[str, Service], admin: Actor) -> None:
    found = latency_of(admin, ["first", "second"])
    assert found["slower"] is None
    assert [one["budget_ms"] for one in found["services"]] == [None, None]
    assert all(one["near_ms"] > 0 for one in found["services"])


def test_a_path_over_a_service_without_histograms_has_no_time_and_says_why(
    pair: dict[str, Service], admin: Actor
) -> None:
    make_service("silent")
    few, binned = make_service("few"), make_service("binned")
    make_histograms(few, [each / 10_000 for each in uniform(100)], days=2)
    end = make_hours(binned, days=2)
    SliHour.objects.filter(service=binned, bin_start__lt=end).update(p95_ms=[80.0], p99_ms=[95.0])
    found = latency_of(admin, ["first"], ["first", "silent", "few", "binned"], latency_target_ms=190)
    assert found["missing"] == [
        {"service_id": "binned", "reason": "percentiles"},
        {"service_id": "few", "reason": "few"},
        {"service_id": "silent", "reason": "none"},
    ]
    known, unknown = found["paths"]
    assert abs(known["p95"]["ms"] - 190) <= 4 * known["p95"]["error_ms"] + 0.5
    assert (unknown["p95"], unknown["slower"]) == (None, None)
    assert unknown["missing"] == ["silent", "few", "binned"]
    # The journey as a whole is not known where one of its ways is not.
    assert (found["p95"], found["slower"]) == (None, None)
    assert [one["service_id"] for one in found["services"]] == ["first"]


def test_a_call_that_another_waits_for_is_not_counted_twice(pair: dict[str, Service], admin: Actor) -> None:
    between = make_service("between")
    make_edge(pair["first"], between, calls_per_request=1.0)
    make_edge(between, pair["second"], calls_per_request=1.0)
    found = latency_of(admin, ["second", "first"])
    assert inside_of(found) == [("second", ["first"], 1.0)]
    assert abs(found["p95"]["ms"] - 190) <= 4 * found["p95"]["error_ms"] + 0.5
    assert [one["service_id"] for one in found["services"]] == ["first"]


def test_what_lies_inside_another_needs_no_histograms(pair: dict[str, Service], admin: Actor) -> None:
    make_edge(pair["first"], make_service("silent"), calls_per_request=1.0)
    found = latency_of(admin, ["first", "silent"])
    assert found["missing"] == []
    assert found["p95"]["ms"] == pytest.approx(190, abs=2)


def test_calls_that_the_caller_makes_in_part_of_its_requests_are_added_for_the_others(
    pair: dict[str, Service], admin: Actor
) -> None:
    make_edge(pair["first"], pair["second"], calls_per_request=0.4)
    found = latency_of(admin, ["first", "second"])
    assert inside_of(found) == [("second", ["first"], 0.4)]
    generator = np.random.default_rng(2)
    added = np.where(generator.random(400_000) < 0.6, generator.uniform(0, 100, 400_000), 0)
    expected = float(np.quantile(generator.uniform(0, 200, 400_000) + added, 0.95))
    assert found["p95"]["ms"] == pytest.approx(expected, rel=0.01)


def test_two_that_each_hold_half_of_a_third_hold_it_whole(pair: dict[str, Service], admin: Actor) -> None:
    third = make_service("third")
    make_edge(pair["first"], third, calls_per_request=0.5)
    make_edge(pair["second"], third, calls_per_request=0.6)
    assert inside_of(latency_of(admin, ["first", "second", "third"])) == [("third", ["second", "first"], 1.0)]
    # Of one that a caller calls as seldom as the journey does, nothing is left to add.
    found = latency_of(admin, ["first", ("third", 0.5)], name="Another")
    assert inside_of(found) == [("third", ["first"], 1.0)]


def test_what_nobody_waits_for_is_added(pair: dict[str, Service], admin: Actor) -> None:
    make_edge(pair["first"], pair["second"], calls_per_request=1.0, mode="async")
    found = latency_of(admin, ["first", "second"])
    assert inside_of(found) == []
    assert found["p95"]["ms"] > 240


def test_of_a_circle_of_callers_the_first_on_the_path_counts(pair: dict[str, Service], admin: Actor) -> None:
    make_edge(pair["first"], pair["second"], calls_per_request=1.0)
    make_edge(pair["second"], pair["first"], calls_per_request=1.0)
    found = latency_of(admin, ["second", "first"])
    assert inside_of(found) == [("first", ["second"], 1.0)]


def test_a_percentile_above_the_highest_bucket_is_said_to_be_there(
    pair: dict[str, Service], admin: Actor
) -> None:
    tail = make_service("tail")
    make_histograms(tail, [5_000.0, 9_000.0, 10_000.0], bounds=[100.0, 500.0, float("inf")])
    found = latency_of(admin, ["first", "tail"], latency_target_ms=400)
    assert found["p50"]["ms"] is not None
    assert found["p95"] == {"ms": None, "error_ms": None, "at_least_ms": 500.0}
    assert found["slower"]["share"] > 0.1
    assert found["services"] == []


def test_services_that_are_slow_in_the_same_hours_make_journeys_slower(shop: Team, admin: Actor) -> None:
    one, two, other = (make_service(name, team=shop) for name in ("one", "two", "other"))
    make_hours(one, days=2)
    end = full_hour()
    generator = np.random.default_rng(3)
    rush = generator.random(400) < 0.15
    for service, slow in ((one, rush), (two, rush), (other, generator.permutation(rush))):
        copy_rows(
            LatencyHour,
            ("service_id", "bin_start", "bounds_ms", "cumulative"),
            (
                (service.pk, end - timedelta(hours=ago + 1), FINE, exponential(200 if slow[ago] else 20))
                for ago in range(slow.size)
            ),
        )
    together = latency_of(admin, ["one", "two"], name="together")
    apart = latency_of(admin, ["one", "other"], name="apart")
    error = np.hypot(together["p99"]["error_ms"], apart["p99"]["error_ms"])
    assert together["p99"]["ms"] > apart["p99"]["ms"] + 4 * error


def test_the_same_data_make_the_same_document(pair: dict[str, Service], admin: Actor) -> None:
    latency_of(admin, ["first", "second"], latency_target_ms=240)
    journey = Journey.objects.get()
    before = JourneyResult.objects.get().document["latency"]
    assert compute.compute_one(journey)
    assert JourneyResult.objects.get().document["latency"] == before
    newest = LatencyHour.objects.latest("bin_start").bin_start + timedelta(hours=1)
    assert datetime.fromisoformat(before["until"]) == newest


def test_many_calls_share_the_draws(pair: dict[str, Service], admin: Actor) -> None:
    found = latency_of(admin, [("first", 100), ("second", 50)])
    assert found["samples"] == 10_000
    # The sum of so many is nearly normal: 100 times 200 / 2 and 50 times 100 / 2, variances n · width² / 12.
    expected = 12_500 + 1.6449 * np.sqrt(100 * 200**2 / 12 + 50 * 100**2 / 12)
    assert found["p95"]["ms"] == pytest.approx(expected, rel=0.01)
