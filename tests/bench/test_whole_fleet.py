"""How long the whole way takes for 5,000 services with 90 days of hours: read, compute, store. Prints figures."""

from __future__ import annotations

import resource
import time

import pytest
from django.db import connection

from apps.catalog.models import Dependency, Service
from apps.slos import compute
from apps.slos.models import Recommendation
from tests.bench.conftest import SERVICES, WINDOW
from tests.slos.conftest import DAY, HOUR, full_hour
from tests.vacuum import vacuum

DAYS, EDGES = 90, 25_000


@pytest.mark.django_db(transaction=True, databases=["default", "owner"])
def test_a_whole_fleet_from_its_hours_to_stored_recommendations(fleet: list[Service]) -> None:
    extra = list(Dependency.objects.order_by("pk").values_list("pk", flat=True)[EDGES:])
    Dependency.objects.filter(pk__in=extra).delete()
    end = full_hour()
    with connection.cursor() as cursor:
        cursor.execute("SELECT telemetry_ensure_partitions(%s, %s)", [(end - DAYS * DAY).date(), end.date()])
        cursor.execute(
            "INSERT INTO telemetry_slihour (service_id, bin_start, total, bad, observed_seconds)"
            " SELECT s.id, h, 10000, floor(random() * 12), 3600 FROM catalog_service s,"
            " generate_series(%s, %s, interval '1 hour') h",
            [end - DAYS * DAY, end - WINDOW * DAY - HOUR],
        )
    vacuum("telemetry_slihour", "catalog_dependency")
    start = time.perf_counter()
    assert compute.refresh(None, reason="bench") == SERVICES
    taken = time.perf_counter() - start
    own, others = (
        resource.getrusage(who).ru_maxrss / 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    print(f"\n{SERVICES:,} services, {DAYS} days of hours, {EDGES:,} edges: read, computed and stored")
    print(f"  {taken:.0f} s, {1000 * taken / SERVICES:.1f} ms a service")
    print(f"  most memory: this process {own:,.0f} MB, each helper at most {others:,.0f} MB   bar 3 GiB")
    assert Recommendation.objects.filter(status="current").count() == 3 * SERVICES
