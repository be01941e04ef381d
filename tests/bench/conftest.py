"""A fleet of full size: 5,000 services, 50,000 edges, 28 days of hours, an SLO for every second service."""

from __future__ import annotations

import random

import pytest
from django.db import connection
from django.utils import timezone

from apps.accounts.models import Team
from apps.catalog.models import Dependency, Service
from apps.telemetry.storing.aggregates import ensure_partitions
from tests.slos.conftest import DAY, HOUR, full_hour
from tests.vacuum import vacuum

SERVICES, EDGES = 5_000, 50_000
WINDOW = 28


@pytest.fixture
def fleet(transactional_db: None) -> list[Service]:
    end = full_hour()
    ensure_partitions((end - WINDOW * DAY).date(), end.date())
    teams = Team.objects.bulk_create(Team(name=f"team {n}") for n in range(40))
    services = Service.objects.bulk_create(
        Service(service_id=f"service-{n:04}", team=teams[n % 40]) for n in range(SERVICES)
    )
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO telemetry_slihour (service_id, bin_start, total, bad, observed_seconds)"
            " SELECT s.id, h, 10000, floor(random() * 12), 3600 FROM catalog_service s,"
            " generate_series(%s, %s, interval '1 hour') h",
            [end - WINDOW * DAY, end - HOUR],
        )
        cursor.execute(
            "INSERT INTO slos_activeslo (service_id, sli_type, target, window_days, source, tier, rationale,"
            " started_by_name, basis, version)"
            " SELECT id, 'availability', 0.999, 28, 'manual', '', '', 'bench', 'requests', 1"
            " FROM catalog_service WHERE mod(id, 2) = 0"
        )
    draw = random.Random(7)
    pairs = {(draw.randrange(SERVICES), draw.randrange(SERVICES)) for _ in range(EDGES + 2_000)}
    Dependency.objects.bulk_create(
        [
            Dependency(
                source=services[source],
                target=services[target],
                calls_per_request=draw.random(),
                last_observed_at=timezone.now(),
                confidence=0.9,
            )
            for source, target in sorted(pairs)
            if source != target
        ][:EDGES],
        batch_size=5_000,
    )
    vacuum("catalog_dependency", "telemetry_slihour", "slos_activeslo", "catalog_service")
    return services
