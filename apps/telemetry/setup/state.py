"""Finds how far telemetry is set up (connected, looked at, started) for the page that sets it up."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from django.conf import settings
from pydantic import ValidationError

from apps.catalog.models import Service
from apps.telemetry import sources
from apps.telemetry.clients.prometheus.families import MetricFamily
from apps.telemetry.models import StoredConnection, TelemetryRun
from apps.telemetry.proposals import toml
from apps.telemetry.proposals.documents import Survey
from apps.telemetry.setup import stored, surveys


@dataclass(slots=True)
class Stored:
    """The newest stored families."""

    version: int = 0
    families: dict[str, MetricFamily] = field(default_factory=dict)
    order: list[str] = field(default_factory=list)
    made_by: str = ""


@dataclass
class SetupState:
    """The present state of the set-up.

    Parameters:
        address: the source's address, or an empty text.
        connection: the connection that a person stored, if it is in use.
        is_environments: the environment names the source, so that none can be connected on the page.
        look: the newest survey of the metrics, running or ended.
        survey: the result of the newest completed survey.
        started: the newest backfill.
        services: number of services in the catalog without the demo's.
    """

    address: str
    connection: StoredConnection | None
    is_environments: bool
    look: TelemetryRun | None
    survey: Survey | None
    started: TelemetryRun | None
    services: int
    kept: Stored

    @property
    def is_looking(self) -> bool:
        """Whether a survey of the metrics waits or runs."""
        return self.look is not None and not self.look.is_over

    @property
    def is_starting(self) -> bool:
        """Whether a reading of the past waits or runs."""
        return self.started is not None and not self.started.is_over

    @property
    def failure(self) -> str:
        """Why the newest survey failed, or an empty text."""
        return self._failure_of(self.look)

    @property
    def start_failure(self) -> str:
        """Why the newest reading of the past failed, or an empty text."""
        return self._failure_of(self.started)

    def _failure_of(self, run: TelemetryRun | None) -> str:
        if run is None or not run.is_over or run.state == TelemetryRun.State.COMPLETED:
            return ""
        failure = str(run.summary.get("failure", "It came to no end."))
        return failure if self.is_environments else surveys.in_words_of_the_page(failure)

    @property
    def step(self) -> int:
        """The next step: 1 connect, 2 choose, 3 wait or continue."""
        if not self.address:
            return 1
        return 3 if self.started is not None else 2

    @property
    def stored_families(self) -> dict[str, MetricFamily]:
        """The stored families by name."""
        return self.kept.families

    @property
    def order(self) -> list[str]:
        """The stored order; empty where none was stored."""
        return self.kept.order

    @cached_property
    def stored_toml(self) -> str:
        """The stored families as the text of a file."""
        return toml.document(self.kept.families, self.kept.order)


def look() -> SetupState:
    """Return the present state. This asks no outside system."""
    runs = TelemetryRun.objects.filter(source="prometheus").order_by("-created_at")
    surveys = runs.filter(kind=TelemetryRun.Kind.SURVEY)
    is_environments = bool(settings.PROMETHEUS_URL)
    connection = None if is_environments else stored.newest_connection()
    if connection is not None:
        surveys = surveys.filter(created_at__gte=connection.created_at)
    last = surveys.first()
    done = surveys.filter(state=TelemetryRun.State.COMPLETED).first()
    address = sources.address()
    return SetupState(
        address=address,
        connection=connection,
        is_environments=is_environments,
        look=last if address else None,
        survey=_survey(done) if address else None,
        started=runs.filter(kind=TelemetryRun.Kind.BACKFILL, parameters__discover=True).first(),
        services=Service.objects.exclude(origin="demo").count(),
        kept=_stored(),
    )


def _survey(run: TelemetryRun | None) -> Survey | None:
    try:
        return Survey.model_validate(run.summary) if run else None
    except ValidationError:
        return None  # It was stored by another version; looking again is a click.


def _stored() -> Stored:
    found = stored.newest_families()
    if found is None:
        return Stored()
    return Stored(found.pk, stored.usable_families(found), list(found.order), found.made_by_name)
