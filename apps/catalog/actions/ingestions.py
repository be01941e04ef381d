"""Receives a graph, and abandons one that is not applied."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, TypedDict
from uuid import UUID

from pydantic import Field

from apps.catalog.ingesting import ingestion as ingestions
from apps.catalog.ingesting.reporting import ingestion_state
from apps.catalog.models import Ingestion
from apps.catalog.schemas import DependencyRows, ServiceRows, Source
from apps.core.actions import (
    Action,
    ActionInput,
    Actor,
    Call,
    FieldChange,
    Outcome,
    Preview,
    Risk,
    Touch,
    register,
)
from apps.core.errors import Conflict, NotAllowed, NotFound
from apps.core.instants import AwareInstant
from apps.core.runs import ended

MAX_PARTS = 100
NAMES_SHOWN = 5


class IngestDependenciesInput(ActionInput):
    """Services and dependencies, or one part of them if one request cannot hold all."""

    discovery_source: Source = Field(description="The source of the statements.")
    services: ServiceRows = Field(default_factory=list)
    dependencies: DependencyRows = Field(default_factory=list)
    observed_at: AwareInstant | None = Field(
        default=None, description="When edges without an observed_at of their own were seen; by default now."
    )
    parts: int = Field(default=1, ge=1, le=MAX_PARTS, description="The number of parts of the whole.")
    part: int = Field(default=1, ge=1, le=MAX_PARTS, description="The number of this part, from 1.")
    ingestion_id: UUID | None = Field(
        default=None, description="The ingestion to which this part belongs; empty for the first part sent."
    )


def _ingestion(ingestion_id: UUID, *, lock: bool) -> Ingestion:
    rows = Ingestion.objects.all()
    if lock:
        rows = rows.select_for_update(of=("self", "run"))
    try:
        return rows.get(pk=ingestion_id)
    except Ingestion.DoesNotExist:
        raise NotFound(f"There is no ingestion {ingestion_id}.") from None


def _must_be_theirs(actor: Actor, ingestion: Ingestion) -> None:
    if actor.user is None or actor.user.pk == ingestion.requested_by_id or actor.user.role == "sre_admin":
        return
    raise NotAllowed(
        f"Only {ingestion.requested_by_name}, who started this ingestion, or an SRE admin may do this."
    )


class IngestionState(TypedDict):
    """What the caller needs to follow an ingestion and to send its other parts."""

    ingestion_id: str
    state: str
    parts_expected: int
    parts_received: int
    status_url: str


@register
class IngestDependencies(Action[IngestDependenciesInput, IngestionState]):
    """Take in services and dependencies. They are checked as a whole and applied by a worker; the answer says where
    to follow it."""

    name = "catalog.ingest_dependencies"
    title = "Import dependencies"
    permission = "catalog.ingest"
    risk = Risk.MEDIUM
    Input = IngestDependenciesInput
    success_status = 202

    def target(self, data: IngestDependenciesInput, *, lock: bool) -> Ingestion | None:
        return None if data.ingestion_id is None else _ingestion(data.ingestion_id, lock=lock)

    def guard(self, call: Call[IngestDependenciesInput]) -> None:
        data, ingestion = call.input, call.target
        if ingestion is None:
            if data.part > data.parts:
                raise Conflict(f"This ingestion has {data.parts} parts; there is no part {data.part}.")
            return
        _must_be_theirs(call.actor, ingestion)
        if ingestion.discovery_source != data.discovery_source:
            raise Conflict(
                f"This ingestion is from {ingestion.discovery_source}; all its parts must be from it."
            )
        if "parts" in data.model_fields_set and data.parts != ingestion.parts_expected:
            raise Conflict(
                f"This ingestion was started with {ingestion.parts_expected} parts, not {data.parts}."
            )

    def preview(self, call: Call[IngestDependenciesInput]) -> Preview:
        data = call.input
        names = [row.service_id for row in data.services]
        edges = [f"{row.source} → {row.target}" for row in data.dependencies]
        return Preview(
            summary=f"{len(names):,} services and {len(edges):,} dependencies are checked and applied as a whole.",
            touches=[
                Touch(len(names), "services", names[:NAMES_SHOWN]),
                Touch(len(edges), "dependencies", edges[:NAMES_SHOWN]),
            ],
            undo="Import the former state; retract edges that were declared by mistake.",
        )

    def execute(self, call: Call[IngestDependenciesInput]) -> Outcome[IngestionState]:
        data = call.input
        ingestion = call.target or ingestions.create(
            discovery_source=data.discovery_source, parts=data.parts, actor=call.actor
        )
        payload = data.model_dump(
            mode="json", exclude_none=True, include={"services", "dependencies", "observed_at"}
        )
        ingestions.receive(ingestion, number=data.part, payload=payload)
        return Outcome(
            result=ingestion_result(ingestion),
            object_type="ingestion",
            object_id=str(ingestion.pk),
            object_label=str(ingestion),
            after={
                "discovery_source": ingestion.discovery_source,
                "part": data.part,
                "parts": ingestion.parts_expected,
                "services": len(data.services),
                "dependencies": len(data.dependencies),
                "state": ingestion_state(ingestion),
            },
        )


def ingestion_result(ingestion: Ingestion) -> IngestionState:
    """Return what the caller needs to follow an ingestion and to send its other parts."""
    return {
        "ingestion_id": str(ingestion.pk),
        "state": ingestion_state(ingestion),
        "parts_expected": ingestion.parts_expected,
        "parts_received": ingestion.parts_received,
        "status_url": f"/api/v1/services/dependencies/ingestions/{ingestion.pk}",
    }


class AbandonIngestionInput(ActionInput):
    ingestion_id: UUID
    rationale: str = Field(default="", max_length=2000)


@register
class AbandonIngestion(Action[AbandonIngestionInput, IngestionState]):
    """Give up an ingestion that has not been applied. What was sent is dropped; nothing in the catalog changes."""

    name = "catalog.abandon_ingestion"
    title = "Abandon the ingestion"
    permission = "catalog.ingest"
    Input = AbandonIngestionInput

    def target(self, data: AbandonIngestionInput, *, lock: bool) -> Ingestion:
        return _ingestion(data.ingestion_id, lock=lock)

    def guard(self, call: Call[AbandonIngestionInput]) -> None:
        _must_be_theirs(call.actor, call.target)
        if call.target.state not in Ingestion.WAITING:
            state = ingestion_state(call.target)
            raise Conflict(f"This ingestion is {state}; only an ingestion that waits can be abandoned.")

    def preview(self, call: Call[AbandonIngestionInput]) -> Preview:
        ingestion = call.target
        return Preview(
            summary=f"The {ingestion.rows_total:,} rows received so far are dropped. The catalog stays as it is.",
            changes=[FieldChange("State", ingestion_state(ingestion), "abandoned")],
            undo="Send it again.",
        )

    def execute(self, call: Call[AbandonIngestionInput]) -> Outcome[IngestionState]:
        ingestion = call.target
        ingestion.lease_token += 1  # a worker that held the run has lost it by now
        ingestion.stop_asked_by = call.actor.name
        ingestion.save(update_fields=["lease_token", "stop_asked_by"])
        outcome: Outcome[Any] = ended(ingestion, Ingestion.State.CANCELLED, summary={})
        return replace(outcome, result=ingestion_result(ingestion))
