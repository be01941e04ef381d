"""Deletes old aggregates, and keeps the partitions that hold them."""

from __future__ import annotations

from datetime import UTC, date, timedelta

from django.db import connection

from apps.telemetry.storing.aggregates import ensure_partitions

#: How long hours and days are kept, counted back from each service's own newest bin, so that old data can be loaded
#: and studied.
HOURS_KEPT_DAYS = 120
DAYS_KEPT_DAYS = 731
#: How many days before they are needed partitions are created.
PARTITIONS_AHEAD_DAYS = 40


def drop_old() -> dict[str, int]:
    """Delete bins that are too old, counted from each service's own newest bin; return the rows deleted per table.

    Partitions before the oldest bin that any service keeps are dropped as a whole.
    """
    deleted: dict[str, int] = {}
    # Rows that are deleted with the hours of their service.
    beside_hours = (
        ("telemetry_contestedhour", "bin_start"),
        ("telemetry_finding", "day"),
        ("telemetry_stretch", "day"),
    )
    plans = (
        ("telemetry_slihour", "service_id", HOURS_KEPT_DAYS),
        ("telemetry_latencyhour", "service_id", HOURS_KEPT_DAYS),
        ("telemetry_edgehour", "source_id", HOURS_KEPT_DAYS),
        ("telemetry_sliday", "service_id", DAYS_KEPT_DAYS),
    )
    with connection.cursor() as cursor:
        for table, column in beside_hours:
            cursor.execute(
                f"DELETE FROM {table} old USING ("  # noqa: S608
                "SELECT service_id, (max(bin_start) - make_interval(days => %s)) AT TIME ZONE 'UTC' AS cut"
                " FROM telemetry_slihour GROUP BY 1"
                f") newest WHERE old.service_id = newest.service_id AND old.{column} < newest.cut::date",
                [HOURS_KEPT_DAYS],
            )
            deleted[table] = cursor.rowcount
        for table, owner, kept_days in plans:
            cursor.execute(
                f"DELETE FROM {table} old USING ("  # noqa: S608
                f"SELECT {owner} AS owner, max(bin_start) - make_interval(days => %s) AS cut"
                f" FROM {table} GROUP BY 1"
                f") newest WHERE old.{owner} = newest.owner AND old.bin_start < newest.cut",
                [kept_days],
            )
            deleted[table] = cursor.rowcount
            cursor.execute(f"SELECT min(bin_start) FROM {table}")  # noqa: S608
            oldest = cursor.fetchone()[0]
            # Partitions before the oldest bin are empty.
            if oldest is not None:
                cursor.execute(
                    "SELECT telemetry_drop_partitions(%s, %s)", [table, oldest.astimezone(UTC).date()]
                )
    return deleted


def keep_partitions_ahead(today: date) -> int:
    """Create the partitions for the coming weeks, and return how many were missing."""
    return ensure_partitions(today - timedelta(days=1), today + timedelta(days=PARTITIONS_AHEAD_DAYS))
