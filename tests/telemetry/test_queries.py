"""What pages ask of telemetry."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from apps.catalog.models import Service
from apps.telemetry import queries
from apps.telemetry.models import SliDay, SliHour, TelemetryRun
from tests.telemetry.folders import BUCKETS, HOUR, SLI, START, import_folder, write, write_services

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
        kind="telemetry.collection", source="prometheus", state="completed", requested_by_name="system"
    )
    TelemetryRun.objects.create(
        kind="telemetry.collection",
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
    assert SliDay.objects.count() == 1
