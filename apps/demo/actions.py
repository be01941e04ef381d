"""The actions that load and remove the demo."""

from __future__ import annotations

from apps.catalog.models import Service
from apps.core import instants
from apps.core.actions import Action, ActionInput, Call, Event, Outcome, Preview, Risk, Touch, register
from apps.core.demo_parts import ORIGIN, parts
from apps.core.errors import Conflict
from apps.demo import description, queries, removal, signins

DAY_SECONDS = 86_400


class DemoInput(ActionInput):
    """No choices, only a rationale."""

    rationale: str = ""


@register
class Load(Action[DemoInput, dict[str, int]]):
    """Ask for the demo. A worker, or the command that asked, loads it and keeps it up to the hour."""

    name = "demo.load"
    title = "Load demo"
    permission = "demo.load"
    risk = Risk.LOW
    Input = DemoInput
    success_status = 202

    def guard(self, call: Call[DemoInput]) -> None:
        standing = queries.standing()
        if standing is not None and standing.is_wanted:
            raise Conflict(f"The demo has been here since {standing.since:%Y-%m-%d %H:%M} UTC.")
        fleet = description.fleet()
        taken = queries.names_taken(fleet.service_ids, fleet.teams)
        if taken:
            raise Conflict(
                f"The demo brings {_named(taken)}, and you have that already. Nothing of yours is touched, "
                "so the demo cannot come in here."
            )

    def preview(self, call: Call[DemoInput]) -> Preview:
        fleet = description.fleet()
        return Preview(
            summary=f"A shop and its payments platform, with {fleet.history_days} days of made-up history.",
            touches=[
                Touch(len(fleet.services), "services", fleet.service_ids[:5]),
                Touch(len(fleet.teams), "teams", fleet.teams),
                Touch(len(signins.USERS), "users", [user.name for user in signins.USERS]),
            ],
            undo="Remove the demo. Nothing else goes with it.",
        )

    def execute(self, call: Call[DemoInput]) -> Outcome[dict[str, int]]:
        now = int(instants.now().timestamp())
        after = {"anchor": now - now % DAY_SECONDS, "services": len(description.fleet().services)}
        return Outcome(
            result=after,
            object_type=queries.OBJECT_TYPE,
            object_id=queries.OBJECT_ID,
            object_label="Demo fleet",
            after=after,
            events=[Event("demo.load_requested", aggregate="demo")],
        )


@register
class Remove(Action[DemoInput, dict[str, int]]):
    """Remove the demo with everything that was made from it, and nothing else."""

    name = "demo.remove"
    title = "Remove demo"
    permission = "demo.remove"
    risk = Risk.HIGH
    Input = DemoInput

    def preview(self, call: Call[DemoInput]) -> Preview:
        found = queries.counts(call.actor.user)
        edges = queries.foreign_edges()
        own = (
            f"This also deletes {len(edges)} dependencies between your services and the demo's."
            if edges
            else ""
        )
        services = Service.objects.filter(origin=ORIGIN).order_by("service_id")
        return Preview(
            summary="This deletes the demo with all observations, recommendations and decisions on its services."
            if found["services"]
            else "There is no demo here.",
            touches=[
                Touch(found["services"], "services", list(services.values_list("service_id", flat=True)[:5])),
                Touch(found["dependencies"], "dependencies"),
                Touch(found["bins"], "hours and days of telemetry"),
                Touch(found["slos"], "SLOs, including past ones"),
                Touch(found["recommendations"], "recommendations"),
                *(Touch(found[part.words], part.words) for part in parts()),
                Touch(found["users"], "users"),
                Touch(found["teams"], "teams"),
                Touch(len(edges), "dependencies of your own services", edges[:5]),
            ],
            warnings=[
                *([own] if own else []),
                *queries.words_on_what_stays(found["users_kept"], found["teams_kept"]),
            ],
            undo="Load the demo again; it gets a new history. Audit entries stay in any case.",
        )

    def execute(self, call: Call[DemoInput]) -> Outcome[dict[str, int]]:
        gone = removal.remove(call.actor.user)
        return Outcome(
            result=gone,
            object_type=queries.OBJECT_TYPE,
            object_id=queries.OBJECT_ID,
            object_label="Demo fleet",
            before=gone,
            events=[Event("demo.removed", gone, aggregate="demo")],
        )


def _named(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
