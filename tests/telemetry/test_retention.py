"""What is old goes, counted from each service's own newest bin; what is to come has its place."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from django.db import connection

from apps.catalog.models import Service
from apps.telemetry.models import SliDay, SliHour
from apps.telemetry.storing.retention import DAYS_KEPT_DAYS, HOURS_KEPT_DAYS, drop_old, keep_partitions_ahead
from tests.telemetry.folders import SLI, import_folder, write, write_services

pytestmark = pytest.mark.django_db

NEWEST = datetime(2026, 10, 31, 23, tzinfo=UTC)


def load(tmp_path: Path, *rows: tuple[str, datetime, int]) -> None:
    write_services(tmp_path, *{name for name, _, _ in rows})
    write(
        tmp_path, "sli.csv", SLI, [(name, at.isoformat(), step, 10, 1, "", "", "") for name, at, step in rows]
    )
    import_folder(tmp_path)


def partitions(parent: str) -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT right(c.relname, 6) FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
            " WHERE i.inhparent = %s::regclass",
            [parent],
        )
        return {month for (month,) in cursor.fetchall()}


def test_hours_are_kept_for_120_days_and_days_for_two_years(tmp_path: Path) -> None:
    kept, gone = NEWEST - timedelta(days=HOURS_KEPT_DAYS), NEWEST - timedelta(days=HOURS_KEPT_DAYS, hours=1)
    midnight = NEWEST.replace(hour=0)
    old_day = midnight - timedelta(days=DAYS_KEPT_DAYS)
    load(
        tmp_path,
        ("shop", NEWEST, 3600),
        ("shop", kept, 3600),
        ("shop", gone, 3600),
        ("shop", old_day, 86400),
        ("shop", old_day - timedelta(days=1), 86400),
    )
    deleted = drop_old()
    assert deleted["telemetry_slihour"] == deleted["telemetry_sliday"] == 1
    assert set(SliHour.objects.values_list("bin_start", flat=True)) == {NEWEST, kept}
    assert old_day in set(SliDay.objects.values_list("bin_start", flat=True))


def test_old_data_stays_while_it_is_the_newest_of_its_service(tmp_path: Path) -> None:
    long_ago = datetime(2023, 8, 21, 9, tzinfo=UTC)
    load(tmp_path, ("shop", NEWEST, 3600), ("petsite", long_ago, 3600))
    drop_old()
    assert SliHour.objects.filter(service__service_id="petsite").count() == 1


def test_a_day_is_not_forgotten_with_its_hours(tmp_path: Path) -> None:
    old = NEWEST.replace(hour=0) - timedelta(days=200)
    load(
        tmp_path, ("shop", NEWEST, 3600), *[("shop", old + timedelta(hours=hour), 3600) for hour in range(24)]
    )
    drop_old()
    assert SliHour.objects.count() == 1
    assert SliDay.objects.get(bin_start=old).total == 240


def test_an_hour_of_a_day_whose_hours_are_gone_does_not_shrink_the_day(tmp_path: Path) -> None:
    old = NEWEST.replace(hour=0) - timedelta(days=200)
    load(
        tmp_path, ("shop", NEWEST, 3600), *[("shop", old + timedelta(hours=hour), 3600) for hour in range(24)]
    )
    drop_old()
    load(tmp_path, ("shop", old, 3600))
    assert SliDay.objects.get(bin_start=old).total == 240


def test_partitions_with_nothing_left_in_them_are_dropped(tmp_path: Path) -> None:
    load(tmp_path, ("shop", datetime(2021, 3, 1, tzinfo=UTC), 3600), ("shop", NEWEST, 3600))
    assert "202103" in partitions("telemetry_slihour")
    drop_old()
    assert "202103" not in partitions("telemetry_slihour")
    assert "202610" in partitions("telemetry_slihour")


def test_partitions_are_there_before_they_are_needed() -> None:
    assert keep_partitions_ahead(date(2031, 1, 20)) > 0
    assert {"203101", "203102", "203103"} <= partitions("telemetry_slihour")
    assert keep_partitions_ahead(date(2031, 1, 20)) == 0


def test_the_application_owns_none_of_the_tables() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT tableowner = current_user FROM pg_tables WHERE tablename = 'telemetry_slihour'"
        )
        assert cursor.fetchone() == (False,)


def test_nothing_stored_is_nothing_to_drop() -> None:
    assert set(drop_old().values()) == {0}
    assert not Service.objects.exists()
