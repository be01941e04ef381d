"""Asks again for incomplete, contested and missing hours of the last days, after an hourly collection.

One collection asks for a limited number of hours, the oldest first, in few windows. The others wait for the next hour.
This module is for workers and commands, because it needs numpy.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db import connection

from apps.telemetry.clients.base import TelemetrySource
from apps.telemetry.clients.errors import SourceError
from apps.telemetry.storing.collecting import CollectResult, collect
from apps.telemetry.storing.replacing import Reading

HOUR = timedelta(hours=1)
#: Gaps between hours with data are asked for again only this long, because a service without requests has gaps too.
GAPS_FOR = timedelta(days=1)
#: Hours that are this near to each other are read in one window.
JOIN_WITHIN = 3 * HOUR
LONGEST_WINDOW = 24 * HOUR
MOST_WINDOWS = 8
#: The most hours of all services that one collection reads besides its own: four days of a hundred services.
MOST_HOURS = 10_000

type Due = Mapping[int, frozenset[datetime]]


@dataclass(frozen=True, slots=True)
class Window:
    """Hours to read of some services. ``wanted`` of these are due; the others are between them."""

    start: datetime
    end: datetime
    services: tuple[int, ...]
    wanted: int


_DUE = """
    SELECT due.service_id, due.bin_start FROM (
        SELECT service_id, bin_start FROM telemetry_slihour
        WHERE is_partial AND bin_start >= %(oldest)s AND bin_start < %(before)s
        UNION
        SELECT service_id, bin_start FROM telemetry_latencyhour
        WHERE is_partial AND bin_start >= %(oldest)s AND bin_start < %(before)s
        UNION
        SELECT source_id, bin_start FROM telemetry_edgehour
        WHERE is_partial AND bin_start >= %(oldest)s AND bin_start < %(before)s
        UNION
        SELECT service_id, bin_start FROM telemetry_contestedhour
        WHERE bin_start >= %(oldest)s AND bin_start < %(before)s
        UNION
        SELECT service_id, missing FROM (
            SELECT service_id, bin_start, lead(bin_start) OVER (PARTITION BY service_id ORDER BY bin_start) AS next
            FROM telemetry_slihour WHERE bin_start >= %(gaps_from)s AND bin_start < %(end)s
        ) hours CROSS JOIN LATERAL generate_series(
            bin_start + interval '1 hour', next - interval '1 hour', interval '1 hour') AS missing
        WHERE next > bin_start + interval '1 hour' AND missing < %(before)s
    ) due JOIN catalog_service s ON s.id = due.service_id AND s.origin <> 'demo'
"""


def hours_to_ask_again(oldest: datetime, before: datetime, end: datetime) -> Due:
    """Return the hours of each service that may be better when they are asked for again.

    These are hours with incomplete answers, contested hours, and hours of the last day without data between hours with
    data.

    Parameters:
        oldest: older hours are ignored.
        before: later hours are ignored, because they are read in any case.
        end: end of the newest hour.
    """
    values = {
        "oldest": oldest,
        "before": before,
        "end": end,
        "gaps_from": max(oldest, end - GAPS_FOR - HOUR),
    }
    due: defaultdict[int, set[datetime]] = defaultdict(set)
    with connection.cursor() as cursor:
        cursor.execute(_DUE, values)
        for pk, at in cursor.fetchall():
            due[pk].add(at.astimezone(UTC))
    return {pk: frozenset(hours) for pk, hours in due.items()}


def plan(due: Due, *, turn: int = 0, most_hours: int = MOST_HOURS) -> list[Window]:
    """Put hours into at most :data:`MOST_WINDOWS` windows of at most ``most_hours`` hours of services, oldest first.

    If not all fit, each window except the last uses at most half of the remaining hours, so that hours that never get
    better do not keep others from being asked for.

    Parameters:
        turn: increases by one each time, so that a window that is too large covers other services each time.
    """
    at: defaultdict[datetime, list[int]] = defaultdict(list)
    for pk, hours in due.items():
        for hour in hours:
            at[hour].append(pk)
    runs = _runs(at)[:MOST_WINDOWS]
    windows: list[Window] = []
    left = most_hours
    for number, run in enumerate(runs):
        start, end = run[0], run[-1] + HOUR
        width = (end - start) // HOUR
        services = sorted({pk for hour in run for pk in at[hour]})
        fit = left // width
        if fit < len(services):
            fit = fit if number == len(runs) - 1 else max(1, left // 2 // width)
            first = turn * fit % len(services)
            services = [*services[first:], *services[:first]][:fit]
        if width * len(services) > left or not services:
            continue
        chosen = set(services)
        wanted = sum(pk in chosen for hour in run for pk in at[hour])
        windows.append(Window(start, end, tuple(sorted(services)), wanted))
        left -= width * len(services)
    return windows


def _runs(hours: Iterable[datetime]) -> list[Sequence[datetime]]:
    """Return sorted hours, split where they are far from each other or a run is long enough."""
    runs: list[list[datetime]] = []
    for hour in sorted(hours):
        if runs and hour - runs[-1][-1] <= JOIN_WITHIN and hour + HOUR - runs[-1][0] <= LONGEST_WINDOW:
            runs[-1].append(hour)
        else:
            runs.append([hour])
    return [*runs]


def ask_again(
    source: TelemetrySource,
    known: Mapping[str, int],
    window: tuple[datetime, datetime],
    reading: Reading,
    result: CollectResult,
    *,
    reach: timedelta,
) -> dict[str, int]:
    """Read incomplete, contested and missing hours again that are before a window that was just read.

    The answers are added to the result of that reading. If the source can no longer be read, the result gets a warning.

    Parameters:
        reach: how far before the window's end hours are asked for again.

    Returns:
        The number of hours that were asked for, and of those left for the next time.
    """
    start, end = window
    service_of = {pk: service_id for service_id, pk in known.items()}
    # A service that came into the catalog meanwhile waits for the next time.
    due = {pk: hours for pk, hours in hours_to_ask_again(end - reach, start, end).items() if pk in service_of}
    plans = plan(due, turn=int(end.timestamp()) // 3600)
    asked = 0
    for part in plans:
        try:
            services = [service_of[pk] for pk in part.services]
            result.add(collect(source, services, known, part.start, part.end, reading))
        except SourceError as error:
            # The hours of the collection itself are stored; the next collection asks for these again.
            result.quality.warnings.append(
                f"{part.start:%Y-%m-%d %H:%M} to {part.end:%Y-%m-%d %H:%M} UTC could not be asked again: "
                f"{error.detail}"
            )
            break
        asked += part.wanted
    return {"hours_asked_again": asked, "hours_left_for_later": sum(map(len, due.values())) - asked}
