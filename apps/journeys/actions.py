"""The actions that create, edit and delete journeys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypedDict

from apps.accounts.models import Team
from apps.accounts.permissions import scope_of, team_ids
from apps.catalog.models import Service
from apps.core.actions import (
    Action,
    Actor,
    Call,
    Event,
    FieldChange,
    Outcome,
    Preview,
    Risk,
    Touch,
    register,
)
from apps.core.errors import Conflict, FieldProblem, InvalidInput, NotAllowed, NotFound
from apps.core.rooms import Scope
from apps.journeys.documents import JourneySnapshot, as_paths
from apps.journeys.formatting import path_words, within_words
from apps.journeys.inputs import CreateInput, DeleteInput, EditInput, JourneyFields
from apps.journeys.models import Journey
from apps.journeys.services import free_slug, mark_outdated
from apps.ui.format import percent, plural

CHANGED = "journeys.changed"
NAMES_SHOWN = 5


def document(journey: Journey) -> JourneySnapshot:
    """Return a journey as a document for the audit trail and the API."""
    return {
        "journey": journey.slug,
        "name": journey.name,
        "team": journey.team.name if journey.team else None,
        "description": journey.description,
        "target": journey.target,
        "latency_target_ms": journey.latency_target_ms,
        "paths": as_paths(journey.paths),
    }


def _team(name: str | None) -> Team | None:
    if not name:
        return None
    team = Team.objects.filter(name=name).first()
    if team is None:
        raise InvalidInput(f"There is no team called {name}.", fields=[FieldProblem("team", "is not a team")])
    return team


def _must_own(actor: Actor, name: str | None) -> None:
    """Require that owners use their own teams. People who may edit all journeys may choose any team or none."""
    if actor.user is None or scope_of(actor.user, "journeys.edit") is Scope.ALL:
        return
    own = dict(Team.objects.filter(pk__in=team_ids(actor.user)).values_list("name", "pk"))
    if name not in own:
        teams = ", ".join(sorted(own)) or "none"
        raise NotAllowed(f"You can keep journeys of your own teams ({teams}); an SRE admin those of any.")


def _members(data: JourneyFields) -> list[Service]:
    """Return the services on the paths. Raises :class:`InvalidInput` that names the steps without a service."""
    names = {step.service_id for path in data.paths for step in path.steps}
    found = {service.service_id: service for service in Service.objects.filter(service_id__in=names)}
    problems = [
        FieldProblem(
            f"paths.{at}.steps.{number}.service_id", f"There is no service called {step.service_id}."
        )
        for at, path in enumerate(data.paths)
        for number, step in enumerate(path.steps)
        if step.service_id not in found
    ]
    if problems:
        missing = sorted(names - found.keys())
        raise InvalidInput(f"The catalog does not know {', '.join(missing[:3])}.", fields=problems)
    return [found[name] for name in sorted(found)]


def _free(name: str, journey: Journey | None) -> None:
    rows = Journey.objects.filter(name=name)
    if journey is not None:
        rows = rows.exclude(pk=journey.pk)
    if rows.exists():
        raise InvalidInput(
            f"There is a journey called {name} already.",
            fields=[FieldProblem("name", "Another journey has this name.")],
        )


def _fill(journey: Journey, data: JourneyFields) -> None:
    journey.name, journey.description, journey.target = data.name, data.description, data.target
    journey.latency_target_ms = data.latency_target_ms
    journey.team = _team(data.team)
    journey.paths = [path.model_dump() for path in data.paths]


def _changes(before: JourneySnapshot | None, after: JourneySnapshot) -> list[FieldChange]:
    found = [
        FieldChange("Name", before["name"] if before else "none", after["name"]),
        FieldChange("Team", (before and before["team"]) or "none", after["team"] or "none"),
        FieldChange("Target", percent(before["target"] if before else None), percent(after["target"])),
        FieldChange(
            "Latency target",
            within_words(before["latency_target_ms"] if before else None),
            within_words(after["latency_target_ms"]),
        ),
        FieldChange(
            "Description", (before and before["description"]) or "none", after["description"] or "none"
        ),
    ]
    old, new = path_words(before["paths"] if before else []), path_words(after["paths"])
    found += [
        FieldChange(
            f"Path {at + 1}", old[at] if at < len(old) else "none", new[at] if at < len(new) else "none"
        )
        for at in range(max(len(old), len(new)))
    ]
    return [change for change in found if change.before != change.after]


def _touches(members: list[Service]) -> list[Touch]:
    names = [service.service_id for service in members[:NAMES_SHOWN]]
    return [Touch(len(members), "services on its paths", names)]


class JourneyState(JourneySnapshot):
    """A journey and its version."""

    version: int


class JourneyName(TypedDict):
    """A journey that is gone."""

    journey: str
    name: str


def _outcome(journey: Journey, before: JourneySnapshot | None) -> Outcome[JourneyState]:
    after = document(journey)
    mark_outdated([journey.pk])
    return Outcome(
        result={**after, "version": journey.version},
        object_type="journey",
        object_id=str(journey.pk),
        object_label=journey.name,
        before=before,
        after=after,
        events=[Event(CHANGED, {"journeys": [str(journey.pk)]}, aggregate=f"journey:{journey.pk}")],
    )


@register
class Create(Action[CreateInput, JourneyState]):
    """Describe a user journey as weighted paths over services. Owners create journeys of their own teams."""

    name = "journeys.create"
    title = "Create journey"
    permission = "journeys.edit"
    risk = Risk.LOW
    Input = CreateInput
    success_status = 201

    def guard(self, call: Call[CreateInput]) -> None:
        _must_own(call.actor, call.input.team)
        _free(call.input.name, None)

    def preview(self, call: Call[CreateInput]) -> Preview:
        members = _members(call.input)
        journey = Journey()
        _fill(journey, call.input)
        paths = plural(len(call.input.paths), "path")
        return Preview(
            summary=f"{call.input.name} is a journey with {paths} over {plural(len(members), 'service')}.",
            changes=_changes(None, document(journey)),
            touches=_touches(members),
            undo="Delete the journey. Services and their SLOs are not touched either way.",
        )

    def done(self, result: JourneyState) -> str:
        return f"{result['name']} is a journey now; a worker computes what it achieves."

    def execute(self, call: Call[CreateInput]) -> Outcome[JourneyState]:
        members = _members(call.input)
        journey = Journey(slug=free_slug(call.input.name))
        _fill(journey, call.input)
        journey.save(force_insert=True)
        journey.members.set(members)
        return _outcome(journey, None)


class _OnOne[InputT: (EditInput, DeleteInput), ResultT: Mapping[str, object]](Action[InputT, ResultT]):
    permission = "journeys.edit"

    def target(self, data: InputT, *, lock: bool) -> Journey:
        rows = Journey.objects.select_related("team")
        rows = rows.select_for_update(of=("self",)) if lock else rows
        journey = rows.filter(slug=data.journey).first()
        if journey is None:
            raise NotFound(f"There is no journey {data.journey}.")
        return journey

    def same_version(self, call: Call[InputT]) -> None:
        journey: Journey = call.target
        if call.input.version != journey.version:
            raise Conflict(
                f"{journey} has been changed: it is at version {journey.version}, you looked at "
                f"{call.input.version}.",
                extra={"difference": {"version": journey.version, **document(journey)}},
            )


@register
class Edit(_OnOne[EditInput, JourneyState]):
    """Replace a journey's name, team, targets and paths by the given ones."""

    name = "journeys.edit"
    title = "Edit journey"
    risk = Risk.LOW
    Input = EditInput

    def guard(self, call: Call[EditInput]) -> None:
        self.same_version(call)
        _must_own(call.actor, call.input.team)
        _free(call.input.name, call.target)

    def preview(self, call: Call[EditInput]) -> Preview:
        journey: Journey = call.target
        members = _members(call.input)
        before = document(journey)
        _fill(journey, call.input)
        changes = _changes(before, document(journey))
        return Preview(
            summary=f"{journey} changes." if changes else f"Nothing of {journey} changes.",
            changes=changes,
            touches=_touches(members) if changes else [],
            undo="Edit it again; the audit trail keeps what it was.",
        )

    def done(self, result: JourneyState) -> str:
        return f"{result['name']} is changed; a worker computes it again."

    def execute(self, call: Call[EditInput]) -> Outcome[JourneyState]:
        journey: Journey = call.target
        members = _members(call.input)
        before = document(journey)
        _fill(journey, call.input)
        journey.version += 1
        journey.save()
        journey.members.set(members)
        return _outcome(journey, before)


@register
class Delete(_OnOne[DeleteInput, JourneyName]):
    """Delete a journey and its result. Its services and their SLOs are not touched."""

    name = "journeys.delete"
    title = "Delete journey"
    risk = Risk.MEDIUM
    Input = DeleteInput

    def guard(self, call: Call[DeleteInput]) -> None:
        self.same_version(call)

    def preview(self, call: Call[DeleteInput]) -> Preview:
        journey: Journey = call.target
        return Preview(
            summary=f"{journey} and its result are deleted. Services and their SLOs are not touched.",
            touches=_touches(list(journey.members.order_by("service_id"))),
            undo="Create it again; the audit trail keeps its paths.",
        )

    def done(self, result: JourneyName) -> str:
        return f"{result['name']} is deleted."

    def execute(self, call: Call[DeleteInput]) -> Outcome[JourneyName]:
        journey: Journey = call.target
        before, pk = document(journey), str(journey.pk)
        journey.delete()
        return Outcome(
            result={"journey": before["journey"], "name": before["name"]},
            object_type="journey",
            object_id=pk,
            object_label=before["name"],
            before=before,
            events=[Event(CHANGED, {"journeys": []}, aggregate=f"journey:{pk}")],
        )
