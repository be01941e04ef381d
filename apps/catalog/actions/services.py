"""Declares services and edits them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal, TypedDict

from pydantic import Field

from apps.accounts.models import Team
from apps.accounts.permissions import team_ids
from apps.catalog.graph.locking import lock_graph
from apps.catalog.models import Dependency, Service
from apps.catalog.schemas import JsonObject, NewServiceId, PublishedSla, ServiceCriticality, ServiceId, Text
from apps.catalog.spelling import difference, service_called, shown, stored
from apps.core.actions import (
    Action,
    ActionInput,
    Actor,
    Call,
    Event,
    FieldChange,
    Outcome,
    Preview,
    Touch,
    register,
)
from apps.core.errors import Conflict, FieldProblem, InvalidInput, NotAllowed, NotFound
from apps.core.json_types import Json
from apps.core.text.alike import look_of

type ServiceField = Literal[
    "team", "criticality", "is_external", "published_sla", "archetype", "on_call", "failure_semantics", "capacity",
    "metadata",
]  # fmt: skip
LABELS: Mapping[ServiceField, str] = {
    "team": "Team",
    "criticality": "Criticality",
    "is_external": "External",
    "published_sla": "Published SLA",
    "archetype": "Archetype",
    "on_call": "On call",
    "failure_semantics": "Failure semantics",
    "capacity": "Capacity",
    "metadata": "Metadata",
}
_WHEN_NULL: Mapping[ServiceField, str | bool | dict[str, Json]] = {
    "criticality": Service.Criticality.MEDIUM,
    "is_external": False,
    "archetype": "",
    "on_call": "",
    "failure_semantics": {},
    "capacity": {},
    "metadata": {},
}
"""The values of fields that are set to null; other fields become null themselves."""
NAMES_SHOWN = 5


class ServiceFields(ActionInput):
    """The fields of a service. A field that is left out stays as it is; null clears it."""

    team: Text | None = Field(default=None, description="An existing team.")
    criticality: ServiceCriticality | None = None
    is_external: bool | None = None
    published_sla: PublishedSla | None = None
    archetype: Text | None = None
    on_call: Text | None = None
    failure_semantics: JsonObject | None = None
    capacity: JsonObject | None = None
    metadata: JsonObject | None = None
    rationale: str = Field(default="", max_length=2000)


class ServiceRecord(TypedDict):
    """The fields of a service as the audit trail and the diff show them."""

    team: str | None
    criticality: str
    is_external: bool
    published_sla: float | None
    archetype: str
    on_call: str
    failure_semantics: dict[str, Json]
    capacity: dict[str, Json]
    metadata: dict[str, Json]


class ServiceState(ServiceRecord):
    """A service and its version."""

    service_id: str
    version: int


def document(service: Service) -> ServiceRecord:
    """Return the fields of a service as the audit trail and the diff show them."""
    sla = service.published_sla
    return {
        "team": service.team.name if service.team else None,
        "criticality": str(service.criticality),
        "is_external": service.is_external,
        "published_sla": None if sla is None else float(sla),
        "archetype": service.archetype,
        "on_call": service.on_call,
        "failure_semantics": service.failure_semantics,
        "capacity": service.capacity,
        "metadata": service.metadata,
    }


def _set(service: Service, data: ServiceFields) -> None:
    for name in LABELS:
        if name not in data.model_fields_set:
            continue
        value = getattr(data, name)
        if name == "team":
            service.team = None if value is None else _team(value)
        else:
            setattr(service, name, _WHEN_NULL.get(name) if value is None else value)


def _team(name: str) -> Team:
    team = Team.objects.filter(name=name).first()
    if team is None:
        raise InvalidInput(f"There is no team called {name}.", fields=[FieldProblem("team", "is not a team")])
    return team


def _changes(before: ServiceRecord | None, after: ServiceRecord) -> list[FieldChange]:
    return [
        FieldChange(label, _shown(before and before[name]), _shown(after[name]))
        for name, label in LABELS.items()
        if (before and before[name]) != after[name]
    ]


def _shown(value: Any) -> str:
    if value is None or value == "" or value == {}:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else str(value)


def _saved(service: Service) -> Service:
    """Store a service and read it back, because its ratio is rounded to the catalog's precision."""
    service.is_discovered = False
    service.save()
    return Service.objects.select_related("team").get(pk=service.pk)


def _event(service: Service) -> Event:
    payload = {"count": 1, "service_ids": [service.service_id]}
    return Event("catalog.graph_changed", payload, aggregate=f"service:{service.pk}")


def callers_of(service: Service) -> Touch:
    """Return the services that call a service, whose recommendations depend on it."""
    rows = Dependency.objects.filter(target=service, is_stale=False)
    names = rows.order_by("source__service_id").values_list("source__service_id", flat=True)
    return Touch(rows.count(), "services that call it", list(names[:NAMES_SHOWN]))


class UpdateServiceInput(ServiceFields):
    service_id: ServiceId
    version: int | None = Field(
        default=None, description="The version that you saw; refused if it has changed."
    )


@register
class UpdateService(Action[UpdateServiceInput, ServiceState]):
    """Change what the catalog says of a service. A discovered service counts as declared afterwards."""

    name = "catalog.update_service"
    title = "Edit the service"
    permission = "catalog.edit_service"
    Input = UpdateServiceInput

    def target(self, data: UpdateServiceInput, *, lock: bool) -> Service:
        rows = Service.objects.select_related("team")
        rows = rows.select_for_update(of=("self",)) if lock else rows
        service = service_called(data.service_id, rows)
        if service is None:
            raise NotFound(f"There is no service called {data.service_id}.")
        return service

    def guard(self, call: Call[UpdateServiceInput]) -> None:
        asked = call.input.version
        if asked is not None and asked != call.target.version:
            raise Conflict(
                f"{call.target} has changed: it is at version {call.target.version}, but you saw version {asked}.",
                extra={"difference": {"version": call.target.version, **document(call.target)}},
            )

    def preview(self, call: Call[UpdateServiceInput]) -> Preview:
        service: Service = call.target
        before = document(service)
        _set(service, call.input)
        changes = _changes(before, document(service))
        warnings = []
        if not call.actor.may(self.permission, service):
            warnings.append(
                "The service will belong to a team that you are not in: you can't change it afterwards."
            )
        return Preview(
            summary=f"{len(changes) or 'None'} of the fields of {service} change.",
            changes=changes,
            touches=[callers_of(service)] if changes else [],
            warnings=warnings,
            undo="Edit it again; the audit trail keeps the former values.",
        )

    def execute(self, call: Call[UpdateServiceInput]) -> Outcome[ServiceState]:
        service: Service = call.target
        before = document(service)
        was_discovered = service.is_discovered
        _set(service, call.input)
        changed = was_discovered or _changes(before, document(service))
        if changed:
            service.version += 1
            service = _saved(service)
        return Outcome(
            result={"service_id": service.service_id, "version": service.version, **document(service)},
            object_type="service",
            object_id=str(service.pk),
            object_label=service.service_id,
            service_id=service.service_id,
            before=before,
            after=document(service),
            events=[_event(service)] if changed else [],
        )


class DeclareServiceInput(ServiceFields):
    service_id: NewServiceId


@register
class DeclareService(Action[DeclareServiceInput, ServiceState]):
    """Put a service into the catalog, or declare one that was only discovered so far. Owners declare services of
    their own teams."""

    name = "catalog.declare_service"
    title = "Declare a service"
    permission = "catalog.edit_service"
    Input = DeclareServiceInput
    success_status = 201

    def target(self, data: DeclareServiceInput, *, lock: bool) -> None:
        if lock:
            lock_graph()  # nobody else can create the same service between the check and the change

    def guard(self, call: Call[DeclareServiceInput]) -> None:
        _must_own(call.actor, call.input.team)
        known = service_called(call.input.service_id, Service.objects.all())
        if known is not None and not known.is_discovered:
            raise Conflict(f"{known} is in the catalog already. Edit it there.")

    def preview(self, call: Call[DeclareServiceInput]) -> Preview:
        service = self._service(call.input, lock=False)
        before = document(service) if service.pk else None
        _set(service, call.input)
        return Preview(
            summary=f"{service} {'was discovered and counts as declared' if service.pk else 'is new'}.",
            changes=_changes(before, document(service)),
            touches=[callers_of(service)] if service.pk else [],
            warnings=[] if service.pk else _looking_alike(service.service_id),
        )

    def execute(self, call: Call[DeclareServiceInput]) -> Outcome[ServiceState]:
        service = self._service(call.input, lock=True)
        before = document(service) if service.pk else None
        service.version += 0 if service.pk is None else 1
        _set(service, call.input)
        service = _saved(service)
        return Outcome(
            result={"service_id": service.service_id, "version": service.version, **document(service)},
            object_type="service",
            object_id=str(service.pk),
            object_label=service.service_id,
            service_id=service.service_id,
            before=before,
            after=document(service),
            events=[_event(service)],
        )

    @staticmethod
    def _service(data: DeclareServiceInput, *, lock: bool) -> Service:
        rows = Service.objects.select_for_update() if lock else Service.objects.all()
        return service_called(data.service_id, rows) or Service(service_id=stored(data.service_id))


def _looking_alike(service_id: str) -> list[str]:
    """Return warnings about services in the catalog whose ids look like a new one."""
    look = look_of(service_id)
    others = (name for name in Service.objects.values_list("service_id", flat=True) if look_of(name) == look)
    return [
        f"{shown(other)} is in the catalog and differs in {difference(service_id, other)}: are they one service?"
        for other in sorted(others)[:3]
    ]


def _must_own(actor: Actor, team: str | None) -> None:
    if actor.user is None or actor.user.role == "sre_admin":
        return
    own = dict(Team.objects.filter(pk__in=team_ids(actor.user)).values_list("name", "pk"))
    if team not in own:
        teams = ", ".join(sorted(own)) or "none"
        raise NotAllowed(
            f"You can declare services of your own teams ({teams}); an SRE admin can declare those of any team."
        )
