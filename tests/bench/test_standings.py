"""How long the budgets of a fleet's latency SLOs take to count. Prints figures; the whole hourly refresh has 10 s."""

from __future__ import annotations

import time

import pytest
from django.db import connection
from django.utils import timezone

from apps.catalog.models import Service
from apps.slos.models import SloStanding
from apps.slos.objectives import status
from apps.slos.objectives.latency_counts import latency_counts
from tests.bench.conftest import SERVICES, WINDOW
from tests.slos.conftest import DAY, HOUR, full_hour
from tests.vacuum import vacuum

BUCKETS = 12
MEASURED = SERVICES // 5


@pytest.mark.django_db(transaction=True, databases=["default", "owner"])
def test_latency_budgets(fleet: list[Service]) -> None:
    """A fifth of the fleet has two latency SLOs each, on histograms of twelve buckets."""
    end = full_hour()
    bounds = [10.0 * 2**n for n in range(BUCKETS - 1)] + [float("inf")]
    cumulative = [10_000 * (1 - 0.5 ** (n + 1)) for n in range(BUCKETS - 1)] + [10_000.0]
    services = [service.pk for service in fleet[:MEASURED]]
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO telemetry_latencyhour (service_id, bin_start, bounds_ms, cumulative)"
            " SELECT s, h, %s, %s FROM unnest(%s::bigint[]) s, generate_series(%s, %s, interval '1 hour') h",
            [bounds, cumulative, services, end - WINDOW * DAY, end - HOUR],
        )
        cursor.execute(
            "INSERT INTO slos_activeslo (service_id, sli_type, target, threshold_ms, window_days, source, tier,"
            " rationale, started_by_name, basis, version)"
            " SELECT s, t.name, t.share, 150, 28, 'manual', '', '', 'bench', 'requests', 1"
            " FROM unnest(%s::bigint[]) s, (VALUES ('latency_p95', 0.95), ('latency_p99', 0.99)) t(name, share)",
            [services],
        )
    vacuum("telemetry_latencyhour", "telemetry_slihour", "slos_activeslo")
    status.refresh()
    assert SloStanding.objects.count() == SERVICES // 2 + 2 * MEASURED
    times = []
    for _ in range(3):
        start = time.perf_counter()
        found = latency_counts(None, timezone.now())
        times.append(time.perf_counter() - start)
    middle = sorted(times)[1]
    hours = len(found) * WINDOW * 24
    start = time.perf_counter()
    status.refresh(services[: SERVICES // 20])
    twentieth = time.perf_counter() - start
    print(
        f"\nlatency budgets: {len(found):,} SLOs, {hours:,} hours in {middle:.1f} s ({middle / hours * 1e6:.1f} µs an"
        f" hour); standings of a twentieth of the fleet, both latencies and availability, in {twentieth:.1f} s"
    )
