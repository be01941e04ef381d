"""How long the hourly refresh takes where a twentieth of 5,000 services changed. Prints figures beside their bar."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from apps.catalog.models import Dependency, Service
from apps.slos.making import compute
from apps.slos.models import Recommendation, ServiceStatus
from apps.slos.objectives import status
from apps.telemetry.models import SliHour
from tests.bench.conftest import SERVICES, WINDOW
from tests.slos.conftest import DAY, HOUR, full_hour
from tests.vacuum import vacuum

EDGES = 25_000
CHANGED = SERVICES // 20

_COPY = """
INSERT INTO slos_recommendation (service_id, sli_type, status, verdict, balanced, conservative, aggressive, composite,
    confidence, document, shared, as_of, window_days, seed, generated_at, expires_at, version)
SELECT s.id, r.sli_type, 'current', r.verdict, r.balanced, r.conservative, r.aggressive, r.composite, r.confidence,
    r.document, r.shared, r.as_of, r.window_days, r.seed, r.generated_at, r.expires_at, 1
FROM catalog_service s CROSS JOIN slos_recommendation r
WHERE NOT EXISTS (SELECT FROM slos_recommendation t WHERE t.service_id = s.id)
"""
_DAYS = """
INSERT INTO telemetry_sliday (service_id, bin_start, total, bad, observed_seconds)
SELECT service_id, date_trunc('day', bin_start, 'UTC'), sum(total), sum(bad), sum(observed_seconds)
FROM telemetry_slihour GROUP BY 1, 2 ON CONFLICT DO NOTHING
"""


@pytest.mark.django_db(transaction=True, databases=["default", "owner"])
def test_an_hour_in_which_a_twentieth_changed(fleet: list[Service]) -> None:
    """What was not changed was made a day ago and has had no data since: it is prolonged."""
    extra = list(Dependency.objects.order_by("pk").values_list("pk", flat=True)[EDGES:])
    Dependency.objects.filter(pk__in=extra).delete()
    made = full_hour() - DAY
    SliHour.objects.filter(bin_start__gte=made).delete()
    with connection.cursor() as cursor:
        cursor.execute(_DAYS)
        assert compute.refresh([fleet[0].pk], reason="bench") == 1
        Recommendation.objects.update(expires_at=timezone.now() + timedelta(hours=1))
        cursor.execute(_COPY)
        status.refresh()
        cursor.execute(
            "INSERT INTO telemetry_slihour (service_id, bin_start, total, bad, observed_seconds)"
            " SELECT s.id, h, 10000, floor(random() * 12), 3600 FROM catalog_service s,"
            " generate_series(%s, %s, interval '1 hour') h WHERE s.id = ANY(%s)",
            [made, full_hour() - HOUR, [service.pk for service in fleet[:CHANGED]]],
        )
    vacuum("slos_recommendation", "slos_servicestatus", "telemetry_sliday", "telemetry_slihour")
    start, used = time.perf_counter(), time.process_time()
    judged = status.refresh()
    between = time.perf_counter()
    compute.prolong()
    prolonged = time.perf_counter()
    renewed = compute.refresh(None, reason="hourly refresh")
    end = time.perf_counter()
    print(
        f"\nAn hour in which {CHANGED} of {SERVICES:,} services changed, {EDGES:,} edges, {WINDOW} days of hours"
    )
    print(f"  {judged:,} statuses {between - start:>8.1f} s")
    print(f"  the others prolonged {prolonged - between:>8.1f} s")
    print(f"  {renewed:,} recommendations {end - prolonged:>8.1f} s")
    print(
        f"  together {end - start:>8.1f} s   bar 10 s   (processor of this process {time.process_time() - used:.1f} s)"
    )
    assert (judged, renewed) == (CHANGED, CHANGED)
    assert ServiceStatus.objects.count() == SERVICES
