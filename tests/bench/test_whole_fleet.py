"""How long the whole way takes for 5,000 services with 90 days of hours: read, compute, store. Prints figures."""

from __future__ import annotations

import multiprocessing
import resource
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.db import connection

from apps.catalog.models import Dependency, Service
from apps.slos.making import compute
from apps.slos.models import Recommendation
from tests.bench.conftest import SERVICES, WINDOW
from tests.slos.conftest import DAY, HOUR, full_hour
from tests.vacuum import vacuum

DAYS, EDGES = 90, 25_000
LOOK_S = 0.5


@contextmanager
def most_memory_of_helpers() -> Iterator[dict[int, int]]:
    """Watch the processes that compute beside this one: the most that each has held, in kB, by its number."""
    most: dict[int, int] = {}
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(LOOK_S):
            for helper in multiprocessing.active_children():
                status = Path(f"/proc/{helper.pid}/status")
                lines = status.read_text().splitlines() if status.exists() else []
                for line in lines:
                    if line.startswith("VmHWM"):
                        most[helper.pid or 0] = int(line.split()[1])

    watching = threading.Thread(target=look)
    watching.start()
    try:
        yield most
    finally:
        ended.set()
        watching.join()


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
    with most_memory_of_helpers() as helpers:
        start = time.perf_counter()
        assert compute.refresh(None, reason="bench") == SERVICES
        taken = time.perf_counter() - start
    own, others = (
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        max(helpers.values(), default=0) / 1024,
    )
    print(f"\n{SERVICES:,} services, {DAYS} days of hours, {EDGES:,} edges: read, computed and stored")
    print(f"  {taken:.0f} s, {1000 * taken / SERVICES:.1f} ms a service")
    print(f"  most memory: this process {own:,.0f} MB, each helper at most {others:,.0f} MB   bar 3 GiB")
    assert Recommendation.objects.filter(status="current").count() == 3 * SERVICES
