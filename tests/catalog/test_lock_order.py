"""Writers of several services take them in one order, so none waits for another that waits for it."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.db import connection, connections, transaction
from django.utils import timezone

from apps.catalog.models import Service
from apps.catalog.services import upsert_graph

# Live, unlike pg_stat_activity, which a transaction sees as it was when it first looked.
_WAITS_FOR_ME = (
    "SELECT count(*) FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY (pg_blocking_pids(pid))"
)


def import_both(found: list[Any]) -> None:
    """Change both services, the later one first, as a file may name them."""
    try:
        with transaction.atomic():
            rows = [{"service_id": name, "criticality": "critical"} for name in ("late", "early")]
            found.append(upsert_graph(rows, [], discovery_source="manual", observed_at=timezone.now()))
    except Exception as error:
        found.append(error)
    finally:
        connections.close_all()


@pytest.mark.django_db(transaction=True)
def test_an_import_waits_for_the_first_without_holding_the_second() -> None:
    early = Service.objects.create(service_id="early")
    late = Service.objects.create(service_id="late")
    assert early.pk < late.pk
    found: list[Any] = []
    other = threading.Thread(target=import_both, args=(found,))
    with transaction.atomic():
        Service.objects.select_for_update(no_key=True).get(pk=early.pk)
        other.start()
        waiting = 0
        while not waiting and other.is_alive():
            with connection.cursor() as cursor:
                cursor.execute(_WAITS_FOR_ME)
                (waiting,) = cursor.fetchone() or (0,)
        assert waiting == 1
        # Had the import taken the later one first, this would be refused.
        assert Service.objects.select_for_update(no_key=True, nowait=True).get(pk=late.pk) == late
    other.join()
    assert found[0]["services"]["updated"] == 2
    assert set(Service.objects.values_list("criticality", flat=True)) == {"critical"}
