"""How runs end, and how they go back to waiting. Each run ends once, through the dispatcher."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Literal
from uuid import UUID

import structlog
from django.db import transaction
from django.db.models import Case, DateTimeField, Value, When
from pydantic import Field, JsonValue

from apps.core import instants
from apps.core.actions import (
    Action,
    ActionInput,
    Actor,
    Call,
    Event,
    Outcome,
    Preview,
    Risk,
    register,
    subject_after,
)
from apps.core.delivery import outbox
from apps.core.dispatcher import dispatch
from apps.core.errors import Conflict, Fault, NotFound
from apps.core.models import AuditEntry, Run
from apps.core.runs import kinds, leases
from apps.core.runs.holding import Holding, LeaseLost
from apps.core.runs.kinds import Done, Subject
from apps.core.runs.starting import RING

logger = structlog.get_logger(__name__)

ENDED = "core.run_ended"
"""The event of every end: ``run``, ``kind``, ``state``."""
SYSTEM = "runs"
FIRST_DELAY = timedelta(seconds=2)
LONGEST_DELAY = timedelta(minutes=5)
ERRORS_KEPT = 300
WARNINGS_KEPT = 50

type Ending = Literal["completed", "failed", "cancelled", "given_up"]


class EndRunInput(ActionInput):
    """The result of a run, and the token that allows the end."""

    run_id: UUID
    token: int = Field(description="The fencing token of the last holder.")
    state: Ending
    is_abandoned: bool = Field(default=False, description="Its holder's lease has run out.")
    summary: dict[str, JsonValue] = Field(default_factory=dict)
    warnings: list[str] = Field(default_factory=list)
    errors: list[Fault] = Field(default_factory=list)
    error_count: int = 0


def locked(run_id: UUID | str) -> Run:
    """Return a run, locked until the end of the transaction. Raises :class:`NotFound`."""
    found = Run.objects.select_for_update(of=("self",)).filter(pk=run_id).first()
    if found is None:
        raise NotFound(f"There is no run {run_id}.")
    return found


@register
class EndRun(Action[EndRunInput, dict[str, str]]):
    """Record how a run ended. Only the system does this: no role holds the permission."""

    name = "core.end_run"
    title = "End a run"
    permission = "core.end_run"
    risk = Risk.LOW
    Input = EndRunInput

    def target(self, data: EndRunInput, *, lock: bool) -> Run | None:
        if lock:
            return locked(data.run_id)
        return Run.objects.filter(pk=data.run_id).first()

    def guard(self, call: Call[EndRunInput]) -> None:
        run, data = call.target, call.input
        if run.is_over or run.lease_token != data.token:
            raise Conflict(f"{run} is {run.get_state_display()}, and somebody else holds it or has ended it.")
        is_held = run.state == Run.State.RUNNING and not leases.has_run_out(run, instants.now())
        if data.is_abandoned and is_held:
            raise Conflict(f"A worker holds {run}.")
        if not data.is_abandoned and run.state != Run.State.RUNNING:
            raise Conflict(
                f"{run} is {run.get_state_display()}; only a running run has a holder who can end it."
            )

    def sentence(self, entry: AuditEntry) -> str:
        after = entry.after or {}
        known = {kind.name: kind.title for kind in kinds.all_kinds()}
        title = subject_after(known.get(after["kind"], after["kind"]), entry)
        return f"{title}: {str(after['state']).replace('_', ' ')}"

    def preview(self, call: Call[EndRunInput]) -> Preview:
        return Preview(summary=f"{call.target} is recorded as {call.input.state}.")

    def execute(self, call: Call[EndRunInput]) -> Outcome[dict[str, str]]:
        data = call.input
        return ended(
            call.target,
            data.state,
            summary=data.summary,
            warnings=data.warnings,
            errors=data.errors,
            error_count=data.error_count,
        )


def ended(
    run: Run,
    state: str,
    *,
    summary: Mapping[str, object],
    warnings: Sequence[str] = (),
    errors: Sequence[Fault] = (),
    error_count: int = 0,
) -> Outcome[dict[str, str]]:
    """Write the end of a locked run; return the outcome of the action that ends it.

    A run of a kind that this version does not know ends without the room's ``ended`` and ``events``.
    """
    kind = kinds.find(run.kind)
    before = run.state
    run.state, run.finished_at = state, instants.now()
    run.takes_more, run.stop, run.message_id, run.not_before = False, Run.Stop.NONE, "", None
    run.lease_until, run.lease_owner = None, ""
    run.summary, run.warnings = summary, list(warnings)[:WARNINGS_KEPT]
    run.errors, run.error_count = list(errors)[:ERRORS_KEPT], error_count
    if state == Run.State.COMPLETED:
        run.progress_done = run.progress_total
    run.save(
        update_fields=[
            "state", "finished_at", "takes_more", "stop", "message_id", "not_before", "lease_until", "lease_owner",
            "summary", "warnings", "errors", "error_count", "progress_done",
        ]
    )  # fmt: skip
    if kind is not None and kind.ended is not None:
        kind.ended(run)
    wake_next(run)
    subject = kind.subject_of(run) if kind else Subject("run", str(run.pk), run.kind)
    payload = {"run": str(run.pk), "kind": run.kind, "state": state}
    after: dict[str, str | int] = {
        "kind": run.kind,
        "state": state,
        "attempts": run.attempts,
        "asked_by": run.requested_by_name,
    }
    if error_count:
        after["error_count"] = error_count
    if run.stop_asked_by and state == Run.State.CANCELLED:
        after["cancelled_by"] = run.stop_asked_by
    return Outcome(
        result=payload,
        object_type=subject.object_type,
        object_id=subject.object_id,
        object_label=subject.label,
        service_id=subject.service_id,
        before={"state": before},
        after={**summary, **after},
        is_routine=state == Run.State.COMPLETED and run.requested_by_id is None,
        events=[
            Event(ENDED, payload, aggregate=f"run:{run.pk}"),
            *(kind.events(run) if kind and kind.events else ()),
        ],
    )


def wake_next(run: Run) -> None:
    """Ring for the runs that wait until the locked run frees its key."""
    if not run.dedupe_key:
        return
    leases.take_turns(run)
    waiting = Run.objects.filter(kind=run.kind, dedupe_key=run.dedupe_key, state=Run.State.PENDING)
    for pk in waiting.exclude(pk=run.pk).order_by("created_at").values_list("pk", flat=True)[:2]:
        outbox.publish(RING, {"run": str(pk)}, aggregate=f"run:{pk}")


def end(
    holding: Holding,
    state: Ending,
    *,
    done: Done | None = None,
    summary: Mapping[str, object] | None = None,
    errors: Sequence[Fault] = (),
    error_count: int | None = None,
) -> None:
    """End a run that this worker holds, in the caller's transaction if there is one: effect and end commit together.

    Raises:
        LeaseLost: somebody else holds it, or has ended it.
    """
    done = done or Done()
    run = holding.run
    data = {
        "run_id": run.pk,
        "token": holding.token,
        "state": state,
        "summary": done.summary if summary is None else summary,
        "warnings": list(done.warnings),
        "errors": list(errors),
        "error_count": len(errors) if error_count is None else error_count,
    }
    _, total = holding.progressed
    try:
        with transaction.atomic():
            Run.objects.filter(pk=run.pk, lease_token=holding.token).update(progress_total=total)
            dispatch(EndRun.name, data, actor=Actor.system(SYSTEM))
    except Conflict as error:
        raise LeaseLost(error.detail) from error
    holding.is_over = True
    logger.info("run.ended", run=str(run.pk), kind=run.kind, state=state, attempts=run.attempts)


def settle(run_id: UUID | str) -> bool:
    """End or pause a run that nobody holds and nobody may claim any more. Returns whether it did.

    Such a run has used all its attempts, or its holder died after a person asked it to stop.
    """
    run = Run.objects.filter(pk=run_id).first()
    if run is None or run.state not in (Run.State.PENDING, Run.State.RUNNING):
        return False
    if run.state == Run.State.RUNNING and not leases.has_run_out(run, instants.now()):
        return False
    if run.stop == Run.Stop.PAUSE:
        return _lay_down(run.pk, run.lease_token, state=Run.State.PAUSED, stop=Run.Stop.NONE)
    is_cancelled = run.stop == Run.Stop.CANCEL
    if not is_cancelled and run.attempts < run.max_attempts:
        return False
    since = " since it last got further" if run.position else ""
    reason = f"It was started {run.attempts} times{since}, and its worker died or was lost each time."
    why = {"summary": {"failure": reason}, "errors": [{"reason": reason}], "error_count": 1}
    data = {
        "run_id": run.pk,
        "token": run.lease_token,
        "state": "cancelled" if is_cancelled else "given_up",
        "is_abandoned": True,
        **({} if is_cancelled else why),
    }
    try:
        dispatch(EndRun.name, data, actor=Actor.system(SYSTEM))
    except Conflict:
        return False
    logger.warning("run.settled", run=str(run.pk), kind=run.kind, state=data["state"], attempts=run.attempts)
    return True


def rest(holding: Holding) -> None:
    """Pause a run because a person asked for it; when it is resumed, it continues from its stored position.

    It ends instead if a person has since asked to cancel it.
    """
    with transaction.atomic():
        run = locked(holding.run.pk)
        if (run.lease_token, run.state, run.stop) == (holding.token, Run.State.RUNNING, Run.Stop.CANCEL):
            end(holding, "cancelled")
        else:
            _lay_down(run.pk, holding.token, state=Run.State.PAUSED, stop=Run.Stop.NONE)


def release(holding: Holding) -> None:
    """Give back a run whose worker has to stop; the attempt does not count."""
    run = holding.run
    _rest(run.pk, holding.token, state=Run.State.PENDING, attempts=max(0, run.attempts - 1), rung_at=None)


def postpone(holding: Holding) -> None:
    """Retry later, after an error that may pass: the delay doubles with each attempt.

    If a person has asked to stop the run, it stops now.
    """
    delay = min(FIRST_DELAY * 2 ** (holding.run.attempts - 1), LONGEST_DELAY)
    _lay_down(
        holding.run.pk,
        holding.token,
        state=Run.State.PENDING,
        not_before=Case(
            When(stop=Run.Stop.NONE, then=Value(instants.now() + delay)),
            default=None,
            output_field=DateTimeField(),
        ),
        rung_at=None,
    )
    settle(holding.run.pk)


def _lay_down(run_id: UUID, token: int, **values: Any) -> bool:
    """Release a run for some time; the next run with its key need not wait for it."""
    with transaction.atomic():
        if not _rest(run_id, token, **values):
            return False
        wake_next(Run.objects.get(pk=run_id))
    return True


def _rest(run_id: UUID, token: int, **values: Any) -> bool:
    """Release a run without ending it. Returns whether this holder still had it."""
    rows = Run.objects.filter(pk=run_id, lease_token=token, state__in=(Run.State.RUNNING, Run.State.PENDING))
    return bool(rows.update(lease_until=None, lease_owner="", message_id="", **values))
