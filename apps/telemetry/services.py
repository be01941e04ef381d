"""What actions, tasks and commands share: recording a reading of telemetry, doing it once, telling its end.

Light enough for a web process: what needs numpy is imported when a worker or a command gets to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import structlog
from django.db import connection, transaction
from django.db.models import F
from django.utils import timezone

from apps.catalog.models import DiscoverySource, Service
from apps.catalog.services import Graph, apply_graph
from apps.core import outbox
from apps.core.actions import Actor
from apps.core.errors import BallastError, InvalidInput
from apps.core.instants import whole_hour
from apps.telemetry import discovering, sources
from apps.telemetry.models import TelemetryRun
from apps.telemetry.setup import surveys

logger = structlog.get_logger(__name__)

HOUR = timedelta(hours=1)
#: A run that was begun this often without an end kills its workers and is given up.
MAX_ATTEMPTS = 3
#: How far the hourly collection reaches back after the source was away; more is a backfill's work.
CATCH_UP = timedelta(days=7)
#: Hours that are read again, for what arrives late.
OVERLAP = 2 * HOUR
#: An hour is complete for us only this long after its end.
SETTLE = timedelta(minutes=2)
_WARNINGS_KEPT = 50

type Progress = Callable[[int, int], None]


def last_complete_hour(now: datetime) -> datetime:
    """The end of the newest hour that is over and settled."""
    return whole_hour(now - SETTLE)


def request_run(
    kind: TelemetryRun.Kind,
    *,
    source: str,
    parameters: dict[str, Any],
    actor: Actor,
    window: tuple[datetime, datetime] | None = None,
    origin: str = "",
) -> TelemetryRun:
    """Record that telemetry is to be read. Whoever calls publishes ``telemetry.run_requested``."""
    return TelemetryRun.objects.create(
        kind=kind,
        source=source,
        parameters=parameters,
        window_start=window[0] if window else None,
        window_end=window[1] if window else None,
        requested_by=actor.user,
        requested_by_name=actor.name,
        origin=origin,
    )


def execute_run(run_id: UUID, *, progress: Progress | None = None) -> TelemetryRun:
    """Do what a run asks for, unless it is done or somebody is at it, and record what came of it.

    Safe to call twice: a lock on the database session is held meanwhile and goes with the process, so a run
    whose worker was killed can be taken up, and one that is under way is left alone.

    Raises:
        BallastError: what kept the run from completing; the run says so too.
    """
    with _only_one(run_id) as is_mine:
        run = TelemetryRun.objects.get(pk=run_id)
        if not is_mine or run.state in {TelemetryRun.State.COMPLETED, TelemetryRun.State.FAILED}:
            return run
        if run.attempts >= MAX_ATTEMPTS:
            return _fail(run, InvalidInput(f"Given up after {run.attempts} attempts that came to no end."))
        TelemetryRun.objects.filter(pk=run_id).update(
            state=TelemetryRun.State.RUNNING, attempts=F("attempts") + 1, started_at=timezone.now()
        )
        run.refresh_from_db()
        try:
            outcome = _perform(run, _reporting(run, progress))
        except BallastError as error:
            _fail(run, error)
            raise
        except Exception as error:
            _fail(run, error)
            raise
        return _complete(run, outcome)


@dataclass(frozen=True, slots=True)
class _Performed:
    summary: dict[str, Any]
    warnings: list[str]
    window: tuple[datetime, datetime] | None


def _perform(run: TelemetryRun, progress: Progress) -> _Performed:
    if run.kind == TelemetryRun.Kind.IMPORT:
        return _import(run, progress)
    if run.kind == TelemetryRun.Kind.DISCOVERY:
        return _discover(run, progress)
    if run.kind == TelemetryRun.Kind.SURVEY:
        return _Performed(surveys.look(progress).model_dump(mode="json"), [], None)
    return _read_source(run, progress)


def _import(run: TelemetryRun, progress: Progress) -> _Performed:
    from apps.telemetry.imports.importing import import_directory

    now = timezone.now()

    def apply(graph: Graph) -> dict[str, Any]:
        return apply_graph(
            graph.services,
            graph.dependencies,
            discovery_source=DiscoverySource.FILE,
            observed_at=now,
            origin=run.origin,
        )

    result = import_directory(Path(run.parameters["path"]), now=now, apply_graph=apply, progress=progress)
    window = (result.start, result.end) if result.start and result.end else None
    return _Performed(result.summary(), result.warnings, window)


def store_hours(folder: Path, *, now: datetime, origin: str) -> None:
    """Store the observations of a folder as a collection from a source does, without a run for each.

    The graph stays as it is, and recommendations do until the next refresh. ``origin`` names who does it.

    Raises:
        InvalidInput: something is wrong with the folder; nothing was stored.
    """
    from apps.telemetry.imports.importing import import_directory

    result = import_directory(folder, now=now, apply_graph=lambda _graph: {})
    if result.start is None or result.end is None:
        return
    with transaction.atomic():
        outbox.publish(
            "telemetry.stored",
            {
                "kind": TelemetryRun.Kind.COLLECTION,
                "window_start": result.start.isoformat(),
                "window_end": result.end.isoformat(),
            },
            aggregate=f"telemetry:{origin}",
        )


def _discover(run: TelemetryRun, progress: Progress) -> _Performed:
    if run.window_start is None or run.window_end is None:
        raise InvalidInput("This run names no window.")
    source = sources.prometheus_source()
    try:
        found = discovering.look(source, run.window_start, run.window_end, progress=progress)
    finally:
        source.close()
    return _Performed(discovering.take_in(found), found.warnings, (run.window_start, run.window_end))


def _read_source(run: TelemetryRun, progress: Progress) -> _Performed:
    from apps.telemetry.storing.collecting import collect
    from apps.telemetry.storing.replacing import Reading
    from apps.telemetry.storing.rereading import ask_again

    if run.window_start is None or run.window_end is None:
        raise InvalidInput("This run names no window.")
    discovered: dict[str, Any] = {}
    if run.parameters.get("discover"):
        with closing(sources.prometheus_source()) as looking:
            discovered = discovering.take_in_newest(looking, run.window_start, run.window_end)
    known = dict(Service.objects.order_by("pk").values_list("service_id", "pk"))
    wanted: Sequence[str] = run.parameters.get("services") or []
    missing = [service_id for service_id in wanted if service_id not in known]
    if missing:
        raise InvalidInput(f"The catalog has no service {', '.join(missing[:5])}.")
    services = list(wanted) or list(
        Service.objects.exclude(origin="demo").order_by("service_id").values_list("service_id", flat=True)
    )
    reading = Reading(run.pk, timezone.now(), trust=bool(run.parameters.get("trust")))
    source = sources.prometheus_source()
    try:
        result = collect(
            source, services, known, run.window_start, run.window_end, reading, progress=progress
        )
        again: dict[str, int] = {}
        if run.kind == TelemetryRun.Kind.COLLECTION:
            window = (run.window_start, run.window_end)
            again = ask_again(source, known, window, reading, result, reach=CATCH_UP)
    finally:
        source.close()
    return _Performed(
        discovered | result.summary() | again, result.quality.warnings, (run.window_start, run.window_end)
    )


def _complete(run: TelemetryRun, outcome: _Performed) -> TelemetryRun:
    run.state = TelemetryRun.State.COMPLETED
    run.summary = outcome.summary
    run.warnings = outcome.warnings[:_WARNINGS_KEPT]
    if outcome.window:
        run.window_start, run.window_end = outcome.window
    run.finished_at = timezone.now()
    run.progress_done = run.progress_total
    with transaction.atomic():
        run.save(
            update_fields=[
                "state", "summary", "warnings", "window_start", "window_end", "finished_at", "progress_done"
            ]
        )  # fmt: skip
        # What a discovery changed, the catalog tells; a survey changes nothing.
        if run.kind not in {TelemetryRun.Kind.DISCOVERY, TelemetryRun.Kind.SURVEY}:
            outbox.publish("telemetry.stored", _told(run), aggregate=f"telemetry:{run.pk}")
    told = {} if run.kind == TelemetryRun.Kind.SURVEY else outcome.summary
    logger.info("telemetry.run_completed", run=str(run.pk), kind=run.kind, **told)
    return run


def _told(run: TelemetryRun) -> dict[str, Any]:
    return {
        "run": str(run.pk),
        "kind": run.kind,
        "window_start": run.window_start.isoformat() if run.window_start else None,
        "window_end": run.window_end.isoformat() if run.window_end else None,
        "services": run.parameters.get("services") or None,
    }


def _fail(run: TelemetryRun, error: Exception) -> TelemetryRun:
    run.state = TelemetryRun.State.FAILED
    run.finished_at = timezone.now()
    if isinstance(error, BallastError):
        run.errors = error.extra.get("problems") or [{"reason": error.detail}]
        run.error_count = int(error.extra.get("error_count", 1))
        run.summary = {"failure": error.detail}
    else:
        run.errors, run.error_count = [{"reason": "An error of Ballast itself; the log has the details."}], 1
        run.summary = {"failure": f"{type(error).__name__}, an error of Ballast itself."}
    run.save(update_fields=["state", "finished_at", "errors", "error_count", "summary"])
    logger.warning("telemetry.run_failed", run=str(run.pk), kind=run.kind, error=repr(error))
    return run


def _reporting(run: TelemetryRun, progress: Progress | None) -> Progress:
    """Pass progress on, and keep it with the run where a page shows it: at most a hundred writes a run."""
    last = -1

    def report(done: int, total: int) -> None:
        nonlocal last
        if progress is not None:
            progress(done, total)
        percent = done * 100 // max(1, total)
        if percent != last:
            last = percent
            # Files are counted in bytes, which outgrow the column; a page needs the ratio.
            scale = max(1, total // 1_000_000)
            TelemetryRun.objects.filter(pk=run.pk).update(
                progress_done=done // scale, progress_total=total // scale
            )
            run.progress_total = total // scale

    return report


@contextmanager
def _only_one(run_id: UUID) -> Iterator[bool]:
    key = run_id.int & 0x7FFF_FFFF_FFFF_FFFF
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [key])
        is_mine: bool = cursor.fetchone()[0]
    try:
        yield is_mine
    finally:
        if is_mine and not connection.needs_rollback:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [key])


def unfinished_runs(*, older_than: timedelta, now: datetime) -> list[UUID]:
    """Runs that were asked for and came to no end: their message or their worker may be lost."""
    waiting = (TelemetryRun.State.PENDING, TelemetryRun.State.RUNNING)
    stale = TelemetryRun.objects.filter(state__in=waiting, created_at__lt=now - older_than)
    return list(stale.order_by("created_at").values_list("pk", flat=True)[:100])


def collect_hour(*, now: datetime | None = None) -> TelemetryRun | None:
    """Read what has become complete since the last reading; ``None`` without a source.

    After an outage of the source it catches up by itself, up to :data:`CATCH_UP`.

    Raises:
        SourceError: the source cannot be read; the next hour tries again.
    """
    if not sources.is_configured():
        return None
    end = last_complete_hour(now or timezone.now())
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
        parameters={},
        actor=Actor.system("telemetry.collect_hour"),
        window=(start, end),
    )
    return execute_run(run.pk)


def discover_day(*, now: datetime | None = None) -> TelemetryRun | None:
    """Take in services and calls that are new, and read the same day of those services.

    ``None`` without a source, or where the configuration says ``discover_daily = false``.

    Raises:
        SourceError: the source cannot be read; the next day tries again.
    """
    if not sources.is_configured() or not sources.telemetry_config().discover_daily:
        return None
    end = last_complete_hour(now or timezone.now())
    window = (end - timedelta(days=1), end)
    actor = Actor.system("telemetry.discover_day")
    before = set(Service.objects.values_list("service_id", flat=True))
    run = execute_run(
        request_run(
            TelemetryRun.Kind.DISCOVERY,
            source="prometheus",
            parameters={"days": 1},
            actor=actor,
            window=window,
        ).pk
    )
    new = set(Service.objects.values_list("service_id", flat=True)) - before
    if new:
        # The hourly collection reads what comes; what a new service did before, it would miss.
        reading = request_run(
            TelemetryRun.Kind.BACKFILL,
            source="prometheus",
            parameters={"days": 1, "services": sorted(new)},
            actor=actor,
            window=window,
        )
        execute_run(reading.pk)
    return run


def lives_off_discovery() -> bool:
    """Whether nobody has declared a service: what the catalog has beside the demo, if anything, was discovered."""
    return not Service.objects.exclude(origin="demo").filter(is_discovered=False).exists()


def awaits_a_source() -> bool:
    """Whether there is nothing but the demo, and nowhere to read anything else from."""
    return not Service.objects.exclude(origin="demo").exists() and not sources.is_configured()
