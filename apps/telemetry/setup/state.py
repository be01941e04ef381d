"""How far telemetry is set up: connected, looked at, started. What the page of it shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

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
    """The stored families that count."""

    version: int = 0
    families: dict[str, MetricFamily] = field(default_factory=dict)
    order: list[str] = field(default_factory=list)
    made_by: str = ""


@dataclass
class SetupState:
    """What holds now.

    Parameters:
        address: where telemetry is read from, or an empty text.
        connection: what a person stored, if it counts.
        is_environments: the environment says where; nothing can be connected here.
        look: the newest look at the metrics, under way or over.
        survey: what the newest look that came to an end found.
        started: the newest reading of the past.
        services: services of the catalog, the demo's left out.
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
        """Whether a worker looks at the metrics now."""
        return self.look is not None and not self.look.is_over

    @property
    def is_starting(self) -> bool:
        """Whether a worker reads the past now."""
        return self.started is not None and not self.started.is_over

    @property
    def failure(self) -> str:
        """Why the last look at the metrics failed, or an empty text."""
        return self._failure_of(self.look)

    @property
    def start_failure(self) -> str:
        """Why the last reading of the past failed, or an empty text."""
        return self._failure_of(self.started)

    def _failure_of(self, run: TelemetryRun | None) -> str:
        if run is None or not run.is_over or run.state == TelemetryRun.State.COMPLETED:
            return ""
        failure = str(run.summary.get("failure", "It came to no end."))
        return failure if self.is_environments else surveys.in_words_of_the_page(failure)

    @property
    def step(self) -> int:
        """What is to be done next: 1 connect, 2 choose, 3 wait or go on."""
        if not self.address:
            return 1
        return 3 if self.started is not None else 2

    @property
    def stored(self) -> Mapping[str, Any]:
        """The stored families by name."""
        return self.kept.families

    @property
    def stored_families(self) -> dict[str, MetricFamily]:
        """The stored families by name."""
        return self.kept.families

    @property
    def order(self) -> list[str]:
        """The order that was stored, or nothing."""
        return self.kept.order

    @cached_property
    def stored_toml(self) -> str:
        """The stored families as the text of a file."""
        return toml.document(self.kept.families, self.kept.order)


def look() -> SetupState:
    """Look at what holds now. Asks no outside system."""
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
    families: dict[str, MetricFamily] = {}
    for name, given in found.by_name.items():
        try:
            families[name] = MetricFamily.model_validate(given)
        except ValidationError:
            continue  # The log says so whenever families are read.
    return Stored(found.pk, families, list(found.order), found.made_by_name)
