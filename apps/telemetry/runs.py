"""Registers telemetry's kinds of runs: reading the past, importing files, looking for services and metrics."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from functools import partial

from django.db import transaction

from apps.core.actions import Actor, Event
from apps.core.models import Run
from apps.core.runs import Kind, Parameters, Subject, register, start
from apps.telemetry.models import TelemetryRun

STORED = "telemetry.stored"
"""Published when hours were stored, with ``run``, ``kind``, the window, and ``services`` if only some were read."""
WORK = "apps.telemetry.services.work"
TIME_LIMIT = timedelta(hours=2)
"""A backfill of two years and thousands of services takes long. When it is cut off, its stored hours stay."""


class Reading(Parameters):
    """The parameters of a reading besides its window."""

    days: int | None = None
    services: list[str] | None = None
    """Ids of the services to read; ``None`` for all of the catalog."""
    discover: bool = False
    """Whether to look for new services and calls first."""
    trust: bool = False
    """Whether the reading replaces stored hours even where it has less data."""
    path: str = ""
    """The folder of an import."""
    read_new: bool = False
    """Whether a discovery is followed by a reading of the same window for the new services."""
    follows: str = ""
    """The id of the discovery that this reading follows."""


def _subject(run: Run) -> Subject:
    found = TelemetryRun.objects.get(pk=run.pk)
    return Subject("telemetry.run", str(run.pk), f"{found.what.capitalize()} from {found.source}")


def _label(run: Run) -> str:
    path = str(run.parameters.get("path") or "")
    found = TelemetryRun.objects.filter(pk=run.pk).first()
    if path or found is None or found.window_start is None or found.window_end is None:
        return path.rpartition("/")[2] if run.origin else ""
    return f"{found.window_start:%Y-%m-%d %H:%M} to {found.window_end:%Y-%m-%d %H:%M} UTC"


def _stored(run: Run) -> Sequence[Event]:
    """Return the events of a run's end: none for a discovery, which the catalog reports, and none for a survey."""
    if run.state != Run.State.COMPLETED:
        return ()
    found = TelemetryRun.objects.get(pk=run.pk)
    payload = {
        "run": str(run.pk),
        "kind": found.what,
        "window_start": found.window_start.isoformat() if found.window_start else None,
        "window_end": found.window_end.isoformat() if found.window_end else None,
        "services": run.parameters.get("services") or None,
    }
    return (Event(STORED, payload, aggregate=f"telemetry:{run.pk}"),)


def _drop_upload(run: Run) -> None:
    from apps.telemetry.imports import uploads

    transaction.on_commit(partial(uploads.drop, str(run.parameters.get("path") or "")))


def _own(run: Run) -> Run:
    return TelemetryRun.objects.get(pk=run.pk)


def again(run: Run, actor: Actor) -> Run:
    """Start a reading again, over the same window."""
    found = TelemetryRun.objects.get(pk=run.pk)
    return start(
        run.kind,
        Reading.model_validate(run.parameters),
        actor=actor,
        origin=run.origin,
        retry_of=run,
        model=TelemetryRun,
        source=found.source,
        window_start=found.window_start,
        window_end=found.window_end,
    )


def _register(kind: TelemetryRun.Kind, title: str, unit: str, **more: object) -> None:
    given = {
        "queue": "bulk",
        "time_limit": TIME_LIMIT,
        "permission": "telemetry.collect",
        "can_stop": True,
        "subject": _subject,
        "label": _label,
        "home": ("Telemetry", "telemetry"),
        "own": _own,
        "details": "telemetry/run_facts.html",
        "failed_words": "nothing was changed",
        "kept": None,
        "retried": again,
    } | more
    register(Kind(name=kind.value, title=title, unit=unit, parameters=Reading, work=WORK, **given))  # type: ignore[arg-type]


_register(TelemetryRun.Kind.BACKFILL, "Backfill telemetry", "hours", events=_stored)
_register(TelemetryRun.Kind.COLLECTION, "Collect the hour", "hours", events=_stored, queue="default")
_register(TelemetryRun.Kind.DISCOVERY, "Discover services", "days")
_register(
    TelemetryRun.Kind.IMPORT,
    "Import observations",
    "",
    events=_stored,
    home=("Imports", "ingestions"),
    ended=_drop_upload,
    retried=None,
)
_register(
    TelemetryRun.Kind.SURVEY,
    "Look at metrics",
    "questions",
    permission="telemetry.configure",
    home=("Telemetry", "telemetry-setup"),
    person_waits=True,
)
