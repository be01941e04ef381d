"""Nights on which clocks change somewhere, so that a local hour comes twice or is skipped.

Times without an offset are taken as UTC. If they are local times, such a night shows it: two sets of bins cover one
hour in autumn, and an hour has no bins in spring. The rules come from the machine's time zone database; without one
nothing is found.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

#: Well-known zones, named before others.
_WELL_KNOWN = (
    *("Europe/Berlin", "Europe/London", "Europe/Athens", "America/New_York", "America/Chicago"),
    *("America/Denver", "America/Los_Angeles", "Australia/Sydney", "Pacific/Auckland", "America/Santiago"),
)
_NOT_PLACES = ("Etc/", "SystemV/", "posix/", "right/")
#: Distance of the instants compared within a year; the shortest summer or winter time lasts about four weeks.
_STRIDE = timedelta(days=13)


@dataclass(frozen=True, slots=True)
class ClockChange:
    """A change of clocks at one local time: its day, its zones, and the offsets before and after it."""

    day: date
    zones: tuple[str, ...]
    before: str
    after: str

    @property
    def where(self) -> str:
        """The best known zone, and how many other zones changed with it."""
        more = len(self.zones) - 1
        return (
            self.zones[0] if not more else f"{self.zones[0]} and {more:,} other time zone{'s' * (more > 1)}"
        )


def hour_that_came_twice(wall: int) -> ClockChange | None:
    """Return the change that made a local time come twice; ``wall`` is that time in seconds as if it were UTC."""
    return _change_at(wall, back=True)


def gap_that_clocks_skipped(start: int, end: int) -> ClockChange | None:
    """Return the change that skipped exactly the local times ``[start, end)``, in seconds as if they were UTC."""
    found = _change_at(start, back=False)
    if found is None:
        return None
    zones = tuple(
        name
        for name in found.zones
        if _shift(ZoneInfo(name), start - 1) >= timedelta(0)
        and _shift(ZoneInfo(name), end - 1) < timedelta(0)
        and _shift(ZoneInfo(name), end) >= timedelta(0)
    )
    return ClockChange(found.day, zones, *_offsets(zones[0], start)) if zones else None


def _change_at(wall: int, *, back: bool) -> ClockChange | None:
    day = _local(wall).date()
    zero = timedelta(0)
    zones = tuple(
        zone.key
        for zone in _changing(day.year).get(day, ())
        if (_shift(zone, wall) > zero if back else _shift(zone, wall) < zero)
    )
    return ClockChange(day, zones, *_offsets(zones[0], wall)) if zones else None


def _local(wall: int) -> datetime:
    return datetime.fromtimestamp(wall, UTC).replace(tzinfo=None)


def _shift(zone: ZoneInfo, wall: int) -> timedelta:
    """Return how far clocks go back at a local time that comes twice; negative at a skipped one, otherwise 0."""
    local = _local(wall).replace(tzinfo=zone)
    first, second = local.utcoffset(), local.replace(fold=1).utcoffset()
    assert first is not None
    assert second is not None
    return first - second


def _offsets(zone: str, wall: int) -> tuple[str, str]:
    local = _local(wall).replace(tzinfo=ZoneInfo(zone))
    return f"{local:%:z}", f"{local.replace(fold=1):%:z}"


@lru_cache(maxsize=1)
def _zones() -> tuple[ZoneInfo, ...]:
    names = {name for name in available_timezones() if "/" in name and not name.startswith(_NOT_PLACES)}
    known = [name for name in _WELL_KNOWN if name in names]
    return tuple(ZoneInfo(name) for name in [*known, *sorted(names.difference(known))])


@lru_cache(maxsize=32)
def _changing(year: int) -> dict[date, tuple[ZoneInfo, ...]]:
    """Return the days of a year on which clocks change, each with its zones."""
    found: dict[date, list[ZoneInfo]] = {}
    for zone in _zones():
        start = datetime(year, 1, 1, tzinfo=zone)
        while start.year == year:
            end = start + _STRIDE
            if start.utcoffset() != end.utcoffset():
                found.setdefault(_day_of_change(zone, start, end), []).append(zone)
            start = end
    return {day: tuple(zones) for day, zones in found.items()}


def _day_of_change(zone: ZoneInfo, start: datetime, end: datetime) -> date:
    before = start.utcoffset()
    while end - start > timedelta(days=1):
        middle = start + timedelta(days=(end - start).days // 2)
        start, end = (middle, end) if middle.utcoffset() == before else (start, middle)
    return start.date()
