"""New recommendations: a person asks for them, the system stores them."""

from __future__ import annotations

from typing import Any, TypedDict
from uuid import uuid4

from pydantic import Field

from apps.catalog.models import Service
from apps.core.actions import Action, ActionInput, Call, Event, FieldChange, Outcome, Preview, Risk, register
from apps.core.instants import AwareInstant
from apps.core.models import AuditEntry
from apps.slos import runs
from apps.slos.actions.inputs import MAX_RATIONALE
from apps.slos.documents.types import as_document
from apps.slos.making import storing
from apps.slos.models import SliType
from apps.slos.objectives import lifecycle
from apps.ui.format import plural

NAMES_IN_EVENT = 1_000


class RegenerateInput(ActionInput):
    service_id: str = Field(min_length=1, max_length=255, json_schema_extra={"widget": "hidden"})
    rationale: str = Field(default="", max_length=MAX_RATIONALE, json_schema_extra={"widget": "textarea"})


class Asked(TypedDict):
    """A question for a recommendation, and the ticket to wait on."""

    service_id: str
    ticket: str


@register
class Regenerate(Action[RegenerateInput, Asked]):
    """Ask for a new recommendation; a worker computes it within seconds. The answer's ticket is what to wait
    on.
    """

    name = "slos.regenerate"
    title = "Regenerate recommendation"
    permission = "slos.regenerate"
    risk = Risk.LOW
    Input = RegenerateInput
    success_status = 202

    def sentence(self, entry: AuditEntry) -> str:
        return "New recommendation requested"

    def target(self, data: RegenerateInput, *, lock: bool) -> Service:
        return lifecycle.find_service(data.service_id, lock=False)

    def preview(self, call: Call[RegenerateInput]) -> Preview:
        current = lifecycle.current_recommendation(call.target, SliType.AVAILABILITY)
        before = f"made {current.generated_at:%Y-%m-%d %H:%M} UTC" if current else "none"
        return Preview(
            summary=f"The recommendations for {call.target.service_id} are computed from the newest data.",
            changes=[FieldChange("Recommendations", before, "new")],
            undo="Nothing to undo: active SLOs do not change, and the earlier recommendations are kept for 30 days.",
        )

    def done(self, result: Asked) -> str:
        return (
            f"A worker computes new recommendations for {result['service_id']}; they appear here in seconds."
        )

    def execute(self, call: Call[RegenerateInput]) -> Outcome[Asked]:
        service = call.target
        ticket = uuid4().hex
        runs.regenerate(service, ticket=ticket, actor=call.actor)
        return Outcome(
            result={"service_id": service.service_id, "ticket": ticket},
            object_type="service",
            object_id=str(service.pk),
            object_label=service.service_id,
            service_id=service.service_id,
        )


class StoreInput(ActionInput):
    documents: list[dict[str, Any]] = Field(min_length=1, max_length=1_000)
    computed_from: AwareInstant = Field(description="The database's time before anything was read for them.")
    rationale: str = ""


class Stored(TypedDict):
    """How many services and verdicts were stored, and the end of the newest data."""

    services: int
    verdicts: dict[str, int]
    as_of: str | None


@register
class StoreRecommendations(Action[StoreInput, Stored]):
    """Keep what was computed. Only the system does this: no role holds the permission.

    One entry in the audit trail for each batch that a run stores, with counts, in the transaction that stores
    it.
    """

    name = "slos.store_recommendations"
    title = "Store recommendations"
    permission = "slos.store_recommendations"
    risk = Risk.LOW
    Input = StoreInput

    def sentence(self, entry: AuditEntry) -> str:
        number = (entry.after or {}).get("services")
        if not number:
            return "New recommendations stored"
        return f"{plural(number, 'service')} got new recommendations"

    def preview(self, call: Call[StoreInput]) -> Preview:
        return Preview(summary=f"{len(call.input.documents)} services get new recommendations.")

    def execute(self, call: Call[StoreInput]) -> Outcome[Stored]:
        documents = [as_document(one) for one in call.input.documents]
        stored = storing.store(documents, computed_from=call.input.computed_from)
        names = [document["service_id"] for document in documents]
        one = names[0] if len(names) == 1 else ""
        counts: Stored = {
            "services": len(stored.services),
            "verdicts": stored.verdicts,
            "as_of": stored.as_of.isoformat().replace("+00:00", "Z") if stored.as_of else None,
        }
        return Outcome(
            result=counts,
            object_type="recommendations",
            object_id=one or f"{len(stored.services)} services",
            object_label=one or f"{len(stored.services)} services",
            service_id=one,
            after=counts,
            events=[
                Event(
                    "slos.recommendations_made",
                    {
                        "count": len(stored.services),
                        "services": stored.services if len(stored.services) <= NAMES_IN_EVENT else None,
                    },
                    aggregate="slos",
                )
            ],
        )
