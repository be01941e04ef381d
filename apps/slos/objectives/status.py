"""Keeps :class:`ServiceStatus` and :class:`SloStanding` true: one pass over the hours of the services that changed."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Max, Q

from apps.catalog.models import Service
from apps.core import instants
from apps.slos.models import ActiveSlo, ServiceStatus, SloStanding
from apps.slos.objectives.latency_counts import WINDOWS, SloCounts, latency_counts
from apps.slos.objectives.questions import Due, due_reasons
from apps.slos.objectives.standing import STALE_AFTER, BadEvent, Counts, Standing, judge
from apps.telemetry.queries import NEWEST_END

BATCH = 1_000
_BURNS = tuple(f"burn_{name}" for name in WINDOWS)

# ``ends`` finds each service's newest complete hour by one index probe for each partition; ``sums`` then reads every
# hour of the windows once. Bins later than the clock do not count, whatever a source sends.
_COUNTS = f"""
WITH ends AS MATERIALIZED (
    SELECT s.id, a.id AS slo_id, a.target, coalesce(a.window_days, %(window)s) AS window_days,
        {NEWEST_END} AS as_of
    FROM catalog_service s
    LEFT JOIN slos_activeslo a ON a.service_id = s.id AND a.sli_type = 'availability' AND a.ended_at IS NULL
    WHERE %(all)s OR s.id = ANY(%(services)s)
), sums AS (
    SELECT e.id, sum(h.total) AS total, sum(h.bad) AS bad,
        coalesce(sum(h.total) FILTER (WHERE h.bin_start >= e.as_of - interval '1 hour'), 0) AS total_1h,
        coalesce(sum(h.bad) FILTER (WHERE h.bin_start >= e.as_of - interval '1 hour'), 0) AS bad_1h,
        coalesce(sum(h.total) FILTER (WHERE h.bin_start >= e.as_of - interval '6 hours'), 0) AS total_6h,
        coalesce(sum(h.bad) FILTER (WHERE h.bin_start >= e.as_of - interval '6 hours'), 0) AS bad_6h,
        coalesce(sum(h.total) FILTER (WHERE h.bin_start >= e.as_of - interval '1 day'), 0) AS total_1d,
        coalesce(sum(h.bad) FILTER (WHERE h.bin_start >= e.as_of - interval '1 day'), 0) AS bad_1d,
        coalesce(sum(h.total) FILTER (WHERE h.bin_start >= e.as_of - interval '3 days'), 0) AS total_3d,
        coalesce(sum(h.bad) FILTER (WHERE h.bin_start >= e.as_of - interval '3 days'), 0) AS bad_3d
    FROM ends e JOIN telemetry_slihour h
        ON h.service_id = e.id AND h.bin_start < e.as_of
        AND h.bin_start >= e.as_of - make_interval(days => e.window_days)
    WHERE h.bin_start >= %(now)s::timestamptz - interval '10 years'
    GROUP BY e.id
)
SELECT e.id, e.slo_id, e.target, e.window_days, e.as_of, coalesce(s.total, 0), coalesce(s.bad, 0),
    coalesce(s.total_1h, 0), coalesce(s.bad_1h, 0), coalesce(s.total_6h, 0), coalesce(s.bad_6h, 0),
    coalesce(s.total_1d, 0), coalesce(s.bad_1d, 0), coalesce(s.total_3d, 0), coalesce(s.bad_3d, 0),
    (SELECT count(*) FROM telemetry_slihour h WHERE h.service_id = e.id AND h.is_implausible
       AND h.bin_start >= coalesce(e.as_of, %(now)s::timestamptz - interval '7 days')) AS left_out
FROM ends e LEFT JOIN sums s ON s.id = e.id ORDER BY e.id
"""  # noqa: S608


# What a status depends on has changed: the newest hour, the SLO, or how far the service is behind the fleet. ``since``
# marks hours that were read again, whose counts may have changed in place.
_CHANGED = f"""
WITH ends AS MATERIALIZED (
    SELECT s.id, {NEWEST_END} AS as_of
    FROM catalog_service s
)
SELECT e.id FROM ends e
LEFT JOIN slos_servicestatus t ON t.service_id = e.id
LEFT JOIN slos_activeslo a ON a.service_id = e.id AND a.sli_type = 'availability' AND a.ended_at IS NULL
WHERE t.service_id IS NULL OR e.as_of IS DISTINCT FROM t.as_of
    OR a.target::float8 IS DISTINCT FROM t.target OR coalesce(a.window_days, %(window)s) <> t.window_days
    OR t.state = 'counting' OR (t.state <> 'no_data' AND e.as_of < (SELECT max(as_of) FROM ends) - %(stale)s::interval)
    OR e.as_of > %(since)s::timestamptz
    OR EXISTS (SELECT FROM slos_activeslo b LEFT JOIN slos_slostanding g ON g.slo_id = b.id
               WHERE b.service_id = e.id AND b.ended_at IS NULL AND g.slo_id IS NULL)
"""  # noqa: S608


def changed(*, now: datetime | None = None, since: datetime | None = None) -> list[int]:
    """Return the services whose status is out of date; see :func:`refresh` for ``since``."""
    parameters: dict[str, Any] = {
        "now": now or instants.now(),
        "window": settings.WINDOW_DAYS,
        "stale": STALE_AFTER,
        "since": since,
    }
    with connection.cursor() as cursor:
        cursor.execute(_CHANGED, parameters)
        found = {pk for (pk,) in cursor.fetchall()}
    due: dict[int, list[str]] = {pk: [one.sli_type for one in some] for pk, some in due_reasons().items()}
    rows = ServiceStatus.objects.exclude(due_sli_types=[]).values_list("pk", "due_sli_types")
    noted: dict[int, list[str]] = {int(pk): list(types) for pk, types in rows}
    found.update(pk for pk in {*due, *noted} if due.get(pk, []) != noted.get(pk, []))
    return sorted(found)


def refresh(
    services: Collection[int] | None = None,
    *,
    now: datetime | None = None,
    since: datetime | None = None,
    everything: bool = False,
) -> int:
    """Compute the status of these services (primary keys), or of all that changed. Return how many.

    Without ``services``, a status stays as it is if neither its newest hour nor its SLO nor its due decisions have
    changed. Hours from ``since`` on were read again: services that have any count as changed. ``everything`` computes
    all. Idempotent: the rows are a function of hours, SLOs and recommendations. ``now`` is for tests.
    """
    now = now or instants.now()
    if services is None and not everything:
        services = changed(now=now, since=since)
        if not services:
            return 0
    with connection.cursor() as cursor:
        cursor.execute(
            _COUNTS,
            {
                "window": settings.WINDOW_DAYS,
                "now": now,
                "all": services is None,
                "services": list(services or ()),
            },
        )
        rows = cursor.fetchall()
    # The fleet's newest data, from the stored rows: asking the hours themselves would read all of them.
    known = ServiceStatus.objects.aggregate(newest=Max("as_of"))["newest"]
    newest = max(
        (end for end in [known, *(row[4] for row in rows)] if end is not None and end <= now), default=None
    )
    reasons = due_reasons(services)
    statuses = [_status(row, newest, now, due=reasons.get(row[0], ())) for row in rows]
    standings = [_as_standing(row[1], status) for row, status in zip(rows, statuses, strict=True) if row[1]]
    for start in range(0, len(statuses), BATCH):
        _store(statuses[start : start + BATCH])
    standings += [_latency_standing(counts, newest, now) for counts in latency_counts(services, now)]
    for start in range(0, len(standings), BATCH):
        _store_standings(standings[start : start + BATCH])
    return len(statuses)


def _status(
    row: Sequence[Any], newest: datetime | None, now: datetime, *, due: Sequence[Due]
) -> ServiceStatus:
    pk, _, target, window_days, as_of, total, bad, *windows, left_out = row
    pairs = {name: (windows[2 * at], windows[2 * at + 1]) for at, name in enumerate(("1h", "6h", "1d", "3d"))}
    ratio = None if target is None else float(target)
    standing: Standing = judge(Counts(as_of, total, bad, pairs, left_out), ratio, window_days, newest)
    burn = standing.burn or {}
    return ServiceStatus(
        service_id=pk,
        computed_at=now,
        as_of=as_of,
        observed=standing.observed,
        total=total,
        bad=bad,
        window_days=window_days,
        target=ratio,
        budget_left=standing.budget_left,
        burn_1h=burn.get("1h"),
        burn_6h=burn.get("6h"),
        burn_1d=burn.get("1d"),
        burn_3d=burn.get("3d"),
        exhausted_at=standing.exhausted_at,
        state=standing.state,
        decision_due=bool(due),
        due_sli_types=[one.sli_type for one in due],
        reason=standing.reason,
    )


def _store(statuses: list[ServiceStatus]) -> None:
    """Write one batch. Leaves out a service that was deleted meanwhile, and does not overwrite a later computation."""
    with transaction.atomic():
        # Locked in order, so that two refreshes at once wait for each other instead of deadlocking.
        alive = set(
            Service.objects.select_for_update(no_key=True)
            .filter(pk__in=[status.service_id for status in statuses])
            .order_by("pk")
            .values_list("pk", flat=True)
        )
        newer = set(
            ServiceStatus.objects.filter(
                Q(service__in=alive), Q(computed_at__gt=min(status.computed_at for status in statuses))
            ).values_list("pk", flat=True)
        )
        ServiceStatus.objects.bulk_create(
            [status for status in statuses if status.service_id in alive and status.service_id not in newer],
            update_conflicts=True,
            unique_fields=["service"],
            update_fields=[
                field.attname for field in ServiceStatus._meta.concrete_fields if not field.primary_key
            ],
        )


def _as_standing(slo_id: UUID, status: ServiceStatus) -> SloStanding:
    """Return the standing of a service's availability SLO, which its status has already."""
    shared = (
        "computed_at",
        "as_of",
        "total",
        "bad",
        "budget_left",
        "exhausted_at",
        "state",
        "reason",
        *_BURNS,
    )
    return SloStanding(slo_id=slo_id, **{name: getattr(status, name) for name in shared})


def _latency_standing(counts: SloCounts, newest: datetime | None, now: datetime) -> SloStanding:
    known = Counts(counts.as_of, *counts.window, {**counts.windows})
    event: BadEvent = "slow request" if counts.basis == ActiveSlo.LatencyBasis.REQUESTS else "slow bin"
    standing = judge(known, counts.target, counts.window_days, newest, event=event)
    burn = standing.burn or {}
    return SloStanding(
        slo_id=counts.slo_id,
        computed_at=now,
        as_of=counts.as_of,
        total=counts.window.total,
        bad=counts.window.bad,
        budget_left=standing.budget_left,
        exhausted_at=standing.exhausted_at,
        state=standing.state,
        reason=standing.reason,
        **{f"burn_{name}": burn.get(name) for name in WINDOWS},
    )


def _store_standings(standings: list[SloStanding]) -> None:
    """Write one batch. Leaves out SLOs that ended meanwhile, and does not overwrite a later computation."""
    with transaction.atomic():
        in_force = set(
            ActiveSlo.objects.select_for_update(no_key=True)
            .filter(pk__in=[one.slo_id for one in standings], ended_at=None)
            .order_by("pk")
            .values_list("pk", flat=True)
        )
        newer = set(
            SloStanding.objects.filter(
                slo__in=in_force, computed_at__gt=min(one.computed_at for one in standings)
            ).values_list("pk", flat=True)
        )
        SloStanding.objects.bulk_create(
            [one for one in standings if one.slo_id in in_force - newer],
            update_conflicts=True,
            unique_fields=["slo"],
            update_fields=[
                field.attname for field in SloStanding._meta.concrete_fields if not field.primary_key
            ],
        )
