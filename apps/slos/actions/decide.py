"""Deciding on a recommendation: take a tier as it is, take another number, or take none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self
from uuid import UUID

from pydantic import ConfigDict, Field, model_validator

from apps.catalog.models import Service
from apps.core import instants
from apps.core.actions import Action, Call, FieldChange, Mark, Outcome, Preview, Risk, Undo, register
from apps.core.errors import FieldProblem, InvalidInput
from apps.core.models import AuditEntry
from apps.slos.actions.inputs import (
    OptionalRationale,
    Rationale,
    SloInput,
    Target,
    Threshold,
    TierName,
    Version,
    number_fits_the_sli,
    undone,
)
from apps.slos.documents.types import (
    DecidedPart,
    Rejected,
    SloChange,
    SloChanged,
    SloDecided,
    SloTerms,
    as_latency,
)
from apps.slos.formatting import (
    SLI_WORDS,
    is_latency,
    latency_share,
    number_words,
    recommendation_words,
    sli_name,
    slo_number_words,
    slo_snapshot,
    slo_words,
    snapshot_words,
    tier_number,
)
from apps.slos.impact import risk
from apps.slos.models import ActiveSlo, Recommendation
from apps.slos.objectives import lifecycle
from apps.slos.objectives.after_decision import follow_change, read_due_anew


class DecisionInput(SloInput):
    recommendation_id: UUID | None = Field(
        default=None,
        description="The one that you saw and decide on. A page has to name it; without it a program decides on the "
        "current one, whatever it says.",
        json_schema_extra={"widget": "hidden"},
    )
    expected_version: Version | None = None


class AcceptInput(DecisionInput):
    tier: TierName = Field(json_schema_extra={"widget": "hidden"})
    rationale: OptionalRationale = ""


class ModifyInput(DecisionInput):
    model_config = ConfigDict(json_schema_extra=number_fits_the_sli)

    target: Target | None = None
    threshold_ms: Threshold | None = Field(default=None, title="Threshold")
    rationale: Rationale

    @model_validator(mode="after")
    def _number_fits_the_sli(self) -> Self:
        check_number(self.sli_type, self.target, self.threshold_ms)
        return self


class RejectInput(DecisionInput):
    rationale: Rationale


def check_number(sli_type: str, target: float | None, threshold_ms: float | None) -> None:
    """Raise ``ValueError`` unless an availability comes with a target and a latency with a threshold, and no
    more.
    """
    if is_latency(sli_type) and (threshold_ms is None or target is not None):
        raise ValueError(f"A {SLI_WORDS[sli_type]} SLO takes threshold_ms, in milliseconds, and no target.")
    if not is_latency(sli_type) and (target is None or threshold_ms is not None):
        raise ValueError("An availability SLO takes a target between 0 and 1, and no threshold_ms.")


def terms_from(recommendation: Recommendation, number: float, field: str) -> SloTerms:
    """Return target, threshold, basis and window of an SLO made on a recommendation with this number."""
    window_days = recommendation.window_days
    if not is_latency(recommendation.sli_type):
        target = lifecycle.checked_target(number, field)
        return {"target": target, "threshold_ms": None, "window_days": window_days}
    basis = as_latency(recommendation.document)["basis"] or ActiveSlo.LatencyBasis.REQUESTS
    share = latency_share(recommendation.sli_type, basis)
    return {"target": share, "threshold_ms": number, "basis": basis, "window_days": window_days}


def proposed_words(sli_type: str, terms: SloTerms, source: str) -> str:
    """An SLO that is not set yet, in one line."""
    return slo_words(ActiveSlo(sli_type=sli_type, source=source, **terms))


def proposed_number(sli_type: str, terms: SloTerms, source: str) -> str:
    """The number alone of an SLO that is not set yet."""
    value = terms["threshold_ms"] if is_latency(sli_type) else terms["target"]
    return slo_number_words(sli_type, float(value or 0.0), source)


def changes_for(service: Service, sli_type: str, terms: SloTerms, source: str) -> list[FieldChange]:
    """The diff of a new SLO: the number and the budget that it leaves."""
    before = lifecycle.active_slo(service, sli_type)
    rows = [
        FieldChange(
            f"{SLI_WORDS[sli_type].capitalize()} SLO",
            slo_words(before),
            proposed_words(sli_type, terms, source),
        )
    ]
    budget_before = f"1 in {1 / (1 - float(before.target)):,.0f}" if before else "none"
    budget_after = f"1 in {1 / (1 - float(terms['target'])):,.0f}"
    if budget_before != budget_after:
        of = "bins" if terms.get("basis") == ActiveSlo.LatencyBasis.BINS else "requests"
        rows.append(FieldChange(f"Error budget, of {of}", budget_before, budget_after))
    return rows


def undo_words(service: Service, sli_type: str) -> str:
    """How to get back: nothing is lost, because ended SLOs are kept."""
    before = lifecycle.active_slo(service, sli_type)
    if before is None:
        return "Retire the SLO. It stays in the history, and a new recommendation is made."
    return f"Edit the SLO back to {slo_words(before)}. Both stay in the history."


def slo_now(result: SloChanged) -> str:
    """What was done, for the person who did it: ``payments-api now has an SLO of 99.955 % over 28 days.``"""
    return f"{result['service_id']} now has an SLO of {snapshot_words(result['slo'])}."


def preview_slo(
    service: Service, sli_type: str, terms: SloTerms, summary: str, *, source: str, submit: str = ""
) -> Preview:
    """What a new SLO would change, whom it touches and what speaks against it."""
    return Preview(
        summary=summary,
        changes=changes_for(service, sli_type, terms, source),
        touches=risk.touches_for(service),
        warnings=risk.warnings_for(
            service,
            sli_type,
            float(terms["target"]),
            terms["threshold_ms"],
            terms.get("basis", ActiveSlo.LatencyBasis.REQUESTS),
            terms["window_days"],
        ),
        undo=undo_words(service, sli_type),
        submit=submit,
    )


def _close(recommendation: Recommendation, call: Call[Any], status: Recommendation.Status) -> None:
    recommendation.status = status
    recommendation.decided_at = instants.now()
    recommendation.decided_by = call.actor.user
    recommendation.version += 1
    recommendation.save(update_fields=["status", "decided_at", "decided_by", "version"])


def decided(recommendation: Recommendation) -> DecidedPart:
    """A recommendation as the answer to a decision names it."""
    return {"id": str(recommendation.pk), "status": recommendation.status, "version": recommendation.version}


class _Decision[InputT: DecisionInput, ResultT: Mapping[str, object]](Action[InputT, ResultT]):
    permission = "slos.decide"
    risk = Risk.MEDIUM
    mark: ClassVar[Mark] = "ok"

    def target(self, data: InputT, *, lock: bool) -> Service:
        return lifecycle.find_service(data.service_id, lock=lock)

    def undo(self, entry: AuditEntry) -> Undo | None:
        return undone(entry) if entry.object_type == "slo" else None

    def seen(self, call: Call[InputT]) -> Recommendation:
        """Return what is decided on. Raises where it, or the SLO, is not what the person saw."""
        data = call.input
        if data.recommendation_id is None and call.actor.source == AuditEntry.Source.WEB:
            raise InvalidInput(
                "This does not say which recommendation you saw. Load the page of the service again and decide there.",
                fields=[FieldProblem("recommendation_id", "is needed: the one that you saw")],
            )
        recommendation = lifecycle.open_recommendation(call.target, data.sli_type, data.recommendation_id)
        lifecycle.expect_version(call.target, data.sli_type, data.expected_version)
        if recommendation.balanced is None:
            raise InvalidInput(
                f"The recommendation has no number to decide on: {recommendation_words(recommendation)}",
                fields=[FieldProblem("recommendation_id", f"verdict {recommendation.verdict}")],
            )
        return recommendation

    def replace_slo(
        self,
        call: Call[InputT],
        recommendation: Recommendation,
        terms: SloTerms,
        source: str,
        tier: str,
    ) -> Outcome[SloDecided]:
        """End the active SLO, begin the new one, close the recommendation."""
        service, sli_type = call.target, recommendation.sli_type
        before = lifecycle.end_slo(service, sli_type)
        _close(recommendation, call, Recommendation.Status.ACCEPTED)
        rationale = getattr(call.input, "rationale", "")
        after = lifecycle.begin_slo(
            service,
            sli_type,
            actor=call.actor,
            source=source,
            tier=tier,
            recommendation=recommendation,
            rationale=rationale,
            **terms,
        )
        follow_change(service, sli_type)
        change = changes_between(before, after)
        return Outcome(
            result={
                "service_id": service.service_id,
                "slo": slo_snapshot(after),
                "previous": slo_snapshot(before),
                "change": change,
                "recommendation": decided(recommendation),
            },
            object_type="slo",
            object_id=str(after.pk),
            object_label=f"{SLI_WORDS[sli_type]} of {service.service_id}: {slo_words(after)}",
            service_id=service.service_id,
            before=slo_snapshot(before),
            after=slo_snapshot(after),
            events=[
                lifecycle.recommendation_decided(recommendation, service, source),
                lifecycle.slo_changed(service, source, before, after),
            ],
        )


def changes_between(before: ActiveSlo | None, after: ActiveSlo | None) -> list[SloChange]:
    """What a decision changed, as the API answers it."""
    return [{"label": "SLO", "before": slo_words(before), "after": slo_words(after)}]


@register
class Accept(_Decision[AcceptInput, SloDecided]):
    """Make one of the three tiers the SLO."""

    name = "slos.accept"
    title = "Accept tier"
    Input = AcceptInput

    def sentence(self, entry: AuditEntry) -> str:
        tier = (entry.after or {}).get("tier")
        return f"{sli_name(entry)} {snapshot_words(entry.after)} accepted" + (
            f", the {tier} tier" if tier else ""
        )

    def preview(self, call: Call[AcceptInput]) -> Preview:
        recommendation = self.seen(call)
        number = tier_number(recommendation, call.input.tier)
        terms = self._terms(call, recommendation)
        words = number_words(recommendation.sli_type, number)
        summary = f"{call.target.service_id} gets an SLO of {words}, the {call.input.tier} tier."
        submit = f"Accept {words}"
        source = ActiveSlo.Source.ACCEPTED
        return preview_slo(call.target, recommendation.sli_type, terms, summary, source=source, submit=submit)

    def done(self, result: SloDecided) -> str:
        return slo_now(result)

    def execute(self, call: Call[AcceptInput]) -> Outcome[SloDecided]:
        recommendation = self.seen(call)
        terms = self._terms(call, recommendation)
        return self.replace_slo(call, recommendation, terms, ActiveSlo.Source.ACCEPTED, call.input.tier)

    def _terms(self, call: Call[AcceptInput], recommendation: Recommendation) -> SloTerms:
        number = tier_number(recommendation, call.input.tier)
        if number is None:
            raise InvalidInput(
                f"The recommendation has no {call.input.tier} tier.",
                fields=[FieldProblem("tier", "has no number")],
            )
        return terms_from(recommendation, number, "tier")


@register
class Modify(_Decision[ModifyInput, SloDecided]):
    """Set an SLO with another number than the tiers, and say why."""

    name = "slos.modify"
    title = "Modify recommendation"
    Input = ModifyInput

    def sentence(self, entry: AuditEntry) -> str:
        return f"{sli_name(entry)} {snapshot_words(entry.after)} chosen in place of the tiers"

    def preview(self, call: Call[ModifyInput]) -> Preview:
        recommendation = self.seen(call)
        terms, source = self._terms(call, recommendation), ActiveSlo.Source.MODIFIED
        words = proposed_number(recommendation.sli_type, terms, source)
        summary = f"{call.target.service_id} gets an SLO of {words} in place of the tiers."
        submit = f"Set {words}"
        return preview_slo(call.target, recommendation.sli_type, terms, summary, source=source, submit=submit)

    def done(self, result: SloDecided) -> str:
        return slo_now(result)

    def execute(self, call: Call[ModifyInput]) -> Outcome[SloDecided]:
        recommendation = self.seen(call)
        return self.replace_slo(
            call, recommendation, self._terms(call, recommendation), ActiveSlo.Source.MODIFIED, ""
        )

    def _number(self, call: Call[ModifyInput]) -> float:
        data = call.input
        return float((data.threshold_ms if is_latency(data.sli_type) else data.target) or 0)

    def _terms(self, call: Call[ModifyInput], recommendation: Recommendation) -> SloTerms:
        return terms_from(recommendation, self._number(call), "target")


@register
class Reject(_Decision[RejectInput, Rejected]):
    """Take none of it; the SLO stays as it is."""

    name = "slos.reject"
    title = "Reject recommendation"
    risk = Risk.LOW
    mark = "warn"
    Input = RejectInput

    def sentence(self, entry: AuditEntry) -> str:
        return f"{sli_name(entry)} recommendation rejected"

    def preview(self, call: Call[RejectInput]) -> Preview:
        recommendation = self.seen(call)
        slo = lifecycle.active_slo(call.target, recommendation.sli_type)
        return Preview(
            summary=f"The {SLI_WORDS[recommendation.sli_type]} recommendation for {call.target.service_id} "
            "is rejected. "
            + (f"The SLO stays at {slo_words(slo)}." if slo else "The service stays without this SLO."),
            changes=[FieldChange("Recommendation", "current", "rejected")],
            undo="Regenerate the recommendation; until its number moves, nobody is asked to decide again.",
        )

    def done(self, result: Rejected) -> str:
        return f"The recommendation for {result['service_id']} is rejected; its SLO stays as it is."

    def execute(self, call: Call[RejectInput]) -> Outcome[Rejected]:
        recommendation = self.seen(call)
        _close(recommendation, call, Recommendation.Status.REJECTED)
        service = call.target
        read_due_anew(service)
        words = recommendation_words(recommendation)
        return Outcome(
            result={"service_id": service.service_id, "recommendation": decided(recommendation)},
            object_type="recommendation",
            object_id=str(recommendation.pk),
            object_label=f"{SLI_WORDS[recommendation.sli_type]} of {service.service_id}: {words}",
            service_id=service.service_id,
            before={"status": "current", "tiers": recommendation.document.get("tiers")},
            after={"status": "rejected"},
            events=[lifecycle.recommendation_decided(recommendation, service, "rejected")],
        )
