"""The behaviour of each service by itself: traffic from outside, share of failed requests, latency.

Everything is a function of the hour counted from the anchor (midnight UTC of the day the demo was loaded), so an hour
always has the same values, whatever range is computed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from apps.demo.description import Event, Fleet, ServiceSpec
from apps.demo.randomness import Floats, Ints, keys, normal, uniform

HOUR = 3600
DAY_HOURS = 24
WEEK_HOURS = 168
YEAR_HOURS = 365 * DAY_HOURS
#: No incident lasts longer, so an hour looks back this far for one that still goes on.
LONGEST_INCIDENT_DAYS = 3
DEPLOY_MINUTES = 10.0
#: While some requests fail, the others wait: latency grows by up to this factor, reached when all fail.
SLOWER_WHEN_FAILING = 4.0


@dataclass(frozen=True, slots=True)
class Hours:
    """A range of hours: ``relative`` to the anchor, shape ``(h,)``, and the anchor's weekday."""

    relative: Ints
    anchor_weekday: int

    @classmethod
    def between(cls, anchor: int, start: int, end: int) -> Hours:
        """Return the hours from ``start`` up to, but without, ``end``; all three are Unix seconds at full hours."""
        if anchor % (DAY_HOURS * HOUR) or start % HOUR or end % HOUR:
            raise ValueError("The anchor must be a midnight, start and end full hours.")
        weekday = datetime.fromtimestamp(anchor, UTC).weekday()
        return cls(np.arange((start - anchor) // HOUR, (end - anchor) // HOUR, dtype=np.int64), weekday)

    @property
    def day(self) -> Ints:
        """The day of each hour, 0 for the anchor's."""
        return self.relative // DAY_HOURS


@dataclass(frozen=True, slots=True)
class Own:
    """Each service's own behaviour, shape ``(services, hours)``. ``observed`` is false where nothing was recorded."""

    requests: Floats
    failing: Floats
    median_ms: Floats
    observed: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]


def own_processes(fleet: Fleet, hours: Hours) -> Own:
    """Return each service's behaviour without its dependencies."""
    failing = _failing(fleet, hours)
    requests = np.stack([_requests(fleet, service, hours) for service in fleet.services])
    noise = normal(keys(fleet.seed, [(s.service_id, "latency") for s in fleet.services]), hours.relative)
    load = 1.0 + 0.12 * np.cos(2 * np.pi * (hours.relative % DAY_HOURS - 15.0) / DAY_HOURS)
    median = np.array([s.median_ms for s in fleet.services])[:, None] * np.exp(0.04 * noise) * load
    observed = np.ones(failing.shape, dtype=bool)
    for row, service in enumerate(fleet.services):
        if service.age_days is not None:
            observed[row] = hours.relative >= -service.age_days * DAY_HOURS
            requests[row] *= observed[row]
    for event in fleet.events:
        _apply(event, fleet, hours, failing, median, observed)
    median *= 1.0 + (SLOWER_WHEN_FAILING - 1.0) * np.minimum(1.0, failing * 2.0)
    return Own(requests, np.clip(failing, 0.0, 1.0), median, observed)


def _requests(fleet: Fleet, service: ServiceSpec, hours: Hours) -> Floats:
    profile = fleet.profiles[service.profile]
    hour = hours.relative % DAY_HOURS
    weekday = (hours.anchor_weekday + hours.day) % 7
    # The mean over the week is 1, whatever the factor of the weekend.
    weekly = np.where(weekday >= 5, profile.weekend, 1.0) / ((5.0 + 2.0 * profile.weekend) / 7.0)
    daily = 1.0 + profile.swing * np.cos(2 * np.pi * (hour - profile.peak_hour) / DAY_HOURS)
    growth = np.exp(np.log1p(profile.growth) * hours.relative / YEAR_HOURS)
    name = keys(fleet.seed, [(service.profile, "traffic")])
    own_day = normal(name, hours.day)[0]
    own_hour = normal(name, hours.relative)[0]
    result: Floats = (
        service.direct_rps * HOUR * weekly * daily * growth * np.exp(0.05 * own_day + 0.04 * own_hour)
    )
    return result


def _failing(fleet: Fleet, hours: Hours) -> Floats:
    specs = fleet.services

    def named(purpose: str) -> np.ndarray[tuple[int, ...], np.dtype[np.uint64]]:
        return keys(fleet.seed, [(s.service_id, purpose) for s in specs])

    def column(values: list[float]) -> Floats:
        return np.array(values)[:, None]

    day_noise = column([s.day_noise for s in specs])
    step_noise = column([s.step_noise for s in specs])
    level = column([s.base_error for s in specs]) * np.exp(
        day_noise * normal(named("day"), hours.day)
        - day_noise**2 / 2
        + step_noise * normal(named("step"), hours.relative // WEEK_HOURS)
        - step_noise**2 / 2
        + 0.3 * normal(named("hour"), hours.relative)
        - 0.045
    )
    result: Floats = 1.0 - (1.0 - np.minimum(level, 1.0)) * (1.0 - _deploys(fleet, hours)) * (
        1.0 - _incidents(fleet, hours)
    )
    return result


def _deploys(fleet: Fleet, hours: Hours) -> Floats:
    """Return the share of requests that deploys fail: on weekdays between 9 and 16 UTC, for ten minutes each."""
    specs = fleet.services
    named = keys(fleet.seed, [(s.service_id, "deploy") for s in specs])
    chance = np.array([s.deploys_per_week / 5.0 for s in specs])[:, None]
    weekday = (hours.anchor_weekday + hours.day) % 7
    drawn = uniform(named, hours.day)
    is_deployed = (drawn < chance) & (weekday < 5)
    # The rest of the draw gives the hour, so that one draw a day suffices.
    at = 9 + np.floor(8 * np.minimum(drawn / np.maximum(chance, 1e-12), 0.999))
    now = is_deployed & (at == hours.relative % DAY_HOURS)
    failing = np.array([s.deploy_failing for s in specs])[:, None]
    result: Floats = now * failing * (DEPLOY_MINUTES / 60.0)
    return result


def _incidents(fleet: Fleet, hours: Hours) -> Floats:
    """Return the share of requests that fail because of random incidents. At most one starts on a day.

    A duration is Pareto distributed: ``minutes · u^(-1/tail)``, cut at :data:`LONGEST_INCIDENT_DAYS`.
    """
    specs = fleet.services
    days = np.arange(hours.day[0] - LONGEST_INCIDENT_DAYS, hours.day[-1] + 1, dtype=np.int64)
    kept = np.ones((len(specs), hours.relative.size))
    names = [(s.service_id,) for s in specs]
    happens, begin, long, hard = (
        uniform(keys(fleet.seed, [(*name, purpose) for name in names]), days)
        for purpose in ("incident", "incident begin", "incident length", "incident share")
    )
    first = hours.relative[0]
    chance = np.array([s.incidents_per_month / 30.0 for s in specs])[:, None]
    for row, column in zip(*np.nonzero(happens < chance), strict=True):
        spec = specs[row]
        start = days[column] * DAY_HOURS + begin[row, column] * DAY_HOURS
        minutes = spec.incident_minutes * long[row, column] ** (-1.0 / spec.incident_tail)
        length = min(minutes / 60.0, LONGEST_INCIDENT_DAYS * DAY_HOURS - DAY_HOURS)
        low, high = spec.incident_failing
        share = low * (high / low) ** hard[row, column]
        window, overlap = _overlap(start, length, first, hours.relative.size)
        kept[row, window] *= 1.0 - share * overlap
    result: Floats = 1.0 - kept
    return result


def _overlap(start: float, length: float, first: int, count: int) -> tuple[slice, Floats]:
    """Return the hours from ``first`` that an interval touches, and the share of each that it covers."""
    begin = max(0, int(np.floor(start)) - first)
    end = min(count, int(np.ceil(start + length)) - first)
    hour = np.arange(begin, max(begin, end)) + first
    overlap: Floats = np.clip(np.minimum(hour + 1, start + length) - np.maximum(hour, start), 0.0, 1.0)
    return slice(begin, max(begin, end)), overlap


def _apply(
    event: Event,
    fleet: Fleet,
    hours: Hours,
    failing: Floats,
    median: Floats,
    observed: np.ndarray[tuple[int, ...], np.dtype[np.bool_]],
) -> None:
    rows = slice(None) if event.service == "*" else fleet.service_ids.index(event.service)
    start = event.start_hour(hours.anchor_weekday)
    if event.kind == "drift":
        # It grows over its hours and then stays.
        progress = np.clip((hours.relative - start) / event.hours, 0.0, 1.0)
        failing[rows] *= event.error_factor**progress
        median[rows] *= event.latency_factor**progress
        return
    window, overlap = _overlap(start, event.hours, int(hours.relative[0]), hours.relative.size)
    if event.kind == "gap":
        observed[rows, window] = False
        return
    failing[rows, window] = 1.0 - (1.0 - failing[rows, window]) * (1.0 - event.failing * overlap)
    median[rows, window] *= 1.0 + (event.slower - 1.0) * overlap
