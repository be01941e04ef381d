"""What actions, tasks and commands share: recording a reading of telemetry, doing it once, telling its end.

Light enough for a web process: what needs numpy is imported when a worker or a command gets to it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from uuid import UUID

from django.db import transaction

from apps.catalog.models import DiscoverySource, Service
from apps.catalog.services import Graph, GraphCounts, apply_graph
from apps.core import instants
from apps.core.actions import Actor
from apps.core.delivery import outbox
from apps.core.errors import InvalidInput
from apps.core.instants import whole_hour
from apps.core.remembered import remembered
from apps.core.runs import Done, Holding, end, execute, start
from apps.telemetry import discovering, runs, sources
from apps.telemetry.models import TelemetryRun
from apps.telemetry.resuming import Earlier
from apps.telemetry.runs import Reading as Reading
from apps.telemetry.setup import surveys

HOUR = timedelta(hours=1)
#: How far the hourly collection reads back after the source was down; a backfill reads more.
CATCH_UP = timedelta(days=7)
#: Hours that each collection reads again, for data that arrive late.
OVERLAP = 2 * HOUR
#: An hour counts as complete only this long after its end.
SETTLE = timedelta(minutes=2)

type Progress = Callable[[int, int], None]


def last_complete_hour(now: datetime) -> datetime:
    """Return the end of the newest hour that is over and settled."""
    return whole_hour(now - SETTLE)


def request_run(
    kind: TelemetryRun.Kind,
    *,
    source: str,
    parameters: Reading,
    actor: Actor,
    window: tuple[datetime, datetime] | None = None,
    origin: str = "",
) -> TelemetryRun:
    """Record a run that reads telemetry; a worker gets it when the transaction commits."""
    with transaction.atomic():
        run = start(
            kind.value,
            parameters,
            actor=actor,
            origin=origin,
            model=TelemetryRun,
            source=source,
            window_start=window[0] if window else None,
            window_end=window[1] if window else None,
        )
    assert isinstance(run, TelemetryRun)
    return run


def execute_run(run_id: UUID, *, progress: Progress | None = None) -> TelemetryRun:
    """Do a run in this process, unless it is done or somebody else is doing it.

    Raises:
        BallastError: the run did not complete; the run has the same text.
    """
    execute(run_id, observe=progress, raises=True)
    return TelemetryRun.objects.get(pk=run_id)


def work(holding: Holding) -> None:
    """Do a claimed run. Its end is recorded in one transaction with the last of its changes."""
    run = TelemetryRun.objects.get(pk=holding.run.pk)
    outcome = _perform(run, holding.parameters(Reading), holding)
    with holding.fenced():
        if outcome.window:
            TelemetryRun.objects.filter(pk=run.pk).update(
                window_start=outcome.window[0], window_end=outcome.window[1]
            )
        if outcome.new_services:
            _read_new(run, outcome.new_services)
        end(holding, "completed", done=Done(outcome.summary, outcome.warnings))


def _read_new(run: TelemetryRun, services: list[str]) -> None:
    """Request the past of new services: the hourly collection reads only what comes from now on."""
    assert run.window_start is not None
    assert run.window_end is not None
    request_run(
        TelemetryRun.Kind.BACKFILL,
        source=run.source,
        parameters=Reading(days=run.parameters["days"], services=services, follows=str(run.pk)),
        actor=Actor.system(run.requested_by_name.removeprefix("system: ")),
        window=(run.window_start, run.window_end),
    )


@dataclass(frozen=True, slots=True)
class _Performed:
    summary: Mapping[str, object]
    warnings: list[str]
    window: tuple[datetime, datetime] | None
    new_services: list[str] = field(default_factory=list)


def _perform(run: TelemetryRun, wanted: Reading, holding: Holding) -> _Performed:
    progress = _reporting(holding)
    if run.kind == TelemetryRun.Kind.IMPORT:
        return _import(run, wanted, progress)
    if run.kind == TelemetryRun.Kind.DISCOVERY:
        return _discover(run, wanted, progress)
    if run.kind == TelemetryRun.Kind.SURVEY:
        return _Performed(surveys.look(progress).model_dump(mode="json"), [], None)
    return _read_source(run, wanted, progress, holding)


def _import(run: TelemetryRun, wanted: Reading, progress: Progress) -> _Performed:
    from apps.telemetry.imports.importing import import_directory

    now = instants.now()

    def apply(graph: Graph) -> GraphCounts:
        return apply_graph(
            graph.services,
            graph.dependencies,
            discovery_source=DiscoverySource.FILE,
            observed_at=now,
            origin=run.origin,
        )

    result = import_directory(Path(wanted.path), now=now, apply_graph=apply, progress=progress)
    window = (result.start, result.end) if result.start and result.end else None
    return _Performed(result.summary(), result.warnings, window)


def store_hours(folder: Path, *, now: datetime, origin: str) -> None:
    """Store the observations of a folder as a collection from a source does, but without a run.

    The graph stays as it is, and so do recommendations until the next refresh. ``origin`` names the caller.

    Raises:
        InvalidInput: the folder has faults; nothing was stored.
    """
    from apps.telemetry.imports.importing import import_directory

    result = import_directory(folder, now=now, apply_graph=lambda _graph: None)
    if result.start is None or result.end is None:
        return
    with transaction.atomic():
        outbox.publish(
            runs.STORED,
            {
                "kind": "collection",
                "window_start": result.start.isoformat(),
                "window_end": result.end.isoformat(),
            },
            aggregate=f"telemetry:{origin}",
        )


def _discover(run: TelemetryRun, wanted: Reading, progress: Progress) -> _Performed:
    if run.window_start is None or run.window_end is None:
        raise InvalidInput("This run names no window.")
    before = set(Service.objects.values_list("service_id", flat=True)) if wanted.read_new else set()
    source = sources.prometheus_source()
    try:
        found = discovering.look(source, run.window_start, run.window_end, progress=progress)
    finally:
        source.close()
    summary = discovering.take_in(found)
    new = set(Service.objects.values_list("service_id", flat=True)) - before if wanted.read_new else set()
    return _Performed(summary, found.warnings, (run.window_start, run.window_end), sorted(new))


def _read_source(run: TelemetryRun, wanted: Reading, progress: Progress, holding: Holding) -> _Performed:
    from apps.telemetry.storing import replacing
    from apps.telemetry.storing.collecting import collect
    from apps.telemetry.storing.rereading import ask_again

    if run.window_start is None or run.window_end is None:
        raise InvalidInput("This run names no window.")
    discovered: dict[str, int] = run.position.get("discovered", {})
    if wanted.discover and not run.position:
        with closing(sources.prometheus_source()) as looking:
            discovered = discovering.take_in_newest(looking, run.window_start, run.window_end)
    known = dict(Service.objects.order_by("pk").values_list("service_id", "pk"))
    named = wanted.services or []
    missing = [service_id for service_id in named if service_id not in known]
    if missing:
        raise InvalidInput(f"The catalog has no service {', '.join(missing[:5])}.")
    services = list(named) or list(
        Service.objects.exclude(origin="demo").order_by("service_id").values_list("service_id", flat=True)
    )
    reading = replacing.Reading(run.pk, instants.now(), trust=wanted.trust)
    earlier = replace(Earlier.of(run.position, services), discovered=discovered)
    source = sources.prometheus_source()
    try:
        result = collect(
            source,
            services,
            known,
            run.window_start,
            run.window_end,
            reading,
            progress=progress,
            skip=earlier.skip,
            keep=partial(earlier.keep, holding, services),
        )
        again: dict[str, int] = {}
        if run.kind == TelemetryRun.Kind.COLLECTION:
            window = (run.window_start, run.window_end)
            again = ask_again(source, known, window, reading, result, reach=CATCH_UP)
    finally:
        source.close()
    summary, warnings = earlier.with_(result)
    return _Performed({**discovered, **summary, **again}, warnings, (run.window_start, run.window_end))


def _reporting(holding: Holding) -> Progress:
    """Return a function that passes progress on. Bytes of large files are scaled down to about a million steps."""

    def report(done: int, total: int) -> None:
        scale = max(1, total // 1_000_000)
        holding.progress(done // scale, total // scale)

    return report


def collect_hour(*, now: datetime | None = None) -> TelemetryRun | None:
    """Read what has become complete since the last reading; ``None`` without a source.

    After an outage of the source it catches up, at most over :data:`CATCH_UP`.

    Raises:
        SourceError: the source cannot be read; the next hour tries again.
    """
    if not sources.is_configured():
        return None
    end = last_complete_hour(now or instants.now())
    newest = (
        TelemetryRun.objects.filter(
            source="prometheus", state=TelemetryRun.State.COMPLETED, window_end__lte=end
        )
        .exclude(kind__in=(TelemetryRun.Kind.IMPORT, TelemetryRun.Kind.DISCOVERY))
        .filter(parameters__services__isnull=True)
        .order_by("-window_end")
        .values_list("window_end", flat=True)
        .first()
    )
    start = max((newest or end) - OVERLAP, end - CATCH_UP)
    run = request_run(
        TelemetryRun.Kind.COLLECTION,
        source="prometheus",
        parameters=Reading(),
        actor=Actor.system("telemetry.collect_hour"),
        window=(start, end),
    )
    return execute_run(run.pk)


def discover_day(*, now: datetime | None = None) -> TelemetryRun | None:
    """Take in new services and calls, and read the same day of the new services.

    ``None`` without a source, or where the configuration says ``discover_daily = false``.

    Raises:
        SourceError: the source cannot be read; the next day tries again.
    """
    if not sources.is_configured() or not sources.telemetry_config().discover_daily:
        return None
    end = last_complete_hour(now or instants.now())
    run = request_run(
        TelemetryRun.Kind.DISCOVERY,
        source="prometheus",
        parameters=Reading(days=1, read_new=True),
        actor=Actor.system("telemetry.discover_day"),
        window=(end - timedelta(days=1), end),
    )
    done = execute_run(run.pk)
    for reading in TelemetryRun.objects.filter(
        kind=TelemetryRun.Kind.BACKFILL, parameters__follows=str(run.pk)
    ):
        execute_run(reading.pk)
    return done


def lives_off_discovery() -> bool:
    """Return whether nobody has declared a service, so that all services except the demo's were discovered."""
    return not Service.objects.exclude(origin="demo").filter(is_discovered=False).exists()


def awaits_a_source() -> bool:
    """Return whether there are only services of the demo, and no source to read others from."""
    others = Service.objects.exclude(origin="demo")
    return (
        not remembered("telemetry.not_only_demo", ("catalog_service",), others.exists)
        and not sources.is_configured()
    )
