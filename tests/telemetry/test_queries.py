"""What pages ask of telemetry: sums before ratios, gaps as gaps, whole days from the daily aggregates."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from apps.catalog.models import Service
from apps.telemetry import queries
from apps.telemetry.models import SliDay, SliHour, TelemetryRun
from tests.telemetry.folders import BUCKETS, EDGE_SLI, HOUR, SLI, START, import_folder, write, write_services

pytestmark = pytest.mark.django_db

BEGIN = datetime.fromtimestamp(START, UTC)


def pk(service_id: str) -> int:
    return Service.objects.get(service_id=service_id).pk


def load_hours(tmp_path: Path, counts: list[tuple[int, int] | None], *, begin: int = START) -> None:
    write_services(tmp_path, "shop")
    rows = [
        ("shop", begin + i * HOUR, HOUR, *count, "", "", "")
        for i, count in enumerate(counts)
        if count is not None
    ]
    write(tmp_path, "sli.csv", SLI, rows)
    import_folder(tmp_path)


def test_availability_is_weighted_by_requests_not_averaged(tmp_path: Path) -> None:
    load_hours(tmp_path, [(1000, 0), (10, 5)])
    total = queries.sums_between([pk("shop")], BEGIN, BEGIN + timedelta(hours=2))[pk("shop")]
    assert total.availability == pytest.approx(1 - 5 / 1010)
    assert total.error_rate == pytest.approx(5 / 1010)
    assert total.requests_per_second == pytest.approx(1010 / 7200)


def test_a_window_over_days_is_the_sum_of_its_hours(tmp_path: Path) -> None:
    load_hours(tmp_path, [(10 + i, i % 3) for i in range(80)], begin=START + 5 * HOUR)
    start, end = BEGIN + timedelta(hours=9), BEGIN + timedelta(hours=79)
    hours = queries.availability_hours(pk("shop"), start, end)
    found = queries.sums_between([pk("shop")], start, end)[pk("shop")]
    assert (found.total, found.bad) == (sum(hour.total for hour in hours), sum(hour.bad for hour in hours))
    assert found.observed_seconds == 70 * HOUR


@pytest.mark.parametrize(("first", "last"), [(3, 9), (0, 24), (0, 30), (20, 48), (23, 25), (5, 5)])
def test_windows_are_right_however_they_lie_to_midnight(tmp_path: Path, first: int, last: int) -> None:
    load_hours(tmp_path, [(1, 0)] * 72)
    found = queries.sums_between([pk("shop")], BEGIN + timedelta(hours=first), BEGIN + timedelta(hours=last))
    assert found.get(pk("shop"), queries.WindowSum()).total == last - first


def test_all_windows_come_at_once_and_without_data_they_are_empty(tmp_path: Path) -> None:
    load_hours(tmp_path, [(10, 1)] * 48)
    Service.objects.create(service_id="silent")
    sums = queries.window_sums([pk("shop"), pk("silent")], BEGIN + timedelta(hours=48))
    assert {name: total.total for name, total in sums[pk("shop")].items()} == {
        "1h": 10,
        "1d": 240,
        "7d": 480,
        "28d": 480,
        "90d": 480,
    }
    assert sums[pk("silent")]["28d"].availability is None
    assert sums[pk("silent")]["28d"].requests_per_second is None


def test_days_are_points_without_invented_ones_between(tmp_path: Path) -> None:
    load_hours(tmp_path, [(10, 1)] * 24 + [None] * 24 + [(0, 0)])
    points = queries.availability_days(pk("shop"), days=3)
    assert [point.start for point in points] == [BEGIN, BEGIN + timedelta(days=2)]
    assert points[0].availability == pytest.approx(0.9)
    assert points[1].availability is None
    assert queries.availability_days(pk("shop"), days=2) == points[1:]


def test_a_service_without_data_has_no_points() -> None:
    service = Service.objects.create(service_id="shop")
    assert queries.availability_days(service.pk) == []
    assert queries.newest_complete_end() is None


def test_percentiles_are_read_from_histograms(tmp_path: Path) -> None:
    write_services(tmp_path, "shop")
    rows = [
        ("shop", START, HOUR, bound, count) for bound, count in ((10, 50), (20, 90), (100, 99), ("+Inf", 100))
    ]
    write(tmp_path, "latency_buckets.csv", BUCKETS, rows)
    import_folder(tmp_path)
    (point,) = queries.latency_points(pk("shop"), BEGIN, BEGIN + timedelta(hours=1))
    assert (point.p50_ms, point.p99_ms, point.basis) == (10, 100, "histogram")
    assert point.p95_ms == pytest.approx(20 + 80 * 5 / 9)


def test_given_percentiles_are_shown_one_by_one(tmp_path: Path) -> None:
    write_services(tmp_path, "shop")
    write(
        tmp_path, "sli.csv", SLI, [("shop", START + i * 1800, 1800, 5, 0, "", 10 + i, "") for i in range(2)]
    )
    import_folder(tmp_path)
    points = queries.latency_points(pk("shop"), BEGIN, BEGIN + timedelta(hours=1))
    assert [(point.start, point.p95_ms, point.p99_ms, point.basis) for point in points] == [
        (BEGIN, 10, None, "bins"),
        (BEGIN + timedelta(minutes=30), 11, None, "bins"),
    ]


@pytest.mark.parametrize(
    ("bounds", "cumulative", "share", "expected"),
    [
        ([10, 20, float("inf")], [0, 100, 100], 0.5, 15),
        ([10, 20, float("inf")], [100, 100, 100], 0.5, 5),
        ([10, float("inf")], [1, 100], 0.99, 10),
        ([10, float("inf")], [0, 0], 0.5, None),
        ([], [], 0.5, None),
    ],
)
def test_quantiles_are_linear_within_a_bucket(
    bounds: list[float], cumulative: list[float], share: float, expected: float | None
) -> None:
    assert queries.histogram_quantile(bounds, cumulative, share) == expected


def test_calls_are_summed_per_target_and_per_caller(tmp_path: Path) -> None:
    write_services(tmp_path, "shop", "db", "bank")
    rows = [("shop", "db", START + i * HOUR, HOUR, 10, 1) for i in range(3)] + [
        ("shop", "bank", START, HOUR, 4, 4)
    ]
    write(tmp_path, "edge_sli.csv", EDGE_SLI, rows)
    import_folder(tmp_path)
    found = queries.edge_sums(pk("shop"), BEGIN, BEGIN + timedelta(hours=2))
    assert {target: (total.total, total.bad) for target, total in found.items()} == {
        pk("db"): (20, 2),
        pk("bank"): (4, 4),
    }
    assert queries.caller_sums(pk("db"), BEGIN, BEGIN + timedelta(hours=3))[pk("shop")].total == 30
    assert queries.has_edge_data(pk("shop"))
    assert not queries.has_edge_data(pk("db"))


def test_quality_counts_gaps_partial_and_implausible_hours(tmp_path: Path) -> None:
    load_hours(tmp_path, [(1, 0), (1, 0), None, None, (1, 0), (1, 0), None, (1, 0)])
    SliHour.objects.filter(bin_start=BEGIN).update(is_partial=True)
    SliHour.objects.filter(bin_start=BEGIN + timedelta(hours=4)).update(
        total=0, observed_seconds=0, is_implausible=True
    )
    quality = queries.data_quality(pk("shop"), BEGIN, BEGIN + timedelta(hours=10))
    assert (quality.expected_bins, quality.observed_bins) == (10, 4)
    assert (quality.partial_bins, quality.implausible_bins) == (1, 1)
    assert quality.coverage == pytest.approx(0.4)
    assert (quality.first, quality.last) == (BEGIN, BEGIN + timedelta(hours=7))


@pytest.mark.parametrize(
    ("minutes", "hours"), [(59, None), (60, 1), (119, 1), (120, 2), (300, 2), (420, 7), (10_000, 7)]
)
def test_the_newest_hour_is_the_last_that_is_over_and_has_data(
    tmp_path: Path, minutes: int, hours: int | None
) -> None:
    load_hours(tmp_path, [(1, 0), (1, 0), None, (1, 0), None, None, (1, 0), (1, 0)])
    left_out = [BEGIN + timedelta(hours=3), BEGIN + timedelta(hours=7)]
    SliHour.objects.filter(bin_start__in=left_out).update(total=0, observed_seconds=0, is_implausible=True)
    silent = Service.objects.create(service_id="silent").pk
    now = BEGIN + timedelta(minutes=minutes)
    end = None if hours is None else BEGIN + timedelta(hours=hours)
    told = {} if end is None else {pk("shop"): end}
    assert queries.newest_ends(None, now) == queries.newest_ends([silent, pk("shop")], now) == told
    assert queries.newest_ends([silent], now) == queries.newest_ends([], now) == {}
    assert queries.newest_end(pk("shop"), now) == queries.newest_complete_end(now) == end
    assert queries.newest_end(silent, now) is None


def test_the_state_of_the_source_is_known_without_asking_it(tmp_path: Path) -> None:
    load_hours(tmp_path, [(1, 0)])
    TelemetryRun.objects.create(
        kind="collection", source="prometheus", state="completed", requested_by_name="system"
    )
    TelemetryRun.objects.create(
        kind="collection",
        source="prometheus",
        state="failed",
        requested_by_name="system",
        summary={"failure": "It answered 503."},
    )
    state = queries.source_status(now=BEGIN + timedelta(hours=3))
    assert not state.is_configured
    assert state.age == timedelta(hours=2)
    assert state.failure == "It answered 503."
    assert state.last_success is not None
    assert queries.recent_runs(1)[0].state == "failed"
    assert queries.run_detail(state.last_success.pk) == state.last_success
    assert SliDay.objects.count() == 1
