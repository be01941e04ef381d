"""How long pages take at full size, at the server: 5,000 services, each with its recommendations. Prints
figures, asserts on none.
"""

from __future__ import annotations

import pytest
from django.db import connection, connections
from django.test import Client

from apps.catalog.models import Service
from apps.slos.making import compute
from apps.slos.objectives import status
from tests.bench.conftest import EDGES, SERVICES
from tests.bench.timing import p95, show
from tests.slos.conftest import make_user

COMPUTED = 40
"""Services whose recommendations are really computed; the others get copies of theirs."""
TIMES = 30

_COPIES = """
INSERT INTO slos_recommendation ({columns}) SELECT {values}
FROM catalog_service s JOIN slos_recommendation r ON r.service_id = %(first)s + mod(s.id - %(first)s, %(computed)s)
WHERE s.id >= %(first)s + %(computed)s AND r.status = 'current'
"""


@pytest.mark.django_db(transaction=True, databases=["default", "owner"])
def test_pages_at_full_size(fleet: list[Service]) -> None:
    recommend_all(fleet)
    client = Client()
    client.force_login(make_user("sam", "sre_admin"))

    def get(path: str) -> None:
        """One request; the first of each page, which compiles its template, is not counted."""
        answer = client.get(path)
        assert answer.status_code == 200, (path, answer.status_code)

    print(f"\nPages at the server: {SERVICES:,} services, {EDGES:,} edges, {SERVICES * 3:,} recommendations")
    for name, path in {
        "overview": "/",
        "services": "/services/",
        "services, searched": "/services/?q=service-12",
        "services, last page by budget": "/services/?sort=budget&page=100",
        "recommendations": "/recommendations/",
        "recommendations, searched": "/recommendations/?q=service-12",
        "budgets": "/slos/",
        "map around one service": "/map/service-0007/",
        "telemetry": "/telemetry/",
        "imports": "/imports/",
        "audit": "/audit/",
    }.items():
        get(path)
        bar = "50 ms" if path == "/" else "100 ms"
        show(name, *p95(lambda _, path=path: get(path), TIMES), bar)  # type: ignore[misc]
    get(f"/services/service-{COMPUTED:04}/")
    show("service", *p95(lambda at: get(f"/services/service-{at:04}/"), TIMES), "50 ms")


def recommend_all(fleet: list[Service]) -> None:
    """Give every service recommendations and a status."""
    compute.refresh([service.pk for service in fleet[:COMPUTED]], reason="bench")
    copy_recommendations(fleet)
    status.refresh()


def copy_recommendations(fleet: list[Service]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT column_name FROM information_schema.columns WHERE table_name = 'slos_recommendation'"
            " AND is_identity = 'NO' AND is_generated = 'NEVER' ORDER BY ordinal_position"
        )
        names = [name for (name,) in cursor.fetchall()]
        own = {"id": "gen_random_uuid()", "service_id": "s.id"}
        cursor.execute(
            _COPIES.format(
                columns=", ".join(names), values=", ".join(own.get(name, f"r.{name}") for name in names)
            ),
            {"first": fleet[0].pk, "computed": COMPUTED},
        )
    with connections["owner"].cursor() as cursor:
        cursor.execute("ANALYZE slos_recommendation")
