"""Prepares one service's data for its page: how it was read, what was left out, and what is in doubt."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from apps.core.instants import whole_hour
from apps.telemetry import queries
from apps.telemetry.clients.base import Explanation, Finding
from apps.telemetry.findings import KINDS, Effect, words
from apps.telemetry.queries import CountPoint, FoundStretch, StoredFinding
from apps.ui.charts import Chart, DayOfHours, hours_by_day
from apps.ui.format import percent, plural, utc_stamp

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
#: The days that a page shows by default, and the most that it shows.
USUAL_DAYS = 31
MOST_DAYS = 120

_LEVELS: Mapping[Effect, str] = {Effect.LEFT_OUT: "bad", Effect.IN_DOUBT: "warn", Effect.MENDED: "ok"}


@dataclass(frozen=True, slots=True)
class ShownFinding:
    """A finding as a line of a list. ``level`` is ``bad`` for hours left out, ``warn`` for doubt, otherwise ``ok``."""

    level: str
    effect: str
    title: str
    words: str
    first: datetime
    last: datetime
    hours: int


@dataclass(frozen=True, slots=True)
class ServiceData:
    """One service's stored hours in ``[start, end)``."""

    start: datetime
    end: datetime
    hours: int
    requests: float
    failures: float
    partial: int
    left_out: int
    missing: int
    chart: Chart | None
    chart_title: str
    stretches: Sequence[FoundStretch]
    findings: Sequence[ShownFinding]


def service_data(service_pk: int, start: datetime | None, now: datetime) -> ServiceData | None:
    """Return a service's stored data from ``start`` on, by default the newest 31 days; ``None`` without any."""
    newest = queries.newest_end(service_pk, now) or now
    end = max(newest, min(whole_hour(now), newest + DAY))
    begin = end - USUAL_DAYS * DAY if start is None or start >= end else max(start, end - MOST_DAYS * DAY)
    begin = _midnight(begin)
    points = queries.availability_hours(service_pk, begin, end)
    if points:
        begin = max(begin, _midnight(points[0].start))
    found = queries.findings_in([service_pk], begin, end).get(service_pk, [])
    if not points and not found:
        return None
    first = points[0].start if points else begin
    observed = [point for point in points if point.observed_seconds]
    left_out = sum(point.is_implausible and not point.observed_seconds for point in points)
    return ServiceData(
        start=begin,
        end=end,
        hours=len(observed),
        requests=sum(point.total for point in observed),
        failures=sum(point.bad for point in observed),
        partial=sum(point.is_partial for point in observed),
        left_out=left_out,
        missing=max(0, (end - first) // HOUR - len(observed) - left_out),
        chart=hours_by_day(_days(points, begin.date(), (end - HOUR).date())) if points else None,
        chart_title=_chart_title(len(observed), left_out),
        stretches=queries.stretches_in(service_pk, begin, end),
        findings=sorted((_shown(one) for one in found), key=_rank),
    )


def _chart_title(hours: int, left_out: int) -> str:
    return f"{plural(hours, 'hour')} with data, {f'{left_out:,}' if left_out else 'none'} left out"


def _midnight(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def _days(points: Sequence[CountPoint], first: date, last: date) -> list[DayOfHours]:
    counts: dict[date, list[int]] = {}
    for point in points:
        of_day = counts.setdefault(point.start.astimezone(UTC).date(), [0, 0, 0])
        if not point.observed_seconds:
            of_day[2] += point.is_implausible
        else:
            of_day[1 if point.is_partial else 0] += 1
    days = (first + timedelta(days=number) for number in range((last - first).days + 1))
    return [DayOfHours(day, *counts.get(day, (0, 0, 0))) for day in days]


def _shown(finding: StoredFinding) -> ShownFinding:
    kind = finding.described
    effect = kind.effect if kind else Effect.IN_DOUBT
    return ShownFinding(
        level=_LEVELS[effect],
        effect=effect.value,
        title=kind.title if kind else finding.kind.replace("_", " "),
        words=finding.words,
        first=finding.first,
        last=finding.last + HOUR,
        hours=finding.hours,
    )


def _rank(finding: ShownFinding) -> tuple[int, int]:
    return ("bad", "warn", "ok").index(finding.level), -finding.hours


@dataclass(frozen=True, slots=True)
class CheckedService:
    """What would be stored of a service that was checked, in words."""

    lines: Sequence[str]
    findings: Sequence[ShownFinding]


def checked(found: Explanation) -> CheckedService:
    """Return a check's reading in words."""
    shown = [
        _shown_now(finding) for finding in found.quality.findings.get(found.service_id, []) if finding.hours
    ]
    return CheckedService(list(reading_words(found)), sorted(shown, key=_rank))


def _shown_now(finding: Finding) -> ShownFinding:
    kind = KINDS[finding.kind]
    return ShownFinding(
        level=_LEVELS[kind.effect],
        effect=kind.effect.value,
        title=kind.title,
        words=words(finding.kind, finding.detail, len(finding.hours)),
        first=datetime.fromtimestamp(min(finding.hours), UTC),
        last=datetime.fromtimestamp(max(finding.hours), UTC) + HOUR,
        hours=len(finding.hours),
    )


def reading_words(found: Explanation) -> Iterator[str]:
    """Yield lines on what would be stored of the service."""
    bins = found.availability.series.get(found.service_id)
    if bins is None:
        yield "Nothing: no metric family has data under this name in this window."
    else:
        total, bad = sum(bins.total), sum(bins.bad)
        share = f"{percent(1 - bad / total)} good" if total else "no requests"
        yield f"{len(bins.at):,} hours, {total:,.0f} requests, {bad:,.0f} failed: {share}."
        for stretch in found.availability.stretches.get(found.service_id, []):
            yield f"{stretch.family}: {stretch.bins:,} hours, {_stamp(stretch.start)} to {_stamp(stretch.end)}."
        if bins.implausible:
            yield f"{len(bins.implausible):,} hours would be left out."
        if any(bins.partial):
            yield f"{sum(bins.partial):,} hours would be kept as partial."
    histogram = found.latency.buckets.get(found.service_id)
    percentiles = found.latency.percentiles.get(found.service_id)
    if histogram is not None:
        yield f"{len(histogram.at):,} latency histograms."
    elif percentiles is not None:
        yield f"{len(percentiles.at):,} bins of percentiles, {percentiles.step_seconds} s each."
    else:
        yield "No latencies."
    for (_, target), edge in sorted(found.edges.series.items()):
        yield f"Calls {target}: {sum(edge.total):,.0f}, {sum(edge.bad):,.0f} failed."


def moment(text: str) -> datetime | None:
    """Return the instant in a URL's parameter, or ``None`` if it is none; without an offset it is UTC."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _stamp(at: int) -> str:
    return utc_stamp(datetime.fromtimestamp(at, UTC))
