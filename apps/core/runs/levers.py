"""What a person may do with a run: cancel, pause, resume and retry it."""

from __future__ import annotations

from uuid import UUID

from pydantic import Field

from apps.core import instants
from apps.core.actions import Action, ActionInput, Actor, Call, FieldChange, Outcome, Preview, register
from apps.core.errors import Conflict, NotAllowed, NotFound
from apps.core.models import Run
from apps.core.runs import ending, kinds, leases, starting
from apps.core.runs.kinds import Kind

PERMISSION = "core.control_runs"
SYSTEM_PERMISSION = "core.control_system_runs"
"""For runs that no person asked for and no team owns, such as periodic jobs."""
ADMIN = "sre_admin"


class RunInput(ActionInput):
    run_id: UUID = Field(json_schema_extra={"widget": "hidden"})
    rationale: str = Field(default="", max_length=2000, json_schema_extra={"widget": "textarea"})


def check_permission(actor: Actor, run: Run, kind: Kind) -> None:
    """Raise :class:`NotAllowed` unless an actor has the permission that the run's kind requires."""
    if actor.user is None:
        return
    target = kind.target_of(run) if kind.target_of else None
    # Without a target the run itself is checked: it has no team, so a permission for own teams does not reach it.
    if not actor.may(kind.permission, target or run):
        needed = SYSTEM_PERMISSION if target is None and actor.may(kind.permission) else kind.permission
        raise NotAllowed(f"{kind.title}: {actor.refusal(needed, target)}")
    if target is None and run.requested_by_id is None and not actor.may(SYSTEM_PERMISSION):
        raise NotAllowed(f"{kind.title}: {actor.refusal(SYSTEM_PERMISSION)}")
    is_theirs = actor.user.pk == run.requested_by_id or actor.user.role == ADMIN
    if kind.only_theirs and not is_theirs:
        raise NotAllowed(f"Only {run.requested_by_name}, who started this run, or an SRE admin may do this.")


def may_pull(actor: Actor, run: Run) -> bool:
    """Return whether this actor may use the levers of the run."""
    try:
        check_permission(actor, run, kinds.get(run.kind))
    except (NotAllowed, NotFound):
        return False
    return actor.may(PERMISSION)


class RunLever(Action[RunInput, dict[str, str]]):
    """The base of the levers: it locks the run and checks the kind's permission."""

    permission = PERMISSION
    Input = RunInput

    def target(self, data: RunInput, *, lock: bool) -> Run:
        if lock:
            return ending.locked(data.run_id)
        found = Run.objects.filter(pk=data.run_id).first()
        if found is None:
            raise NotFound(f"There is no run {data.run_id}.")
        return found

    def guard(self, call: Call[RunInput]) -> None:
        kind = kinds.get(call.target.kind)
        check_permission(call.actor, call.target, kind)
        problem = self.problem(call.target, kind)
        if problem:
            raise Conflict(problem)

    def problem(self, run: Run, kind: Kind) -> str:
        """Return why this cannot be done with the run now; empty if it can."""
        raise NotImplementedError

    def outcome(self, run: Run, before: str, after: dict[str, str] | None = None) -> Outcome[dict[str, str]]:
        """The outcome of a lever that does not end the run."""
        subject = kinds.get(run.kind).subject_of(run)
        return Outcome(
            result={"run": str(run.pk), "state": str(run.state)},
            object_type=subject.object_type,
            object_id=subject.object_id,
            object_label=subject.label,
            service_id=subject.service_id,
            before={"state": before},
            after=after or {"state": str(run.state)},
        )


def is_held(run: Run) -> bool:
    """Return whether a worker holds the run."""
    return run.state == Run.State.RUNNING and not leases.has_run_out(run, instants.now())


def _is(run: Run) -> str:
    return f"This is {run.get_state_display().lower().replace('_', ' ')}"


@register
class CancelRun(RunLever):
    """End a run. A waiting run ends at once; a run at work ends where it can stop."""

    name = "core.cancel_run"
    title = "Cancel the run"

    def problem(self, run: Run, kind: Kind) -> str:
        if run.is_over:
            return f"{_is(run)} and can no longer be cancelled."
        if is_held(run) and not kind.can_stop:
            return f"{kind.title} cannot be stopped once it has started; it ends by itself."
        if run.stop == Run.Stop.CANCEL and is_held(run):
            return f"{run.stop_asked_by} has already asked to cancel it; it stops within seconds."
        return ""

    def preview(self, call: Call[RunInput]) -> Preview:
        run = call.target
        stays = "What it has stored so far stays." if run.started_at else "It has not started yet."
        return Preview(
            summary=f"{kinds.get(run.kind).title}: it stops before it completes. {stays}",
            changes=[FieldChange("State", run.state, Run.State.CANCELLED)],
            undo="Retry it.",
        )

    def done(self, result: dict[str, str]) -> str:
        return "Cancelled." if result["state"] == Run.State.CANCELLED else "It stops within seconds."

    def execute(self, call: Call[RunInput]) -> Outcome[dict[str, str]]:
        run: Run = call.target
        run.stop_asked_by = call.actor.name
        if not is_held(run):
            run.lease_token += 1  # A holder that was only asleep finds that it has lost it.
            run.save(update_fields=["stop_asked_by", "lease_token"])
            return ending.ended(run, Run.State.CANCELLED, summary={})
        run.stop = Run.Stop.CANCEL
        run.save(update_fields=["stop", "stop_asked_by"])
        return self.outcome(run, run.state, {"asked_to": "cancel"})


@register
class PauseRun(RunLever):
    """Hold a run until somebody resumes it."""

    name = "core.pause_run"
    title = "Pause the run"

    def problem(self, run: Run, kind: Kind) -> str:
        if run.state not in (Run.State.PENDING, Run.State.RUNNING):
            return f"{_is(run)}; only a waiting or running run can be paused."
        if is_held(run) and not kind.can_stop:
            return f"{kind.title} cannot be stopped once it has started; it ends by itself."
        if run.stop == Run.Stop.CANCEL or (run.stop and is_held(run)):
            return f"{run.stop_asked_by} has already asked to {run.stop} it; it stops within seconds."
        return ""

    def preview(self, call: Call[RunInput]) -> Preview:
        run = call.target
        return Preview(
            summary=f"{kinds.get(run.kind).title}: it stops until somebody resumes it.",
            changes=[FieldChange("State", run.state, Run.State.PAUSED)],
            undo="Resume it.",
        )

    def done(self, result: dict[str, str]) -> str:
        return "Paused." if result["state"] == Run.State.PAUSED else "It pauses within seconds."

    def execute(self, call: Call[RunInput]) -> Outcome[dict[str, str]]:
        run: Run = call.target
        before = run.state
        run.stop_asked_by = call.actor.name
        if is_held(run):
            run.stop = Run.Stop.PAUSE
            run.save(update_fields=["stop", "stop_asked_by"])
            return self.outcome(run, before, {"asked_to": "pause"})
        run.state, run.takes_more, run.message_id = Run.State.PAUSED, False, ""
        run.stop, run.not_before = Run.Stop.NONE, None
        run.lease_until, run.lease_owner = None, ""
        run.lease_token += 1
        run.save(
            update_fields=[
                "state", "takes_more", "message_id", "stop", "not_before", "lease_until", "lease_owner", "lease_token",
                "stop_asked_by",
            ]
        )  # fmt: skip
        ending.wake_next(run)
        return self.outcome(run, before)


@register
class ResumeRun(RunLever):
    """Let a paused run continue."""

    name = "core.resume_run"
    title = "Resume the run"

    def problem(self, run: Run, kind: Kind) -> str:
        return "" if run.state == Run.State.PAUSED else f"{_is(run)}; only a paused run can be resumed."

    def preview(self, call: Call[RunInput]) -> Preview:
        return Preview(
            summary=f"{kinds.get(call.target.kind).title}: a worker continues it within seconds.",
            changes=[FieldChange("State", Run.State.PAUSED, Run.State.PENDING)],
            undo="Pause it again.",
        )

    def done(self, result: dict[str, str]) -> str:
        return "A worker continues it within seconds."

    def execute(self, call: Call[RunInput]) -> Outcome[dict[str, str]]:
        run: Run = call.target
        # A pause is not a failure, so attempts are counted from zero again.
        run.stop, run.stop_asked_by, run.attempts, run.not_before = Run.Stop.NONE, "", 0, None
        run.save(update_fields=["stop", "stop_asked_by", "attempts", "not_before"])
        starting.make_ready(run)
        return self.outcome(run, Run.State.PAUSED)


@register
class RetryRun(RunLever):
    """Start the same work again, as a new run."""

    name = "core.retry_run"
    title = "Retry the run"
    success_status = 202

    def problem(self, run: Run, kind: Kind) -> str:
        if run.state not in (Run.State.FAILED, Run.State.CANCELLED, Run.State.GIVEN_UP):
            return f"{_is(run)}; only a run that failed, was cancelled or was given up can be retried."
        if kind.retried is None:
            return f"{kind.title}: its input was deleted when it ended. Send it again."
        return ""

    def preview(self, call: Call[RunInput]) -> Preview:
        return Preview(
            summary=f"{kinds.get(call.target.kind).title}: a new run does the same work from the beginning.",
            undo="Cancel the new run.",
        )

    def done(self, result: dict[str, str]) -> str:
        return "A new run has started; it is in the list of runs."

    def execute(self, call: Call[RunInput]) -> Outcome[dict[str, str]]:
        kind = kinds.get(call.target.kind)
        assert kind.retried is not None
        run = kind.retried(call.target, call.actor)
        subject = kind.subject_of(run)
        return Outcome(
            result={"run": str(run.pk), "state": str(run.state)},
            object_type=subject.object_type,
            object_id=subject.object_id,
            object_label=subject.label,
            service_id=subject.service_id,
            after={"state": str(run.state), "retry_of": str(call.target.pk)},
        )


def same_again(run: Run, actor: Actor) -> Run:
    """Retry as most kinds do: a new run with the same parameters."""
    kind = kinds.get(run.kind)
    return starting.start(
        run.kind,
        kind.parameters.model_validate(run.parameters),
        actor=actor,
        key=run.dedupe_key,
        origin=run.origin,
        retry_of=run,
    )
