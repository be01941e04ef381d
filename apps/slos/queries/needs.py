"""What waits for a decision, in the few groups that a first screen has room for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db import connection
from django.db.models import Case, IntegerField, QuerySet, Value, When

from apps.accounts.models import User
from apps.core.remembered import remembered
from apps.slos.models import ServiceStatus
from apps.slos.objectives.questions import due_reasons
from apps.slos.queries.recommendations import Decision, due_statuses, teams_decided_for

SHOWN = 5
_CRITICAL_FIRST = Case(
    *(
        When(service__criticality=level, then=Value(at))
        for at, level in enumerate(("critical", "high", "medium"))
    ),
    default=Value(3),
    output_field=IntegerField(),
)

_TEAMS = """
SELECT t.name, count(*), count(*) FILTER (WHERE st.target IS NOT NULL),
    count(*) FILTER (WHERE st.state = 'act'), count(*) FILTER (WHERE st.state = 'attend')
FROM catalog_service s JOIN accounts_team t ON t.id = s.team_id
LEFT JOIN slos_servicestatus st ON st.service_id = s.id
WHERE NOT s.is_external GROUP BY t.name ORDER BY t.name LIMIT %s
"""


@dataclass(frozen=True, slots=True)
class Needs:
    """The decisions due: ``review`` holds services with an SLO, ``without_slo`` the others."""

    review: list[Decision]
    review_count: int
    without_slo: list[str]
    """The first few names, the most critical first."""
    without_slo_count: int


@dataclass(frozen=True, slots=True)
class TeamStanding:
    """How one team's own services stand."""

    name: str
    services: int
    with_slo: int
    act: int
    attend: int


def needs(user: User | None, *, limit: int = SHOWN) -> Needs:
    """Return the decisions due that this user may take: six queries at most, whatever the fleet's size."""
    return remembered(
        ("slos.needs", teams_decided_for(user), limit),
        ("slos_servicestatus", "slos_recommendation", "slos_activeslo", "catalog_service", "accounts_team"),
        lambda: _read_needs(due_statuses(user), limit),
    )


def _read_needs(due: QuerySet[ServiceStatus], limit: int) -> Needs:
    with_slo, without_slo = due.filter(target__isnull=False), due.filter(target__isnull=True)
    review = list(_first(with_slo.select_related("service__team"), limit))
    reasons = due_reasons([status.pk for status in review]) if review else {}
    return Needs(
        review=[Decision(one.service, one, reasons[one.pk]) for one in review if one.pk in reasons],
        review_count=with_slo.count(),
        without_slo=[
            status.service.service_id for status in _first(without_slo.select_related("service"), limit)
        ],
        without_slo_count=without_slo.count(),
    )


def _first(statuses: Any, limit: int) -> Any:
    return statuses.order_by(_CRITICAL_FIRST, "service__service_id")[:limit]


def team_standings(limit: int = 12) -> list[TeamStanding]:
    """Return how each team's services stand, external ones left out."""

    def read() -> list[TeamStanding]:
        with connection.cursor() as cursor:
            cursor.execute(_TEAMS, [limit])
            return [TeamStanding(*row) for row in cursor.fetchall()]

    tables = ("catalog_service", "accounts_team", "slos_servicestatus")
    return remembered(("slos.team_standings", limit), tables, read)
