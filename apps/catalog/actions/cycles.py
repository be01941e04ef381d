"""The action that acknowledges a circular dependency."""

from __future__ import annotations

from pydantic import Field

from apps.catalog.models import CycleAlert
from apps.core import instants
from apps.core.actions import Action, ActionInput, Call, Event, FieldChange, Outcome, Preview, Touch, register
from apps.core.errors import Conflict, NotFound

NAMES_SHOWN = 5


class AcknowledgeCycleInput(ActionInput):
    cycle_id: int = Field(ge=1, le=2**63 - 1)
    version: int | None = Field(
        default=None, description="The version that you saw; refused if it has changed."
    )
    rationale: str = Field(default="", max_length=2000, description="Why the cycle may stay for now.")


@register
class AcknowledgeCycle(Action[AcknowledgeCycleInput, dict[str, int | str]]):
    """Say that a circular dependency is known. It stays listed, quietly, until it is gone; if it comes back after
    that, it is open again."""

    name = "catalog.acknowledge_cycle"
    title = "Acknowledge the cycle"
    permission = "catalog.acknowledge_cycle"
    Input = AcknowledgeCycleInput

    def target(self, data: AcknowledgeCycleInput, *, lock: bool) -> CycleAlert:
        rows = CycleAlert.objects.select_for_update() if lock else CycleAlert.objects.all()
        try:
            return rows.get(pk=data.cycle_id)
        except CycleAlert.DoesNotExist:
            raise NotFound(f"There is no cycle {data.cycle_id}.") from None

    def guard(self, call: Call[AcknowledgeCycleInput]) -> None:
        alert: CycleAlert = call.target
        if alert.state != CycleAlert.State.OPEN:
            raise Conflict(f"This cycle is {alert.state}.", extra={"difference": {"state": alert.state}})
        if call.input.version is not None and call.input.version != alert.version:
            raise Conflict(
                "This cycle was resolved and has come back since.",
                extra={"difference": {"version": alert.version}},
            )

    def preview(self, call: Call[AcknowledgeCycleInput]) -> Preview:
        alert: CycleAlert = call.target
        return Preview(
            summary=f"The cycle {alert} counts as known. Recommendations still treat it as a cycle.",
            changes=[FieldChange("State", alert.state, CycleAlert.State.ACKNOWLEDGED)],
            touches=[Touch(len(alert.members), "services in the cycle", alert.members[:NAMES_SHOWN])],
        )

    def execute(self, call: Call[AcknowledgeCycleInput]) -> Outcome[dict[str, int | str]]:
        alert: CycleAlert = call.target
        before = {"state": alert.state}
        alert.state = CycleAlert.State.ACKNOWLEDGED
        alert.acknowledged_at, alert.acknowledged_by = instants.now(), call.actor.user
        alert.version += 1
        alert.save(update_fields=["state", "acknowledged_at", "acknowledged_by", "version"])
        return Outcome(
            result={"cycle_id": alert.pk, "state": str(alert.state), "version": alert.version},
            object_type="cycle",
            object_id=str(alert.pk),
            object_label=str(alert),
            before=before,
            after={"state": alert.state},
            events=[
                Event("catalog.cycle_acknowledged", {"cycle_id": alert.pk}, aggregate=f"cycle:{alert.pk}")
            ],
        )
