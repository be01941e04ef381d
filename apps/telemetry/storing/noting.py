"""Stores the findings of readings, and the family that they read, by service and UTC day.

A day's hours are bits of one number. Reading an hour again replaces its findings if its new counts are stored. If they
are refused, the findings of the stored counts stay.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

from django.db import connection
from django.db.backends.utils import CursorWrapper

from apps.core.database import scratch
from apps.telemetry.clients.base import AvailabilityReading, EdgeReading, LatencyReading, ReadingQuality
from apps.telemetry.findings import KINDS
from apps.telemetry.models import ContestedHour
from apps.telemetry.storing.replacing import Reading

HOUR = 3600
DAY = 86_400
FILES = "files"
"""The name of the family for data from files."""

_PARTIAL, _CONTESTED = "partial", "contested"
_WARNINGS_SHOWN = 3
_LATENCY_KINDS = sorted(name for name, kind in KINDS.items() if kind.concerns == "latency")
#: The noun for each measure in a sentence.
_NOUNS: Mapping[str, str] = {
    ContestedHour.Measure.REQUESTS: "requests",
    ContestedHour.Measure.CALLS: "calls to others",
    ContestedHour.Measure.LATENCY: "timed requests",
}

_DAY_OF = "(bin_start AT TIME ZONE 'UTC')::date"
_BIT_OF = "1 << extract(hour FROM bin_start AT TIME ZONE 'UTC')::integer"

# `judged` are the hours that a reading has data of, `known` those whose new counts are stored or equal, `refused`
# those whose new counts are not stored.
_JUDGED = f"""
    INSERT INTO judged_day
    SELECT service_id, day, measure, coalesce(bit_or(bit), 0) AS judged,
           coalesce(bit_or(bit) FILTER (WHERE verdict IN ('take', 'agree')), 0) AS known,
           coalesce(bit_or(bit) FILTER (WHERE verdict IN ('keep', 'contest')), 0) AS refused
    FROM (
        SELECT service_id, {_DAY_OF} AS day, 'requests' AS measure, {_BIT_OF} AS bit, verdict
        FROM judged_requests WHERE verdict <> 'nothing'
        UNION ALL
        SELECT service_id, {_DAY_OF}, 'latency', {_BIT_OF}, 'take' FROM judged_requests WHERE fine_bins > 0
        UNION ALL
        SELECT service_id, {_DAY_OF}, 'calls', {_BIT_OF}, verdict FROM judged_calls
        UNION ALL
        SELECT service_id, {_DAY_OF}, 'latency', {_BIT_OF}, verdict FROM judged_latency
    ) hours GROUP BY service_id, day, measure
"""  # noqa: S608

_JUDGED_COLUMNS = {
    "service_id": "bigint",
    "day": "date",
    "measure": "text",
    "judged": "integer",
    "known": "integer",
    "refused": "integer",
}
_NOTED_COLUMNS = {
    "service_id": "bigint",
    "day": "date",
    "kind": "text",
    "subject": "text",
    "hours": "integer",
    "detail": "jsonb",
}

_NOTE = """
    INSERT INTO noted_finding
    SELECT * FROM unnest(%s::bigint[], %s::date[], %s::text[], %s::text[], %s::integer[], %s::jsonb[])
"""

# Hours that are stored as partial after this reading, whichever reading they came from.
_NOTE_PARTIAL = f"""
    INSERT INTO noted_finding
    SELECT service_id, {_DAY_OF}, '{_PARTIAL}', '{{measure}}', bit_or({_BIT_OF}), %(detail)s::jsonb
    FROM judged_{{measure}}
    WHERE verdict <> 'nothing' AND CASE WHEN verdict = 'take' THEN is_partial ELSE was_partial END
    GROUP BY 1, 2
"""  # noqa: S608

_NOTE_CONTESTED = f"""
    INSERT INTO noted_finding
    SELECT service_id, day, '{_CONTESTED}', '{{measure}}', bit_or(bit), jsonb_build_object(
        'what', CASE WHEN bool_or(is_gone) THEN %(noun)s || ' that can be true'
                     WHEN min(left_of_total) < 1 THEN %(noun)s ELSE 'failures' END,
        'share', greatest(1, floor(100 * (1 - max(CASE WHEN is_gone THEN 0
            WHEN left_of_total < 1 THEN left_of_total ELSE left_of_bad END)))) || ' %%')
    FROM (SELECT service_id, {_DAY_OF} AS day, {_BIT_OF} AS bit, observed = 0 AS is_gone,
                 total / nullif(was_total, 0) AS left_of_total, bad / nullif(was_bad, 0) AS left_of_bad
          FROM judged_{{measure}} WHERE contest IN ('opened', 'seen')) hours
    GROUP BY service_id, day
"""  # noqa: S608

_TELL_PARTIAL = f"""
    UPDATE noted_finding n SET detail = told.detail
    FROM unnest(%s::bigint[], %s::jsonb[]) AS told (service_id, detail)
    WHERE n.service_id = told.service_id AND n.kind = '{_PARTIAL}' AND n.subject = 'requests'
"""  # noqa: S608

_MERGE_FINDINGS = f"""
    INSERT INTO telemetry_finding (service_id, day, kind, subject, hours, detail, first_seen_at, updated_at)
    SELECT m.service_id, m.day, m.kind, m.subject, m.hours, m.detail, %(now)s, %(now)s
    FROM (
        SELECT b.service_id, b.day, b.kind, b.subject, b.is_known, b.detail,
               (b.was & ~coalesce(CASE WHEN b.kind = '{_PARTIAL}' THEN j.judged ELSE j.known END, 0))
               | (b.found & ~CASE WHEN b.kind IN ('{_PARTIAL}', '{_CONTESTED}') THEN 0
                                  ELSE coalesce(j.refused, 0) END) AS hours
        FROM (
            SELECT service_id, day, kind, subject, f.service_id IS NOT NULL AS is_known,
                   coalesce(f.hours, 0) AS was, coalesce(n.hours, 0) AS found, coalesce(n.detail, f.detail) AS detail
            FROM (SELECT * FROM telemetry_finding
                  WHERE service_id = ANY(%(services)s) AND day BETWEEN %(first)s AND %(last)s) f
            FULL JOIN noted_finding n USING (service_id, day, kind, subject)
        ) b
        LEFT JOIN judged_day j ON j.service_id = b.service_id AND j.day = b.day AND j.measure = CASE
            WHEN b.kind IN ('{_PARTIAL}', '{_CONTESTED}') THEN b.subject
            WHEN b.kind = ANY(%(latency)s) THEN 'latency' ELSE 'requests' END
    ) m
    WHERE m.is_known OR m.hours > 0
    ON CONFLICT (service_id, day, kind, subject) DO UPDATE SET
        hours = EXCLUDED.hours, detail = EXCLUDED.detail, updated_at = EXCLUDED.updated_at
    WHERE (EXCLUDED.hours, EXCLUDED.detail) IS DISTINCT FROM (telemetry_finding.hours, telemetry_finding.detail)
"""  # noqa: S608

_FORGET = """
    DELETE FROM {table}
    WHERE hours = 0 AND service_id = ANY(%(services)s) AND day BETWEEN %(first)s AND %(last)s
"""

_MERGE_STRETCHES = """
    INSERT INTO telemetry_stretch (service_id, day, family, hours)
    SELECT service_id, day, b.family,
           (b.was & ~coalesce(j.known, 0)) | (b.found & ~coalesce(j.refused, 0))
    FROM (
        SELECT service_id, day, family, coalesce(s.hours, 0) AS was, coalesce(n.hours, 0) AS found
        FROM (SELECT * FROM telemetry_stretch
              WHERE service_id = ANY(%(services)s) AND day BETWEEN %(first)s AND %(last)s) s
        FULL JOIN (SELECT * FROM unnest(%(pks)s::bigint[], %(days)s::date[], %(families)s::text[],
                   %(masks)s::integer[]) AS n (service_id, day, family, hours)) n USING (service_id, day, family)
    ) b
    LEFT JOIN (SELECT * FROM judged_day WHERE measure = 'requests') j USING (service_id, day)
    ON CONFLICT (service_id, day, family) DO UPDATE SET hours = EXCLUDED.hours
    WHERE EXCLUDED.hours <> telemetry_stretch.hours
"""


def note_reading(
    reading: Reading,
    known: Mapping[str, int],
    services: Sequence[str],
    span: tuple[datetime, datetime],
    availability: AvailabilityReading,
    latency: LatencyReading,
    edges: EdgeReading,
) -> None:
    """Store the findings of a reading in the transaction in which its data were stored.

    Parameters:
        known: primary key of every service.
        services: the services that were read.
        span: the time that was asked for.
    """
    last = int(span[1].timestamp()) - 1
    values: dict[str, list[int] | list[str] | date | datetime] = {
        "services": [known[service_id] for service_id in services],
        "first": span[0].astimezone(UTC).date(),
        "last": _day(last),
        "now": reading.now,
        "latency": _LATENCY_KINDS,
    }
    parts = {
        ContestedHour.Measure.REQUESTS: availability.quality,
        ContestedHour.Measure.CALLS: edges.quality,
        ContestedHour.Measure.LATENCY: latency.quality,
    }
    together = ReadingQuality()
    for part in parts.values():
        together.merge(part)
    with connection.cursor() as cursor:
        scratch.make(cursor, "judged_day", _JUDGED_COLUMNS, until_commit=True)
        scratch.make(cursor, "noted_finding", _NOTED_COLUMNS, until_commit=True)
        cursor.execute(_JUDGED)
        _note_findings(cursor, known, (int(span[0].timestamp()), last), together)
        for measure, part in parts.items():
            detail = json.dumps({"words": _partial_words(measure, part)})
            cursor.execute(_NOTE_PARTIAL.format(measure=measure), {"detail": detail})
            cursor.execute(_NOTE_CONTESTED.format(measure=measure), {"noun": _NOUNS[measure]})
        partial = [
            (known[service_id], json.dumps(finding.detail))
            for service_id, findings in together.findings.items()
            for finding in findings
            if finding.kind == _PARTIAL and finding.detail.get("words") and service_id in known
        ]
        if partial:
            cursor.execute(_TELL_PARTIAL, _columns(partial, 2))
        cursor.execute(_MERGE_FINDINGS, values)
        cursor.execute(_FORGET.format(table="telemetry_finding"), values)
        stretches = _columns(_stretch_rows(known, availability), 4)
        names = ("pks", "days", "families", "masks")
        cursor.execute(_MERGE_STRETCHES, values | dict(zip(names, stretches, strict=True)))
        cursor.execute(_FORGET.format(table="telemetry_stretch"), values)


def _note_findings(
    cursor: CursorWrapper, known: Mapping[str, int], span: tuple[int, int], quality: ReadingQuality
) -> None:
    rows = [
        (known[service_id], day, finding.kind, finding.subject, mask, json.dumps(finding.detail))
        for service_id, findings in quality.findings.items()
        if service_id in known
        for finding in findings
        # These two kinds depend on what is stored, which a reading does not know.
        if finding.kind not in {_PARTIAL, _CONTESTED}
        for day, mask in by_day(hour for hour in finding.hours if span[0] <= hour <= span[1])
    ]
    if rows:
        cursor.execute(_NOTE, _columns(rows, 6))


def _stretch_rows(
    known: Mapping[str, int], availability: AvailabilityReading
) -> Iterator[tuple[int, date, str, int]]:
    for service_id, stretches in availability.stretches.items():
        bins = availability.series.get(service_id)
        if bins is None or service_id not in known:
            continue
        read = sorted({*bins.at, *bins.implausible})
        masks: dict[tuple[str, date], int] = {}
        for stretch in stretches:
            for day, mask in by_day(at for at in read if stretch.start <= at < stretch.end):
                masks[stretch.family, day] = masks.get((stretch.family, day), 0) | mask
        for (family, day), mask in masks.items():
            yield known[service_id], day, family, mask


def _partial_words(measure: str, quality: ReadingQuality) -> str:
    reason = (
        "; ".join(one.rstrip(". ") for one in quality.warnings[:_WARNINGS_SHOWN])
        or "the source did not say why"
    )
    return reason if measure == ContestedHour.Measure.REQUESTS else f"{_NOUNS[measure]}, {reason}"


def by_day(hours: Iterable[int]) -> Iterator[tuple[date, int]]:
    """Yield the days of some instants (Unix seconds), each with its hours as bits."""
    masks: dict[int, int] = {}
    for at in hours:
        masks[at // DAY] = masks.get(at // DAY, 0) | 1 << at % DAY // HOUR
    for number, mask in masks.items():
        yield _day(number * DAY), mask


def _day(at: int) -> date:
    return datetime.fromtimestamp(at, UTC).date()


def _columns(rows: Iterable[Sequence[Any]], width: int) -> list[Any]:
    listed = list(rows)
    return [[row[column] for row in listed] for column in range(width)]


# Changes by files. Rows of `stage_changed` have service_id, the day's number, and its hours that the files cover from
# end to end (`whole`) and in part (`part`).

_CLEAR_FINDINGS = f"""
    WITH cleared AS (
        UPDATE telemetry_finding f SET hours = f.hours & ~c.whole, updated_at = now()
        FROM stage_changed c
        WHERE f.service_id = c.service_id AND f.day = date '1970-01-01' + c.day::integer
          AND f.hours & c.whole <> 0 AND f.kind <> ALL(%(latency)s)
          AND (f.kind NOT IN ('{_PARTIAL}', '{_CONTESTED}') OR f.subject = 'requests')
        RETURNING f.service_id
    ) SELECT DISTINCT service_id FROM cleared
"""  # noqa: S608

_SETTLE = """
    DELETE FROM telemetry_contestedhour h USING stage_changed c
    WHERE h.measure = 'requests' AND h.service_id = c.service_id
      AND (h.bin_start AT TIME ZONE 'UTC')::date = date '1970-01-01' + c.day::integer
      AND c.whole >> extract(hour FROM h.bin_start AT TIME ZONE 'UTC')::integer & 1 = 1
"""

_CLEAR_STRETCHES = """
    UPDATE telemetry_stretch s SET hours = s.hours & ~c.whole FROM stage_changed c
    WHERE s.service_id = c.service_id AND s.day = date '1970-01-01' + c.day::integer
      AND s.family <> %(files)s AND s.hours & c.whole <> 0
"""

_NOTE_FILES = """
    INSERT INTO telemetry_stretch (service_id, day, family, hours)
    SELECT service_id, date '1970-01-01' + day::integer, %(files)s, whole | (part & ~coalesce(others, 0))
    FROM stage_changed c LEFT JOIN (
        SELECT service_id AS id, s.day - date '1970-01-01' AS number, bit_or(s.hours) AS others
        FROM telemetry_stretch s WHERE family <> %(files)s GROUP BY 1, 2
    ) o ON o.id = c.service_id AND o.number = c.day
    WHERE whole | (part & ~coalesce(others, 0)) <> 0
    ON CONFLICT (service_id, day, family) DO UPDATE SET hours = telemetry_stretch.hours | EXCLUDED.hours
    WHERE telemetry_stretch.hours & EXCLUDED.hours <> EXCLUDED.hours
"""


def note_files(cursor: CursorWrapper) -> None:
    """Note that hours came from files, and remove the findings of readings about them."""
    values: dict[str, str | list[str]] = {"files": FILES, "latency": _LATENCY_KINDS}
    cursor.execute(
        "SELECT EXISTS (SELECT FROM telemetry_finding), EXISTS (SELECT FROM telemetry_contestedhour)"
    )
    has_findings, has_contests = cursor.fetchone()
    if has_findings:
        cursor.execute(_CLEAR_FINDINGS, values)
        cleared = [pk for (pk,) in cursor.fetchall()]
        cursor.execute("DELETE FROM telemetry_finding WHERE hours = 0 AND service_id = ANY(%s)", [cleared])
    if has_contests:
        cursor.execute(_SETTLE)
    cursor.execute(_CLEAR_STRETCHES, values)
    if cursor.rowcount:
        cursor.execute("DELETE FROM telemetry_stretch WHERE hours = 0")
    cursor.execute(_NOTE_FILES, values)
