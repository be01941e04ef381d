"""A backfill whose workers are killed again and again goes on after what is stored, and comes to its end."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial

import pytest

from tests.faults.running_runs import Console
from tests.house.running import ROOT, environment, until_gone
from tests.house.waiting import until
from tests.telemetry.prometheus_server import Form, Reply, Server, matrix, serving, success

SERVICES, DAYS = 6, 300
"""So many hours that each service is a batch of its own."""
# More often than a run may be begun without getting further.
KILLED_AFTER = (1, 2, 3, 4)
NAMED = re.compile(r"shop-(\d)")
ACCEPT = f"""
from datetime import timedelta
from apps.catalog.models import Service
from apps.core import instants
from apps.core.actions import Actor
from apps.core.instants import whole_hour
from apps.telemetry.models import TelemetryRun
from apps.telemetry.services import Reading, request_run
for number in range({SERVICES}):
    Service.objects.create(service_id=f"shop-{{number}}")
end = whole_hour(instants.now())
window = (end - timedelta(days={DAYS}), end)
run = request_run(
    TelemetryRun.Kind.BACKFILL, source="prometheus", parameters=Reading(), actor=Actor.system("tests"), window=window
)
print(run.pk)
"""


class Gate:
    """A Prometheus with no data that answers about a service only once it may."""

    def __init__(self) -> None:
        self.may_answer = [threading.Event() for _ in range(SERVICES)]
        self.reached: set[int] = set()

    def has_reached(self, number: int) -> bool:
        return number in self.reached

    def __call__(self, path: str, form: Form) -> Reply:
        if path.endswith("/label/__name__/values"):
            return success(["http_requests_total"])
        if path.endswith("/labels"):
            return success(["code"])
        if path.endswith("/status/buildinfo"):
            return success({"version": "3.1.0"})
        named = {int(found) for found in NAMED.findall(form["query"][0])}
        if len(named) == 1:  # What is asked about all of them at once is no reading of one.
            (number,) = named
            self.reached.add(number)
            self.may_answer[number].wait(60)
        return success(matrix())


@pytest.fixture
def gate() -> Iterator[tuple[Gate, Server]]:
    gate = Gate()
    with serving(gate) as server:
        yield gate, server
        for event in gate.may_answer:
            event.set()


def asked(server: Server, since: int) -> set[int]:
    named = [set(NAMED.findall(query)) for query in server.queries()[since:]]
    return {int(found) for names in named if len(names) == 1 for found in names}


@pytest.mark.timeout(300)
def test_invariant_a_backfill_killed_at_each_service_reads_each_once(gate: tuple[Gate, Server]) -> None:
    source, server = gate
    with Console.started(PROMETHEUS_URL=server.url) as console:
        accepted = subprocess.run(
            [sys.executable, "manage.py", "shell", "--no-imports", "-c", ACCEPT],
            cwd=ROOT,
            env=environment(console.data_dir) | {"PROMETHEUS_URL": server.url},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert accepted.returncode == 0, accepted.stderr
        run = accepted.stdout.strip()
        done, since = 0, 0
        for number in KILLED_AFTER:
            source.may_answer[number - 1].set()
            until(partial(source.has_reached, number), f"service {number} is asked for")
            assert min(asked(server, since)) >= done
            killed = console.workers()
            console.kill_workers()
            until_gone(killed)
            done, since = number, len(server.queries())
        for event in source.may_answer:
            event.set()
        with console.database() as database:
            until(
                lambda: (
                    database.execute("SELECT state FROM core_run WHERE id = %s", [run]).fetchone()
                    == ("completed",)
                ),
                "the backfill is done",
                deadline_s=90,
            )
            row = database.execute("SELECT summary->'services', attempts FROM core_run WHERE id = %s", [run])
            assert row.fetchone() == (SERVICES, 1)
