"""Retracts a declared dependency: a declaration is valid until somebody retracts it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from apps.catalog.graph.locking import lock_graph
from apps.catalog.graph.merging import merge_edges
from apps.catalog.models import Dependency, DependencySighting, Service
from apps.catalog.schemas import ServiceId
from apps.core import instants
from apps.core.actions import Action, ActionInput, Call, Event, FieldChange, Outcome, Preview, Risk, register
from apps.core.errors import NotFound


class RetractDependencyInput(ActionInput):
    source: ServiceId
    target: ServiceId
    discovery_source: Literal["manual", "file", "backstage"] = Field(
        default="manual", description="The source whose statement is retracted."
    )
    rationale: str = Field(default="", max_length=2000)


@register
class RetractDependency(Action[RetractDependencyInput, dict[str, str | list[str]]]):
    """Take back what a declaring source says of an edge. The edge goes when nobody else knows it."""

    name = "catalog.retract_dependency"
    title = "Retract the dependency"
    permission = "catalog.edit_service"
    risk = Risk.MEDIUM
    Input = RetractDependencyInput

    def target(self, data: RetractDependencyInput, *, lock: bool) -> Service:
        if lock:
            lock_graph()
        source = Service.objects.select_related("team").filter(service_id=data.source).first()
        if source is None:
            raise NotFound(f"There is no service called {data.source}.")
        return source

    def preview(self, call: Call[RetractDependencyInput]) -> Preview:
        _, others = self._sighting(call)
        named = f"{call.input.source} → {call.input.target}"
        stays = f"stays, known by {', '.join(others)}" if others else "is removed"
        known_by = ", ".join([call.input.discovery_source, *others])
        return Preview(
            summary=f"{named} {stays}.",
            changes=[FieldChange("Known by", known_by, ", ".join(others) or "none")],
            warnings=[] if others else ["Recommendations will no longer count this edge."],
            undo="Import the dependency again.",
        )

    def execute(self, call: Call[RetractDependencyInput]) -> Outcome[dict[str, str | list[str]]]:
        sighting, others = self._sighting(call)
        dependency = sighting.dependency
        before = {"known_by": [call.input.discovery_source, *others], "attributes": sighting.attributes}
        if others:
            sighting.delete()
            merge_edges(instants.now(), [dependency.pk])
        else:
            dependency.delete()
        ends = sorted([call.input.source, call.input.target])
        return Outcome(
            result={"source": call.input.source, "target": call.input.target, "known_by": others},
            object_type="dependency",
            object_id=str(sighting.dependency_id),
            object_label=f"{call.input.source} → {call.input.target}",
            service_id=call.input.source,
            before=before,
            after={"known_by": others},
            events=[
                Event("catalog.graph_changed", {"count": 2, "service_ids": ends}, aggregate="catalog"),
                Event("catalog.edges_removed", {"count": 1}, aggregate="catalog"),
            ],
        )

    @staticmethod
    def _sighting(call: Call[RetractDependencyInput]) -> tuple[DependencySighting, list[str]]:
        """Return the statement and the other sources that know the edge. Raises :class:`NotFound`."""
        data = call.input
        dependency = Dependency.objects.filter(source=call.target, target__service_id=data.target).first()
        sightings = {} if dependency is None else {s.discovery_source: s for s in dependency.sightings.all()}
        if data.discovery_source not in sightings:
            raise NotFound(
                f"{data.discovery_source} does not say that {data.source} depends on {data.target}."
            )
        others = sorted(source for source in sightings if source != data.discovery_source)
        return sightings[data.discovery_source], others
