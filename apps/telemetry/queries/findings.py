"""Reads the findings about services' data, and the families that services were read from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta

from apps.core.json_types import JsonObject
from apps.telemetry import findings
from apps.telemetry.findings import KINDS, Kind
from apps.telemetry.models import FindingDay, SliHour, StretchDay
from apps.telemetry.queries.counts import HOUR

WHOLE_DAY = (1 << 24) - 1


@dataclass(frozen=True, slots=True)
class StoredFinding:
    """A finding about some hours of a service.

    Parameters:
        hours: number of hours that it concerns.
        first, last: starts of the first and the last of these hours.
        detail: values for the sentence, from the newest day.
        days: the hours of each day as bits; bit ``n`` is the hour that begins at ``n``.
    """

    kind: str
    subject: str
    hours: int
    first: datetime
    last: datetime
    detail: JsonObject
    days: Mapping[date, int] = field(repr=False)

    @property
    def words(self) -> str:
        """The sentence for people; for a kind or detail that this version does not know, its name and hours."""
        try:
            return findings.words(self.kind, self.detail, self.hours)
        except KeyError:
            return f"{self.kind.replace('_', ' ')}: {self.hours:,} hours."

    @property
    def described(self) -> Kind | None:
        """The kind of finding; ``None`` where this version does not know it."""
        return KINDS.get(self.kind)


@dataclass(frozen=True, slots=True)
class FoundStretch:
    """A time in which a service was read from one family, until another family takes over or the data end.

    Parameters:
        family: a metric family or ``files``; empty where it was not noted.
        start, end: start of its first hour and end of its last hour.
        hours: hours with data.
        missing: hours in it without data.
        partial: hours from incomplete answers.
        implausible: hours that were left out.
    """

    family: str
    start: datetime
    end: datetime
    hours: int
    missing: int
    partial: int
    implausible: int


def findings_in(
    service_pks: Sequence[int], start: datetime, end: datetime, *, latency_start: datetime | None = None
) -> dict[int, list[StoredFinding]]:
    """Return findings about the hours in ``[start, end)``, by service, one for each kind and subject.

    Services without findings are absent.

    Parameters:
        latency_start: findings about latencies count only from here on.
    """
    rows = FindingDay.objects.filter(
        service_id__in=list(service_pks), day__gte=_utc(start).date(), day__lte=_utc(end).date(), hours__gt=0
    ).order_by("service_id", "kind", "subject", "day")
    days: dict[tuple[int, str, str], dict[date, int]] = {}
    details: dict[tuple[int, str, str], JsonObject] = {}
    for pk, kind, subject, day, hours, detail in rows.values_list(
        "service_id", "kind", "subject", "day", "hours", "detail"
    ):
        known = KINDS.get(kind)
        is_late = latency_start is not None and known is not None and known.concerns == "latency"
        mask = hours & within(day, latency_start if is_late and latency_start else start, end)
        if mask:
            days.setdefault((pk, kind, subject), {})[day] = mask
            details[pk, kind, subject] = detail
    found: dict[int, list[StoredFinding]] = {}
    for (pk, kind, subject), masks in days.items():
        first, last = min(masks), max(masks)
        found.setdefault(pk, []).append(
            StoredFinding(
                kind,
                subject,
                sum(mask.bit_count() for mask in masks.values()),
                _hour(first, (masks[first] & -masks[first]).bit_length() - 1),
                _hour(last, masks[last].bit_length() - 1),
                details[pk, kind, subject],
                masks,
            )
        )
    return found


def within(day: date, start: datetime, end: datetime) -> int:
    """Return the hours of a day that are in ``[start, end)``, as bits."""
    midnight = _hour(day, 0)
    first = max(0, -((midnight - _utc(start)) // HOUR))
    last = min(24, (_utc(end) - midnight) // HOUR)
    return WHOLE_DAY >> (24 - last) & ~((1 << first) - 1) if first < last else 0


def stretches_in(service_pk: int, start: datetime, end: datetime) -> list[FoundStretch]:
    """Return the stretches of families that a service was read from in ``[start, end)``, in order of time."""
    read = StretchDay.objects.filter(
        service_id=service_pk, day__gte=_utc(start).date(), day__lte=_utc(end).date()
    )
    families = {
        _hour(day, bit): family
        for day, family, hours in read.values_list("day", "family", "hours")
        for bit in range(24)
        if hours >> bit & 1
    }
    rows = SliHour.objects.filter(service_id=service_pk, bin_start__gte=start, bin_start__lt=end)
    stretches: list[FoundStretch] = []
    for at, observed, is_partial, is_implausible in rows.order_by("bin_start").values_list(
        "bin_start", "observed_seconds", "is_partial", "is_implausible"
    ):
        family = families.get(_utc(at), "")
        if not observed and not is_implausible:
            continue
        before = stretches[-1] if stretches else None
        if before is None or before.family != family:
            before = FoundStretch(family, at, at, 0, 0, 0, 0)
            stretches.append(before)
        stretches[-1] = FoundStretch(
            family,
            before.start,
            at + HOUR,
            before.hours + bool(observed),
            before.missing + (at - before.end) // HOUR,
            before.partial + is_partial,
            before.implausible + is_implausible,
        )
    return stretches


def hours_together(service_findings: Sequence[StoredFinding]) -> int:
    """Return how many hours these findings concern together; an hour with several findings counts once."""
    days: dict[date, int] = {}
    for finding in service_findings:
        for day, mask in finding.days.items():
            days[day] = days.get(day, 0) | mask
    return sum(mask.bit_count() for mask in days.values())


def _utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC)


def _hour(day: date, number: int) -> datetime:
    return datetime.combine(day, time(tzinfo=UTC)) + timedelta(hours=number)
