"""Actions of telemetry: find services, read a past window from the source, import a folder of observations.

Each action only records a run; a worker, or the command that asked, does the reading.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated

from pydantic import Field

from apps.catalog.models import Service
from apps.core import instants
from apps.core.actions import Action, ActionInput, Call, Outcome, Preview, Risk, Touch, register
from apps.core.errors import FieldProblem, InvalidInput, NotAllowed
from apps.core.instants import AwareInstant, whole_hour
from apps.core.json_types import JsonObject
from apps.core.models import AuditEntry
from apps.telemetry import checks, discovering, runs, services, sources
from apps.telemetry.clients.errors import SourceError
from apps.telemetry.imports.roots import import_root
from apps.telemetry.models import TelemetryRun

MAX_BACKFILL_DAYS = 731
MAX_DISCOVER_DAYS = 31
_NAMES_SHOWN = 10
_END = "End of the last hour; by default the end of the newest complete hour."
_UNDO = (
    "Nothing is lost: if an hour now has less data, the stored hour stays until another reading agrees, and "
    "incomplete answers only fill gaps."
)
_TRUSTED = (
    "This reading replaces stored hours even if it has less data, and implausible hours become gaps. Only "
    "incomplete answers do not replace complete hours."
)
_TRUSTED_UNDO = "Replaced hours are gone; only the source or files can bring them back."


class BackfillInput(ActionInput):
    """A window of whole hours, and the services to read in it."""

    days: Annotated[int, Field(ge=1, le=MAX_BACKFILL_DAYS, description="How many days before the end.")] = 30
    end: AwareInstant | None = Field(default=None, description=_END)
    services: Annotated[
        list[str], Field(max_length=5_000, description="Only these services; if empty, all of the catalog.")
    ] = []
    discover: Annotated[
        bool,
        Field(description="First look for new services and calls, in the newest 31 days of the window."),
    ] = False
    trust: Annotated[
        bool,
        Field(
            description="Replace stored hours with this reading even if it has less data. Incomplete answers "
            "still do not replace complete hours."
        ),
    ] = False

    def window(self) -> tuple[datetime, datetime]:
        """Return the start and end of the whole hours to read."""
        return _whole_hours(self.days, self.end)


def _whole_hours(days: int, end: datetime | None) -> tuple[datetime, datetime]:
    newest = services.last_complete_hour(instants.now())
    last = whole_hour(min(newest, end) if end else newest)
    return last - timedelta(days=days), last


@register
class Backfill(Action[BackfillInput, JsonObject]):
    """Read past hours from Prometheus and store their aggregates."""

    name = "telemetry.backfill"
    title = "Backfill telemetry"
    permission = "telemetry.collect"
    risk = Risk.LOW
    Input = BackfillInput
    success_status = 202

    def guard(self, call: Call[BackfillInput]) -> None:
        sources.required()
        known = set(
            Service.objects.filter(service_id__in=call.input.services).values_list("service_id", flat=True)
        )
        missing = [name for name in call.input.services if name not in known]
        if missing:
            raise InvalidInput(
                f"The catalog has no service {', '.join(missing[:_NAMES_SHOWN])}.",
                fields=[
                    FieldProblem("services", f"{name} is not a service") for name in missing[:_NAMES_SHOWN]
                ],
            )

    def preview(self, call: Call[BackfillInput]) -> Preview:
        start, end = call.input.window()
        names = call.input.services[:_NAMES_SHOWN]
        count = len(call.input.services) or Service.objects.exclude(origin="demo").count()
        return Preview(
            summary=f"{'Look for services, then read' if call.input.discover else 'Read'} "
            f"{start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC of {count} services from {sources.address()}.",
            touches=[Touch(count, "services", names)],
            warnings=[_TRUSTED] if call.input.trust else [],
            undo=_TRUSTED_UNDO if call.input.trust else _UNDO,
        )

    def execute(self, call: Call[BackfillInput]) -> Outcome[JsonObject]:
        run = services.request_run(
            TelemetryRun.Kind.BACKFILL,
            source="prometheus",
            parameters=runs.Reading(
                days=call.input.days,
                services=call.input.services or None,
                discover=call.input.discover,
                trust=call.input.trust,
            ),
            actor=call.actor,
            window=call.input.window(),
        )
        return requested(run)


class DiscoverInput(ActionInput):
    """A window of whole hours to look at."""

    days: Annotated[int, Field(ge=1, le=MAX_DISCOVER_DAYS, description="How many days before the end.")] = 7
    end: AwareInstant | None = Field(default=None, description=_END)

    def window(self) -> tuple[datetime, datetime]:
        """Return the start and end of the whole hours to look at."""
        return _whole_hours(self.days, self.end)


@register
class Discover(Action[DiscoverInput, JsonObject]):
    """Find services and the calls between them in Prometheus, and add new ones to the catalog."""

    name = "telemetry.discover"
    title = "Discover services"
    permission = "telemetry.collect"
    risk = Risk.LOW
    Input = DiscoverInput
    success_status = 202

    def guard(self, call: Call[DiscoverInput]) -> None:
        sources.required()

    def preview(self, call: Call[DiscoverInput]) -> Preview:
        start, end = call.input.window()
        what = f"Look for services and calls from {start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC"
        undo = "Discovered services and calls never override declarations. Calls that are no longer seen "
        undo += "go stale after seven days."
        try:
            with sources.place():
                source = sources.prometheus_source(
                    timeout_seconds=checks.LOOK_TIMEOUT_SECONDS, budget_seconds=checks.LOOK_BUDGET_SECONDS
                )
                try:
                    found = discovering.look(source, start, end, max_seconds=checks.LOOK_TIMEOUT_SECONDS)
                finally:
                    source.close()
        except SourceError as error:
            return Preview(
                summary=f"{what} in {sources.address()}, which does not answer at the moment.",
                warnings=[error.detail],
                undo=undo,
            )
        warnings = list(found.warnings)
        if found.start > start:
            warnings.append(
                f"The source is slow: this preview reaches back to {found.start:%Y-%m-%d %H:%M} UTC."
            )
        return Preview(
            summary=f"{what} in {sources.address()}: it has {len(found.services):,} services and "
            f"{len(found.edges):,} calls between services.",
            touches=[
                Touch(len(found.new_services), "new services", found.new_services[:_NAMES_SHOWN]),
                Touch(
                    len(found.new_edges),
                    "new dependencies",
                    [" → ".join(edge) for edge in found.new_edges[:_NAMES_SHOWN]],
                ),
            ],
            warnings=warnings,
            undo=undo,
        )

    def execute(self, call: Call[DiscoverInput]) -> Outcome[JsonObject]:
        run = services.request_run(
            TelemetryRun.Kind.DISCOVERY,
            source="prometheus",
            parameters=runs.Reading(days=call.input.days),
            actor=call.actor,
            window=call.input.window(),
        )
        return requested(run)


class ImportInput(ActionInput):
    """A folder of files, and a mark on the services that it creates."""

    path: Annotated[
        str,
        Field(min_length=1, max_length=4096, description="A folder on the machine that the worker runs on."),
    ]
    origin: Annotated[
        str,
        Field(
            max_length=40,
            pattern=r"^[a-z0-9-]*$",
            description="A mark on the services that the import creates.",
        ),
    ] = ""


@register
class Import(Action[ImportInput, JsonObject]):
    """Import a folder of files in the format of docs/file-format.md."""

    name = "telemetry.import"
    title = "Import observations"
    permission = "telemetry.collect"
    risk = Risk.LOW
    Input = ImportInput
    success_status = 202

    def guard(self, call: Call[ImportInput]) -> None:
        path = Path(call.input.path)
        if call.actor.source in {AuditEntry.Source.COMMAND, AuditEntry.Source.TASK}:
            return
        # People on other machines must not make Ballast read and quote from just any folder.
        if "\0" in call.input.path or not path.resolve().is_relative_to(import_root().resolve()):
            raise NotAllowed(f"Over the network, only folders below {import_root()} can be imported.")

    def preview(self, call: Call[ImportInput]) -> Preview:
        folder = Path(call.input.path)
        found = _csv_files(folder)
        return Preview(
            summary=f"Check every row of {folder}, then store all rows or nothing.",
            touches=[Touch(len(found), "files", found[:_NAMES_SHOWN])],
            warnings=[] if found else [f"{folder} has no CSV files."],
        )

    def execute(self, call: Call[ImportInput]) -> Outcome[JsonObject]:
        run = services.request_run(
            TelemetryRun.Kind.IMPORT,
            source="files",
            parameters=runs.Reading(path=str(Path(call.input.path).absolute())),
            actor=call.actor,
            origin=call.input.origin,
        )
        return requested(run)


def _csv_files(folder: Path) -> list[str]:
    try:
        return sorted(path.name for path in folder.glob("*.csv")) if folder.is_dir() else []
    except OSError:  # such as a name that is too long for a file
        return []


def requested(run: TelemetryRun) -> Outcome[JsonObject]:
    """Return the outcome of an action that records a run for a worker."""
    described = {"kind": run.what, "source": run.source, **run.parameters}
    if run.window_start and run.window_end:
        described |= {"start": run.window_start.isoformat(), "end": run.window_end.isoformat()}
    return Outcome(
        result={"run": str(run.pk), "state": run.state, **described},
        object_type="telemetry.run",
        object_id=str(run.pk),
        object_label=f"{run.what.capitalize()} from {run.source}",
        after=described,
    )
