"""Series of many services as arrays: on one grid, with gaps as gaps."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from django.db import connection

from apps.catalog.models import Service
from apps.telemetry import series
from apps.telemetry.models import SliHour
from apps.telemetry.storing.aggregates import ensure_partitions
from tests.telemetry.folders import BUCKETS, EDGE_SLI, HOUR, SLI, START, import_folder, write, write_services
from tests.vacuum import vacuum

pytestmark = pytest.mark.django_db

BEGIN = datetime.fromtimestamp(START, UTC)
END = BEGIN + timedelta(hours=6)


def pks() -> dict[str, int]:
    return dict(Service.objects.values_list("service_id", "pk"))


def test_counts_of_many_services_lie_on_one_grid_with_nan_in_the_gaps(tmp_path: Path) -> None:
    write_services(tmp_path, "a", "b", "silent")
    write(
        tmp_path,
        "sli.csv",
        SLI,
        [f"a,{START + i * HOUR},3600,{10 * i},{i},,," for i in (1, 2, 4)]
        + [f"b,{START + 7 * HOUR},3600,9,9,,,"],
    )
    import_folder(tmp_path)
    found = series.load_counts(list(pks().values()), BEGIN, END)
    assert list(found) == [pks()["a"]]
    counts = found[pks()["a"]]
    assert (counts.start, counts.step_seconds) == (START + HOUR, HOUR)
    np.testing.assert_array_equal(counts.total, [10, 20, np.nan, 40, np.nan])
    np.testing.assert_array_equal(counts.bad, [1, 2, np.nan, 4, np.nan])


def test_an_hour_that_was_left_out_as_implausible_is_a_gap_and_counted(tmp_path: Path) -> None:
    write_services(tmp_path, "a")
    write(tmp_path, "sli.csv", SLI, [f"a,{START + i * HOUR},3600,10,1,,," for i in range(3)])
    import_folder(tmp_path)
    middle = SliHour.objects.filter(bin_start=BEGIN + timedelta(hours=1))
    middle.update(total=0, bad=0, observed_seconds=0, is_implausible=True)
    SliHour.objects.filter(bin_start=BEGIN).update(is_partial=True)
    counts = series.load_counts(list(pks().values()), BEGIN, BEGIN + timedelta(hours=3))[pks()["a"]]
    np.testing.assert_array_equal(counts.total, [10, np.nan, 10])
    assert (counts.partial, counts.implausible) == (1, 1)


@pytest.mark.django_db(transaction=True, databases=["default", "owner"])
@pytest.mark.parametrize(
    ("table", "owners", "counts"),
    [
        ("telemetry_slihour", "service_id", "total, bad, observed_seconds, is_partial, is_implausible"),
        ("telemetry_edgehour", "source_id, target_id", "total, bad, observed_seconds"),
    ],
)
def test_a_history_is_read_from_its_index(table: str, owners: str, counts: str) -> None:
    ensure_partitions(BEGIN.date(), END.date())
    first = owners.split(",", maxsplit=1)[0]
    numbers = ", ".join("n" for _ in owners.split(","))
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} ({owners}, bin_start, total, bad, observed_seconds) SELECT {numbers}, h, 9, 1, 3600"
            " FROM generate_series(1, 300) n, generate_series(%s, %s, interval '10 minutes') h ORDER BY h",
            [BEGIN, END],
        )
        vacuum(table)
        cursor.execute(
            f"EXPLAIN SELECT {owners}, bin_start, {counts} FROM {table}"
            f" WHERE {first} = ANY('{{7,8}}') AND bin_start >= %s AND bin_start < %s",
            [BEGIN, END],
        )
        assert "Index Only Scan" in str(cursor.fetchall())
        cursor.execute(
            "SELECT reloptions FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid WHERE inhparent = %s::regclass",
            [table],
        )
        assert {tuple(row[0]) for row in cursor.fetchall()} == {
            ("autovacuum_vacuum_insert_scale_factor=0.02",)
        }


def test_days_come_on_a_grid_of_days(tmp_path: Path) -> None:
    write_services(tmp_path, "a")
    write(tmp_path, "sli.csv", SLI, [f"a,{START + i * 86400},86400,{100 + i},1,,," for i in (0, 2)])
    import_folder(tmp_path)
    counts = series.load_days(list(pks().values()), BEGIN, BEGIN + timedelta(days=3))[pks()["a"]]
    np.testing.assert_array_equal(counts.total, [100, np.nan, 102])
    assert counts.step_seconds == 86400


def test_edges_come_by_source_and_target(tmp_path: Path) -> None:
    write_services(tmp_path, "a", "b", "c")
    write(
        tmp_path,
        "edge_sli.csv",
        EDGE_SLI,
        [("a", "b", START, HOUR, 5, 1), ("a", "c", START, HOUR, 7, 0), ("b", "c", START, HOUR, 1, 1)],
    )
    import_folder(tmp_path)
    keys = pks()
    found = series.load_edges([keys["a"]], BEGIN, BEGIN + timedelta(hours=1))
    assert {edge: (counts.total.tolist(), counts.bad.tolist()) for edge, counts in found.items()} == {
        (keys["a"], keys["b"]): ([5], [1]),
        (keys["a"], keys["c"]): ([7], [0]),
    }


def buckets_of(folder: Path, hours: list[list[tuple[float | str, int]]]) -> series.Buckets:
    write_services(folder, "a")
    rows = [
        ("a", START + i * HOUR, HOUR, bound, count) for i, hour in enumerate(hours) for bound, count in hour
    ]
    write(folder, "latency_buckets.csv", BUCKETS, rows)
    import_folder(folder)
    return series.load_buckets(list(pks().values()), BEGIN, BEGIN + timedelta(hours=5))[pks()["a"]]


def test_histograms_keep_the_bounds_that_all_hours_share(tmp_path: Path) -> None:
    buckets = buckets_of(
        tmp_path,
        [
            [(2, 0), (3, 1), (5, 1), (10, 2), ("+Inf", 3)],
            [(2, 5), (3, 8), (5, 10), (10, 20), ("+Inf", 30)],
            [(2, 50), (3, 90), (5, 100), (20, 200), ("+Inf", 300)],
            [(2, 1), (3, 2), (5, 7), ("+Inf", 9)],
        ],
    )
    np.testing.assert_array_equal(buckets.bounds_ms, [2, 3, 5, np.inf])
    np.testing.assert_array_equal(
        buckets.cumulative, [[0, 1, 1, 3], [5, 8, 10, 30], [50, 90, 100, 300], [1, 2, 7, 9], [np.nan] * 4]
    )


def test_histograms_whose_hours_share_too_few_bounds_never_read_too_low(tmp_path: Path) -> None:
    """A release may change every bound; no request then counts below a bound that it may not have kept."""
    buckets = buckets_of(
        tmp_path, [[(5, 1), (20, 2), ("+Inf", 3)], [(5, 10), (10, 20), ("+Inf", 30)], [(7, 4), ("+Inf", 9)]]
    )
    np.testing.assert_array_equal(buckets.bounds_ms, [5, 7, 10, 20, np.inf])
    np.testing.assert_array_equal(
        buckets.cumulative,
        [[1, 1, 1, 2, 3], [10, 10, 20, 20, 30], [0, 4, 4, 4, 9], [np.nan] * 5, [np.nan] * 5],
    )


def test_percentiles_come_one_by_one_with_their_times(tmp_path: Path) -> None:
    write_services(tmp_path, "a", "b")
    rows = [f"a,{START + i * 900},900,1,0,,{i},{'' if i == 1 else 10 + i}" for i in range(8)]
    write(tmp_path, "sli.csv", SLI, [*rows, f"b,{START},3600,1,0,5,,"])
    import_folder(tmp_path)
    found = series.load_percentiles(list(pks().values()), BEGIN, END)
    assert list(found) == [pks()["a"]]
    percentiles = found[pks()["a"]]
    np.testing.assert_array_equal(percentiles.at, [START + i * 900 for i in range(8)])
    np.testing.assert_array_equal(percentiles.p95_ms, range(8))
    np.testing.assert_array_equal(percentiles.p99_ms, [10, np.nan, 12, 13, 14, 15, 16, 17])
    assert percentiles.bins_per_hour == 4


def test_nothing_after_the_end_is_read(tmp_path: Path) -> None:
    write_services(tmp_path, "a")
    write(tmp_path, "sli.csv", SLI, [f"a,{START + i * HOUR},3600,10,1,5,6,7" for i in range(6)])
    import_folder(tmp_path)
    end = BEGIN + timedelta(hours=3)
    assert len(series.load_counts(list(pks().values()), BEGIN, end)[pks()["a"]].total) == 3
    assert len(series.load_percentiles(list(pks().values()), BEGIN, end)[pks()["a"]].at) == 3


@pytest.mark.parametrize(
    "load",
    [series.load_counts, series.load_days, series.load_edges, series.load_buckets, series.load_percentiles],
)
def test_no_services_and_no_data_are_no_series(load: object) -> None:
    assert callable(load)
    assert load([], BEGIN, END) == {}
    assert load([1, 2], BEGIN, END) == {}
