"""What needs me now: figures of the whole fleet from rows that were computed ahead."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from django.db import connection
from django.db.models import Max
from django.utils import timezone

from apps.accounts.models import User
from apps.catalog.models import CycleAlert
from apps.catalog.queries import open_cycle_count, open_cycles
from apps.core.remembered import remembered
from apps.slos.models import ServiceStatus
from apps.slos.queries.recommendations import decisions_due_count

SHOWN = 8
CYCLES_SHOWN = 3

_TABLES = (
    *("catalog_service", "catalog_cyclealert", "accounts_team"),
    *("slos_servicestatus", "slos_recommendation"),
)

_FLEET = """
SELECT count(*), count(*) FILTER (WHERE NOT s.is_external),
    count(*) FILTER (WHERE NOT s.is_external AND st.target IS NOT NULL),
    count(*) FILTER (WHERE st.state = 'fine'), count(*) FILTER (WHERE st.state = 'attend'),
    count(*) FILTER (WHERE st.state = 'act'), count(*) FILTER (WHERE st.state = 'no_slo'),
    count(*) FILTER (WHERE st.state = 'no_data' OR st.state IS NULL),
    count(*) FILTER (WHERE st.budget_left <= 0),
    count(*) FILTER (WHERE st.budget_left > 0 AND st.state = 'act'),
    max(st.as_of), max(st.computed_at)
FROM catalog_service s LEFT JOIN slos_servicestatus st ON st.service_id = s.id
"""

_VERDICTS = """
SELECT verdict, count(*) FROM slos_recommendation
WHERE status = 'current' AND sli_type = 'availability' GROUP BY verdict ORDER BY verdict
"""


@dataclass(frozen=True, slots=True)
class Overview:
    """The fleet in figures, and the first few of each thing that needs somebody."""

    services: int
    own_services: int
    """Services of one's own, which could have an SLO: all but the external ones."""
    with_slo: int
    states: dict[str, int]
    spent: list[ServiceStatus]
    spent_count: int
    burning: list[ServiceStatus]
    burning_count: int
    decisions_count: int
    cycles_open: int
    cycles: list[CycleAlert]
    """The first few of the open ones."""
    verdicts: dict[str, int]
    newest_data: datetime | None
    data_age: timedelta | None
    computed_at: datetime | None

    @property
    def external(self) -> int:
        """Services of others, which have a published SLA and no SLO of ours."""
        return self.services - self.own_services

    @property
    def coverage(self) -> float | None:
        """The share of services of one's own that have an availability SLO."""
        return self.with_slo / self.own_services if self.own_services else None


def newest_data() -> datetime | None:
    """Return the end of the newest complete hour of any service, from rows that were computed ahead; ``None`` without.

    What every page shows, so it is not asked of the hours themselves, which are millions.
    """

    def read() -> datetime | None:
        newest: datetime | None = ServiceStatus.objects.aggregate(newest=Max("as_of"))["newest"]
        return newest

    return remembered("slos.newest_data", ("slos_servicestatus",), read)


def overview(user: User | None = None) -> Overview:
    """Return the overview as this user sees it: the decisions counted are those that they may take."""
    found = remembered("slos.overview", _TABLES, _read_overview)
    age = timezone.now() - found.newest_data if found.newest_data else None
    return replace(found, decisions_count=decisions_due_count(user), data_age=age)


def _read_overview() -> Overview:
    """Everything that is the same for all users at any time, until a table changes."""
    with connection.cursor() as cursor:
        cursor.execute(_FLEET)
        fleet = cursor.fetchone()
        cursor.execute(_VERDICTS)
        verdicts = dict(cursor.fetchall())
    assert fleet is not None
    services, own_services, with_slo, fine, attend, act, no_slo, no_data, spent, burning, newest, computed = (
        fleet
    )
    statuses = ServiceStatus.objects.select_related("service__team")
    return Overview(
        services=services,
        own_services=own_services,
        with_slo=with_slo,
        states={"fine": fine, "attend": attend, "act": act, "no_slo": no_slo, "no_data": no_data},
        # By state first: a budget that one or two failures spent (attend) comes after those that ask to act.
        spent=list(
            statuses.filter(budget_left__lte=0).order_by("state", "budget_left", "service__service_id")[
                :SHOWN
            ]
        )
        if spent
        else [],
        spent_count=spent,
        burning=list(
            statuses.filter(state="act", budget_left__gt=0).order_by("-burn_1h", "service__service_id")[
                :SHOWN
            ]
        )
        if burning
        else [],
        burning_count=burning,
        decisions_count=0,
        cycles_open=open_cycle_count(),
        cycles=open_cycles(limit=CYCLES_SHOWN, with_people=False),
        verdicts=verdicts,
        newest_data=newest,
        data_age=None,
        computed_at=computed,
    )
