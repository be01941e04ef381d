"""Which services need a decision: one query for all of them, or for some."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass

from django.db import connection

from apps.slos.objectives.decision_due import Question, due_reason

_QUESTIONS = """
SELECT r.service_id, r.id, r.sli_type, r.verdict, r.conservative, r.balanced, r.aggressive,
    CASE WHEN a.sli_type = 'availability' THEN a.target::float8 ELSE a.threshold_ms END,
    d.balanced, j.balanced
FROM slos_recommendation r
LEFT JOIN slos_activeslo a ON a.service_id = r.service_id AND a.sli_type = r.sli_type AND a.ended_at IS NULL
LEFT JOIN slos_recommendation d ON d.id = a.recommendation_id
LEFT JOIN LATERAL (
    SELECT balanced FROM slos_recommendation
    WHERE service_id = r.service_id AND sli_type = r.sli_type AND status = 'rejected'
      AND decided_at > coalesce(a.started_at, '-infinity')
    ORDER BY decided_at DESC LIMIT 1
) j ON true
WHERE r.status = 'current' AND r.verdict IN ('ok', 'cold_start')
    AND (%(all)s OR r.service_id = ANY(%(services)s))
ORDER BY r.service_id, r.sli_type
"""


@dataclass(frozen=True, slots=True)
class Due:
    """One decision that is due: on which recommendation, and why."""

    service: int
    recommendation_id: str
    sli_type: str
    reason: str


def due_reasons(services: Collection[int] | None = None) -> dict[int, list[Due]]:
    """Return the decisions that are due by service (primary key), of these services or of all."""
    with connection.cursor() as cursor:
        cursor.execute(_QUESTIONS, {"all": services is None, "services": list(services or ())})
        rows = cursor.fetchall()
    found: dict[int, list[Due]] = defaultdict(list)
    for service, recommendation, *question in rows:
        reason = due_reason(Question(*question))
        if reason is not None:
            found[service].append(Due(service, str(recommendation), question[0], reason))
    return dict(found)
