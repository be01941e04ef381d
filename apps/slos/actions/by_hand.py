"""SLOs written by hand: set one where there is none, edit one, retire one."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Self

from django.conf import settings
from pydantic import ConfigDict, Field, model_validator

from apps.catalog.models import Service
from apps.core.actions import Action, Call, FieldChange, Mark, Outcome, Preview, Risk, Undo, register
from apps.core.errors import Conflict, NotFound
from apps.core.models import AuditEntry
from apps.slos.actions.decide import (
    changes_between,
    check_number,
    preview_slo,
    proposed_number,
    proposed_words,
    slo_now,
)
from apps.slos.actions.inputs import (
    Rationale,
    SloInput,
    Target,
    Threshold,
    Version,
    number_fits_the_sli,
    undone,
)
from apps.slos.documents.types import SloChanged, SloTerms
from apps.slos.formatting import (
    SLI_WORDS,
    is_latency,
    latency_share,
    sli_name,
    slo_snapshot,
    slo_words,
    snapshot_words,
)
from apps.slos.impact import risk
from apps.slos.models import ActiveSlo
from apps.slos.objectives import lifecycle, sli_events
from apps.slos.objectives.after_decision import follow_change
from apps.slos.objectives.lifecycle import active_slo

BY_HAND = ActiveSlo.Source.MANUAL
Window = Annotated[
    int,
    Field(
        ge=1,
        le=90,
        title="Window",
        description="Days over which the SLO is counted.",
        json_schema_extra={"unit": "days"},
    ),
]


class SloTermsInput(SloInput):
    model_config = ConfigDict(json_schema_extra=number_fits_the_sli)

    target: Target | None = None
    threshold_ms: Threshold | None = Field(default=None, title="Threshold")
    window_days: Window | None = None
    rationale: Rationale

    @model_validator(mode="after")
    def _number_fits_the_sli(self) -> Self:
        check_number(self.sli_type, self.target, self.threshold_ms)
        return self


class SetInput(SloTermsInput):
    expected_version: Version | None = None


class EditInput(SloTermsInput):
    expected_version: Version


class RetireInput(SloInput):
    expected_version: Version
    rationale: Rationale


class _ByHand[InputT: SloInput](Action[InputT, SloChanged]):
    permission = "slos.decide"
    risk = Risk.MEDIUM
    mark: ClassVar[Mark] = "ok"

    def target(self, data: InputT, *, lock: bool) -> Service:
        return lifecycle.find_service(data.service_id, lock=lock)

    def undo(self, entry: AuditEntry) -> Undo:
        return undone(entry)

    def replace(
        self, call: Call[Any], kind: str, before: ActiveSlo | None, terms: SloTerms | None
    ) -> Outcome[SloChanged]:
        """End the active SLO and, with ``terms``, begin another instead."""
        service, data = call.target, call.input
        lifecycle.end_slo(service, data.sli_type)
        after = None
        if terms is not None:
            after = lifecycle.begin_slo(
                service,
                data.sli_type,
                actor=call.actor,
                source=BY_HAND,
                # What was recommended at the time: a later recommendation is compared with it.
                recommendation=lifecycle.current_recommendation(service, data.sli_type),
                rationale=data.rationale,
                **terms,
            )
        follow_change(service, data.sli_type)
        subject = after or before
        assert subject is not None
        return Outcome(
            result={
                "service_id": service.service_id,
                "slo": slo_snapshot(after),
                "previous": slo_snapshot(before),
                "change": changes_between(before, after),
            },
            object_type="slo",
            object_id=str(subject.pk),
            object_label=f"{SLI_WORDS[data.sli_type]} of {service.service_id}: {slo_words(after)}",
            service_id=service.service_id,
            before=slo_snapshot(before),
            after=slo_snapshot(after),
            events=[lifecycle.slo_changed(service, kind, before, after)],
        )


def _terms(service: Service, data: SloTermsInput, before: ActiveSlo | None) -> SloTerms:
    window_days = data.window_days or (before.window_days if before else settings.WINDOW_DAYS)
    if is_latency(data.sli_type):
        basis = before.basis if before else sli_events.latency_basis(service.pk)
        share = latency_share(data.sli_type, basis)
        return {
            "target": share,
            "threshold_ms": data.threshold_ms,
            "basis": basis,
            "window_days": window_days,
        }
    assert data.target is not None
    return {"target": lifecycle.checked_target(data.target), "threshold_ms": None, "window_days": window_days}


def _in_force(service: Service, data: SloInput, expected: int) -> ActiveSlo:
    lifecycle.expect_version(service, data.sli_type, expected)
    slo = active_slo(service, data.sli_type)
    if slo is None:
        raise NotFound(f"{service.service_id} has no {SLI_WORDS[data.sli_type]} SLO in force. Set one first.")
    return slo


@register
class Set(_ByHand[SetInput]):
    """Set an SLO without a recommendation."""

    name = "slos.set"
    title = "Set SLO"
    Input = SetInput

    def sentence(self, entry: AuditEntry) -> str:
        return f"{sli_name(entry)} {snapshot_words(entry.after)} set by hand"

    def preview(self, call: Call[SetInput]) -> Preview:
        self._free(call)
        terms = _terms(call.target, call.input, None)
        words = proposed_words(call.input.sli_type, terms, BY_HAND)
        summary = f"{call.target.service_id} gets an SLO of {words}, set by hand."
        submit = f"Set {proposed_number(call.input.sli_type, terms, BY_HAND)}"
        return preview_slo(call.target, call.input.sli_type, terms, summary, source=BY_HAND, submit=submit)

    def done(self, result: SloChanged) -> str:
        return slo_now(result)

    def execute(self, call: Call[SetInput]) -> Outcome[SloChanged]:
        self._free(call)
        return self.replace(call, "set", None, _terms(call.target, call.input, None))

    def _free(self, call: Call[SetInput]) -> None:
        service, sli_type = call.target, call.input.sli_type
        lifecycle.expect_version(service, sli_type, call.input.expected_version)
        slo = active_slo(service, sli_type)
        if slo is not None:
            rows = lifecycle.difference(service, sli_type)
            raise Conflict(
                f"{service.service_id} has a {SLI_WORDS[sli_type]} SLO already: {slo_words(slo)}. "
                "Edit that one.",
                extra={"difference": lifecycle.as_rows(rows), "version": slo.version},
            )


@register
class Edit(_ByHand[EditInput]):
    """Change the number or the window of an SLO. The old one ends, a new one begins."""

    name = "slos.edit"
    title = "Edit SLO"
    Input = EditInput

    def sentence(self, entry: AuditEntry) -> str:
        return (
            f"{sli_name(entry)} changed from {snapshot_words(entry.before)} to {snapshot_words(entry.after)}"
        )

    def preview(self, call: Call[EditInput]) -> Preview:
        before = _in_force(call.target, call.input, call.input.expected_version)
        terms = _terms(call.target, call.input, before)
        words = proposed_words(call.input.sli_type, terms, BY_HAND)
        summary = f"{call.target.service_id} has an SLO of {words} from now on."
        submit = f"Change to {proposed_number(call.input.sli_type, terms, BY_HAND)}"
        return preview_slo(call.target, call.input.sli_type, terms, summary, source=BY_HAND, submit=submit)

    def done(self, result: SloChanged) -> str:
        return slo_now(result)

    def execute(self, call: Call[EditInput]) -> Outcome[SloChanged]:
        before = _in_force(call.target, call.input, call.input.expected_version)
        return self.replace(call, "edited", before, _terms(call.target, call.input, before))


@register
class Retire(_ByHand[RetireInput]):
    """End an SLO and set no other. The budget is no longer counted; the history stays."""

    name = "slos.retire"
    title = "Retire SLO"
    risk = Risk.HIGH
    mark = "warn"
    Input = RetireInput

    def sentence(self, entry: AuditEntry) -> str:
        return f"{sli_name(entry)} {snapshot_words(entry.before)} retired"

    def preview(self, call: Call[RetireInput]) -> Preview:
        before = _in_force(call.target, call.input, call.input.expected_version)
        label = f"{SLI_WORDS[call.input.sli_type].capitalize()} SLO"
        return Preview(
            summary=f"{call.target.service_id} no longer has an SLO of {slo_words(before)}; "
            "its budget is not watched.",
            changes=[FieldChange(label, slo_words(before), "none")],
            touches=risk.touches_for(call.target),
            undo=f"Set {slo_words(before)} by hand. The budget is counted from the same requests.",
        )

    def done(self, result: SloChanged) -> str:
        return f"{result['service_id']} no longer has an SLO of {snapshot_words(result['previous'])}."

    def execute(self, call: Call[RetireInput]) -> Outcome[SloChanged]:
        before = _in_force(call.target, call.input, call.input.expected_version)
        return self.replace(call, "retired", before, None)
