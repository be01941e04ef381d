"""Looks at the metrics of the source, and stores the families that read them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Self, TypedDict

from django.conf import settings
from pydantic import Field, model_validator

from apps.catalog.models import Service
from apps.core.actions import (
    Action,
    ActionInput,
    Call,
    Event,
    FieldChange,
    Outcome,
    Preview,
    Risk,
    Touch,
    register,
)
from apps.core.errors import Conflict, FieldProblem, InvalidInput
from apps.core.json_types import JsonObject
from apps.telemetry import runs, services, sources
from apps.telemetry.actions.readings import requested
from apps.telemetry.clients.errors import SourceError
from apps.telemetry.clients.prometheus.families import MetricFamily, load_config
from apps.telemetry.models import FamilySet, TelemetryRun
from apps.telemetry.proposals import toml
from apps.telemetry.setup import stored, surveys

MAX_FAMILIES = 200
_NAMES_SHOWN = 10
FamilyName = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[a-zA-Z0-9][a-zA-Z0-9._-]*$")]


class SurveyInput(ActionInput):
    """No input."""


@register
class LookAtMetrics(Action[SurveyInput, JsonObject]):
    """Have a worker look at the metrics of the source, with a few hundred small queries, and propose families."""

    name = "telemetry.survey"
    title = "Look at metrics"
    permission = "telemetry.configure"
    risk = Risk.LOW
    Input = SurveyInput
    success_status = 202

    def guard(self, call: Call[SurveyInput]) -> None:
        sources.required()

    def preview(self, call: Call[SurveyInput]) -> Preview:
        return Preview(
            summary=f"Look at the names, types and labels of the metrics of {sources.address()}, in "
            "at most a minute and a half "
            "and a few hundred small queries. Only the result is stored."
        )

    def execute(self, call: Call[SurveyInput]) -> Outcome[JsonObject]:
        run = services.request_run(
            TelemetryRun.Kind.SURVEY, source="prometheus", parameters=runs.Reading(), actor=call.actor
        )
        return requested(run)


class NamedFamily(ActionInput):
    """A family and its name. It replaces a built-in family of the same name."""

    name: FamilyName
    family: MetricFamily


class StoreFamiliesInput(ActionInput):
    """All families to store. Stored families that are not among them are removed."""

    families: Annotated[list[NamedFamily], Field(max_length=MAX_FAMILIES)]
    order: Annotated[
        list[FamilyName],
        Field(
            max_length=2 * MAX_FAMILIES,
            description="Names of the families to try, in order, built-in ones included; if empty, "
            "these families come before the others.",
        ),
    ] = []
    version: Annotated[int, Field(ge=0, description="The version that you saw; 0 where there was none.")] = 0

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        names = [one.name for one in self.families]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"{', '.join(twice)} occurs twice; give each family its own name")
        return self

    def by_name(self) -> dict[str, MetricFamily]:
        """Return the families by their names."""
        return {one.name: one.family for one in self.families}


class FamiliesStored(TypedDict):
    """The families that are stored now, by their names, and the order in which they are tried."""

    version: int
    families: list[str]
    order: list[str]


@register
class StoreFamilies(Action[StoreFamiliesInput, FamiliesStored]):
    """Choose the metric families to read besides the built-in ones and the file's, in every process at once."""

    name = "telemetry.store_families"
    title = "Store metric families"
    permission = "telemetry.configure"
    risk = Risk.MEDIUM
    Input = StoreFamiliesInput

    def target(self, data: StoreFamiliesInput, *, lock: bool) -> None:
        if lock:
            stored.lock()  # nobody else can store families between the check of the version and the change

    def guard(self, call: Call[StoreFamiliesInput]) -> None:
        below = load_config(settings.CONFIG_FILE)
        known = {*below.families, *(one.name for one in call.input.families)}
        unknown = [name for name in call.input.order if name not in known]
        if unknown:
            raise InvalidInput(
                f"The order names {', '.join(unknown[:_NAMES_SHOWN])}, but there is no such family.",
                fields=[FieldProblem("order", f"{name} is not a family") for name in unknown[:_NAMES_SHOWN]],
            )
        version = stored.families_version()
        if version != call.input.version:
            found = stored.family_set(version)
            raise Conflict(
                f"Somebody has stored other families since: version {version} is in use, but you saw "
                f"{call.input.version}.",
                extra={
                    "difference": [
                        {"label": change.label, "before": change.before, "after": change.after}
                        for change in changes(call.input.by_name(), stored.usable_families(found))
                    ]
                },
            )

    def preview(self, call: Call[StoreFamiliesInput]) -> Preview:
        old = stored.usable_families(stored.newest_families())
        new = call.input.by_name()
        changed = [name for name in new if new[name] != old.get(name)]
        removed = [name for name in old if name not in new]
        touched, warnings = _services_of({name: new[name] for name in changed})
        known = set(Service.objects.filter(service_id__in=touched).values_list("service_id", flat=True))
        fresh = [name for name in touched if name not in known]
        counts = {
            "new": sum(name not in old for name in changed),
            "changed": sum(name in old for name in changed),
            "removed": len(removed),
        }
        kept_counts = ", ".join(f"{count} {word}" for word, count in counts.items() if count) or "nothing new"
        return Preview(
            summary=f"Store {len(new)} metric famil{'y' if len(new) == 1 else 'ies'}: {kept_counts}. They "
            "are tried before the "
            "built-in ones unless an order is given.",
            changes=changes(old, new),
            touches=[
                Touch(len(known), "services that they read", sorted(known)[:_NAMES_SHOWN]),
                Touch(len(fresh), "services that are new to the catalog", sorted(fresh)[:_NAMES_SHOWN]),
            ]
            if changed
            else [],
            warnings=warnings,
            undo="Store the former families again; hours read with the new ones stay until they are read again.",
        )

    def execute(self, call: Call[StoreFamiliesInput]) -> Outcome[FamiliesStored]:
        before = stored.newest_families()
        made = FamilySet.objects.create(
            families=named(call.input.by_name()),
            order=call.input.order,
            made_by_name=call.actor.name,
        )
        return Outcome(
            result={"version": made.pk, "families": list(made.by_name), "order": made.order},
            object_type="telemetry.families",
            object_id="families",
            object_label=f"Metric families, version {made.pk}",
            before=_snapshot(before),
            after=_snapshot(made),
            events=[Event("telemetry.families_stored", {"version": made.pk}, aggregate="telemetry:families")],
        )

    def done(self, result: FamiliesStored) -> str:
        count = len(result["families"])
        return f"{count} metric famil{'y is' if count == 1 else 'ies are'} stored."


def changes(old: Mapping[str, MetricFamily], new: Mapping[str, MetricFamily]) -> list[FieldChange]:
    """Return the families that differ, as a configuration file would write them."""
    names = [*new, *(name for name in old if name not in new)]
    return [
        FieldChange(name, _words(name, old.get(name)), _words(name, new.get(name)))
        for name in names
        if old.get(name) != new.get(name)
    ]


def _words(name: str, family: MetricFamily | None) -> str:
    if family is None:
        return ""
    text = toml.document({name: family})
    return "\n".join(line for line in text.splitlines()[3:] if line).strip()


def _snapshot(found: FamilySet | None) -> JsonObject | None:
    return {"families": found.families, "order": found.order} if found else None


def _services_of(families: Mapping[str, MetricFamily]) -> tuple[list[str], list[str]]:
    """Return the services that families would read now, and warnings where that is not known."""
    if not families:
        return [], []
    if not sources.is_configured():
        return [], ["No Prometheus is connected, so the services that these families read are not known."]
    try:
        found, refused = surveys.services_of(list(families.values()))
        return sorted(found), [surveys.in_words_of_the_page(one) for one in refused]
    except SourceError as error:
        return [], [
            f"Ballast cannot tell now which services they read: {surveys.in_words_of_the_page(error.detail)}"
        ]


def named(families: Mapping[str, MetricFamily]) -> list[JsonObject]:
    """Return families as they are stored, and as the action's input takes them."""
    return [
        {"name": name, "family": family.model_dump(mode="json", exclude_defaults=True)}
        for name, family in families.items()
    ]
