"""Load the demo and keep it up to the hour. For workers and commands, because it needs numpy.

Every step looks at what exists and adds the rest, so that the next run finishes an interrupted one.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from django.db import transaction

from apps.catalog.models import DiscoverySource
from apps.catalog.services import upsert_graph
from apps.core.actions import Actor
from apps.core.demo_parts import ORIGIN, Story, parts
from apps.core.dispatcher import dispatch
from apps.core.errors import Conflict
from apps.core.models import AuditEntry
from apps.demo import deciding, queries, signins
from apps.demo.description import Fleet, fleet
from apps.demo.files import span_since, whole_span, write_graph, write_observations
from apps.demo.locking import claimed
from apps.slos.services import refresh_statuses
from apps.telemetry.models import TelemetryRun
from apps.telemetry.queries import newest_ends
from apps.telemetry.services import Reading, execute_run, request_run, store_hours

HOUR_SECONDS = 3600
#: A longer gap moves recommendations, so it is imported like history.
LONG_GAP_SECONDS = 24 * HOUR_SECONDS

type Say = Callable[[str], None]


@dataclass(slots=True)
class Report:
    """What one call added to bring the demo up to date."""

    is_here: bool = False
    hours: int = 0
    recommendations: int = 0
    decisions: int = 0
    parts: dict[str, int] = field(default_factory=dict)
    """How many objects each room added, under its words for them."""


def bring_up_to_date(now: datetime, *, say: Say = lambda _line: None, demo: Fleet | None = None) -> Report:
    """Bring the demo, where it is wanted, up to the last full hour before ``now``. Safe to repeat.

    Waits for another process that does it or removes the demo, and then adds what is still missing.

    Parameters:
        say: called with one line for each step that takes a while.
        demo: a fleet to use in place of the one that ships with Ballast.

    Raises:
        Conflict: another process has been at it for minutes.
        InvalidInput: the files do not fit the existing data; nothing has changed.
    """
    report = Report()
    with claimed():
        standing = queries.standing()
        if standing is None or not standing.is_wanted:
            return report
        demo = demo or fleet()
        report.is_here = True
        report.hours = _observe(demo, standing.anchor, now, say)
        signins.ensure()
        report.decisions = deciding.make_by_hand(demo)
        report.recommendations = deciding.recommend_first(say)
        report.decisions += deciding.make_on_recommendations(demo)
        report.parts = _load_parts(demo, standing.since)
        if report.decisions or report.recommendations:
            refresh_statuses(queries.service_pks())
    return report


def _load_parts(demo: Fleet, since: datetime) -> dict[str, int]:
    actors = {
        name: Actor.person(user, AuditEntry.Source.COMMAND) for name, user in signins.demo_users().items()
    }
    story = Story(since, demo.tables, actors)
    return {part.words: part.load(story) for part in parts()}


def _observe(demo: Fleet, anchor: int, now: datetime, say: Say) -> int:
    """Store what is missing up to the last full hour, through the same files as any import."""
    until = int(now.timestamp()) // HOUR_SECONDS * HOUR_SECONDS
    newest = max(newest_ends(queries.service_pks(), now).values(), default=None)
    if newest is not None and int(newest.timestamp()) >= until:
        return 0
    with TemporaryDirectory(prefix="ballast-demo-") as name:
        folder = Path(name)
        if newest is None:
            say(f"Loading the demo: {len(demo.services)} services, {demo.history_days} days of history.")
            write_graph(demo, folder)
            span = whole_span(demo, until)
        else:
            span = span_since(demo, int(newest.timestamp()), until)
        written = write_observations(demo, folder, anchor=anchor, span=span)
        if newest is None or until - int(newest.timestamp()) > LONG_GAP_SECONDS:
            _import(folder)
        else:
            _add_hours(folder, now)
    _see_edges(demo, until)
    return written


def _import(folder: Path) -> None:
    """Import as from any folder, with a run that holds the result."""
    # A killed process leaves a run whose folder is gone.
    for left in TelemetryRun.objects.filter(origin=ORIGIN).exclude(state__in=TelemetryRun.ENDED):
        with suppress(Conflict):
            dispatch("core.cancel_run", {"run_id": str(left.pk)}, actor=Actor.system("demo"))
    run = request_run(
        TelemetryRun.Kind.IMPORT,
        source="files",
        parameters=Reading(path=str(folder)),
        actor=Actor.system("demo"),
        origin=ORIGIN,
    )
    execute_run(run.pk)


def _add_hours(folder: Path, now: datetime) -> None:
    """Store a few hours as a collection from a source does: without a run for each, and without new recommendations."""
    store_hours(folder, now=now, origin=ORIGIN)


def _see_edges(demo: Fleet, until: int) -> None:
    """Record the calls that traffic showed, like a service graph. Calls that only a file declares stay less certain."""
    unseen = {service.service_id for service in demo.services if service.telemetry == "none"}
    seen = [
        {"source": call.source, "target": call.target, "mode": call.mode}
        for call in demo.calls
        if call.target not in unseen
    ]
    with transaction.atomic():
        upsert_graph(
            [],
            seen,
            discovery_source=DiscoverySource.OTEL,
            observed_at=datetime.fromtimestamp(until, UTC),
            origin=ORIGIN,
        )
