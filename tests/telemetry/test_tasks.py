"""The actors, the schedule, the long work: what is asked for gets done."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
import time_machine
from django.utils.module_loading import import_string
from dramatiq import Actor as DramatiqActor

from apps.core.actions import Actor
from apps.core.dispatcher import dispatch
from apps.core.models import AuditEntry, OutboxEvent
from apps.core.runs.executing import execute
from apps.core.runs.starting import RING
from apps.telemetry import services, tasks
from apps.telemetry.models import SliHour, TelemetryRun
from apps.telemetry.schedule import JOBS
from tests.telemetry.folders import SLI, START, write, write_services

pytestmark = pytest.mark.django_db

COMMAND = Actor.system("test", AuditEntry.Source.COMMAND)


def requested_import(tmp_path: Path, *rows: str) -> str:
    write_services(tmp_path, "shop")
    write(tmp_path, "sli.csv", SLI, rows)
    return str(dispatch("telemetry.import", {"path": str(tmp_path)}, actor=COMMAND).value["run"])


def test_a_requested_run_asks_for_a_worker(tmp_path: Path) -> None:
    run_id = requested_import(tmp_path, f"shop,{START},3600,1,0,,,")
    assert OutboxEvent.objects.get(topic=RING).payload == {"run": run_id}


def test_the_worker_does_it_once(tmp_path: Path) -> None:
    run_id = requested_import(tmp_path, f"shop,{START},3600,1,0,,,")
    with time_machine.travel("2026-11-01T12:00:00Z"):
        execute(run_id)
        execute(run_id)
    run = TelemetryRun.objects.get(pk=run_id)
    assert (run.state, run.attempts) == (TelemetryRun.State.COMPLETED, 1)
    assert run.progress_done == run.progress_total > 0
    assert SliHour.objects.count() == 1


def test_a_failure_is_kept_with_the_run_and_not_tried_again(tmp_path: Path) -> None:
    run_id = requested_import(tmp_path, f"shop,{START},3600,1,5,,,")
    execute(run_id)
    run = TelemetryRun.objects.get(pk=run_id)
    assert run.state == TelemetryRun.State.FAILED
    assert run.errors[0]["field"] == "bad"


def test_collecting_without_a_source_does_nothing() -> None:
    tasks.collect_hour.fn()
    assert not TelemetryRun.objects.exists()


def test_housekeeping_makes_partitions_and_drops_what_is_old(tmp_path: Path) -> None:
    old = START - 121 * 86400
    requested = requested_import(tmp_path, f"shop,{START},3600,1,0,,,", f"shop,{old},3600,1,0,,,")
    with time_machine.travel("2026-11-01T12:00:00Z"):
        execute(requested)
        tasks.keep_house.fn()
    assert SliHour.objects.count() == 1


def test_every_periodic_job_names_an_actor() -> None:
    assert len({job.name for job in JOBS}) == len(JOBS)
    for job in JOBS:
        assert isinstance(import_string(job.actor), DramatiqActor)


def test_the_hourly_collection_waits_until_the_hour_has_settled() -> None:
    (job,) = [job for job in JOBS if job.name == "telemetry.collect_hour"]
    assert job.every == timedelta(hours=1)
    assert job.offset > services.SETTLE
