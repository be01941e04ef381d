"""The one door through which every change goes.

validate → idempotency key → authorise → gates (approval, where a policy asks for it) → ``execute()`` → audit entry →
events. One transaction holds everything from the idempotency key on: afterwards either all of it is true or none. A
replayed answer is given only to an actor who may still do what was asked.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import Any

import structlog
from django.db import connection, transaction
from pydantic import BaseModel, ValidationError

from apps.core import actions, idempotency
from apps.core.actions import Actor, AnyAction, Call, Outcome, Preview
from apps.core.delivery import outbox
from apps.core.errors import (
    MAX_FIELD_PROBLEMS,
    BallastError,
    FieldProblem,
    InvalidInput,
    NotAllowed,
    NotFound,
)
from apps.core.models import AuditEntry
from apps.core.text.validation_messages import plain
from apps.ui.forms import FormValues

logger = structlog.get_logger(__name__)

LOCK_TIMEOUT = "5s"
"""How long a person's change waits for rows that another change holds, such as a large import. Web threads are few."""


@dataclass(frozen=True, slots=True)
class Result:
    """The answer to a call. ``replayed`` is true where an earlier call with the same key gave it."""

    action: str
    value: dict[str, Any]
    replayed: bool = False
    entry: AuditEntry | None = None
    """The audit entry, unless there is none or an earlier call wrote it."""


def parse(action: AnyAction, data: Any) -> Any:
    """Turn raw data into the action's input, or raise :class:`InvalidInput` naming the fields at fault."""
    try:
        return action.Input.model_validate(data)
    except ValidationError as error:
        count = error.error_count()
        what = "one value is" if count == 1 else f"{count:,} values are"
        raise invalid_input(error, f"{action.title}: {what} not valid.", action.Input) from None


def invalid_input(error: ValidationError, detail: str, model: type[BaseModel] | None = None) -> InvalidInput:
    """Return Pydantic's error as ours. It names at most :data:`MAX_FIELD_PROBLEMS` problems and counts them all."""
    count = error.error_count()
    if count <= MAX_FIELD_PROBLEMS:
        return InvalidInput(detail, fields=field_problems(error, model))
    return InvalidInput(
        f"{detail} The first {MAX_FIELD_PROBLEMS} of {count:,} problems are named.",
        fields=field_problems(error, model),
        extra={"error_count": count},
    )


def field_problems(error: ValidationError, model: type[BaseModel] | None = None) -> list[FieldProblem]:
    """Return one worded problem for each field of a Pydantic error, at most :data:`MAX_FIELD_PROBLEMS`."""
    found = error.errors(include_url=False)
    return [
        FieldProblem(".".join(str(part) for part in item["loc"]) or "body", plain(item, model))
        for item in islice(found, MAX_FIELD_PROBLEMS)
    ]


def authorise(action: AnyAction, actor: Actor, target: Any) -> None:
    """Raise :class:`NotAllowed`, naming who may, unless the actor holds the permission on the target."""
    if actor.may(action.permission, target):
        return
    logger.warning("action.refused", action=action.name, actor=actor.name, target=str(target or ""))
    raise NotAllowed(f"{action.title}: {actor.refusal(action.permission, target)}")


def may_ask(name: str, data: FormValues, *, actor: Actor) -> None:
    """Raise :class:`NotAllowed` where this actor cannot make the call, whatever else it says.

    ``data`` may be incomplete or wrong in parts. Where it does not name the object yet, or names one that does not
    exist, the permission is checked in general: only the preview of a whole call may tell whether an object exists,
    because its guard has looked at who asks. Raises :class:`NotFound` for unknown actions.
    """
    action = actions.offered(name)
    try:
        given = action.Input.model_validate(data)
    except ValidationError as error:
        faulty = {item["loc"][0] for item in error.errors(include_url=False) if item["loc"]}
        given = action.Input.model_construct(
            None, **{name: data[name] for name in data if name not in faulty}
        )
    try:
        target = action.target(given, lock=False)
    except (AttributeError, NotFound):  # The field that names the object may not be filled in.
        target = None
    authorise(action, actor, target)


def preview(name: str, data: Any, *, actor: Actor) -> Preview:
    """Return what a call would do, without side effect or audit entry. Needs the same permission as the call."""
    action = actions.offered(name)
    parsed = parse(action, data)
    target = _target(action, actor, parsed, lock=False)
    authorise(action, actor, target)
    call = Call(actor, parsed, target)
    action.guard(call)
    return action.preview(call)


def dispatch(name: str, data: Any, *, actor: Actor, idempotency_key: str | None = None) -> Result:
    """Run an action once.

    Raises the errors of :mod:`apps.core.errors`. After any of them nothing has changed. A lost COMMIT raises
    :class:`apps.core.database.errors.OutcomeUnknown`.
    """
    action = actions.offered(name)
    parsed = parse(action, data)
    with action.around(actor, parsed), transaction.atomic():
        _bound_the_wait(actor)
        if idempotency_key is not None:
            earlier = idempotency.claim(actor.key, idempotency_key, name, parsed.model_dump(mode="json"))
            if earlier is not None:
                _may_hear_again(action, actor, parsed)
                return Result(name, earlier.response or {}, replayed=True)
        target = _target(action, actor, parsed, lock=True)
        authorise(action, actor, target)
        call = Call(actor, parsed, target)
        action.guard(call)
        for gate in actions.gates:
            gate(action, call)
        outcome, entry = _execute(action, call)
        if idempotency_key is not None:
            idempotency.keep_response(actor.key, idempotency_key, outcome.result)
    return Result(name, outcome.result | outcome.shown_once, entry=entry)


def record(name: str, data: Any, *, actor: Actor) -> Result:
    """Run an internal action with its audit entry and events, in the running transaction or one of its own.

    Nobody asks for it, so it needs no permission and passes no gate: what it records has already happened.
    Raises :class:`RuntimeError` for an action that people may ask for.
    """
    action = actions.get(name)
    if not action.is_internal:
        raise RuntimeError(f"People can ask for {name}: use dispatch().")
    parsed = parse(action, data)
    with transaction.atomic():
        _bound_the_wait(actor)
        call = Call(actor, parsed, action.target(parsed, lock=True))
        action.guard(call)
        outcome, entry = _execute(action, call)
    return Result(name, outcome.result, entry=entry)


def _target(action: AnyAction, actor: Actor, parsed: Any, *, lock: bool) -> Any:
    """Return the object that a call is about. Whoever may do this to none does not learn whether it exists.

    Raises :class:`NotFound`, and :class:`NotAllowed` where it does not exist and the actor lacks the permission.
    """
    try:
        return action.target(parsed, lock=lock)
    except NotFound:
        authorise(action, actor, None)
        raise


def _bound_the_wait(actor: Actor) -> None:
    """Let a person's change fail rather than wait for long. A task may wait."""
    if actor.source in (AuditEntry.Source.WEB, AuditEntry.Source.API):
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('lock_timeout', %s, true)", [LOCK_TIMEOUT])


def _execute(action: AnyAction, call: Call[Any]) -> tuple[Outcome[Any], AuditEntry | None]:
    """Run the action and write down what it did: the audit entry, unless it was routine, and the events."""
    outcome = action.execute(call)
    is_recorded = not (outcome.is_routine and call.actor.user is None)
    entry = _record(action, call, outcome) if is_recorded else None
    for event in outcome.events:
        outbox.publish(event.topic, event.payload, aggregate=event.aggregate)
    return outcome, entry


def _may_hear_again(action: AnyAction, actor: Actor, parsed: Any) -> None:
    """Raise :class:`NotAllowed` or :class:`NotFound` where the actor may no longer do what their key did.

    A guard that raises anything else is ignored, because the state has changed since, if only through this call. Where
    the object is gone, the actor must hold the permission in general.
    """
    try:
        target = action.target(parsed, lock=False)
    except NotFound:
        authorise(action, actor, None)
        return
    authorise(action, actor, target)
    try:
        action.guard(Call(actor, parsed, target))
    except (NotAllowed, NotFound):
        raise
    except BallastError:
        return


def _record(action: AnyAction, call: Call[Any], outcome: Outcome[Any]) -> AuditEntry:
    actor = call.actor
    return AuditEntry.objects.create(
        action=action.name,
        actor=actor.user,
        actor_name=actor.name,
        source=actor.source,
        api_key_prefix=actor.api_key_prefix,
        ip=actor.ip,
        request_id=actor.request_id,
        object_type=outcome.object_type,
        object_id=outcome.object_id,
        object_label=outcome.object_label,
        service_id=outcome.service_id,
        before=outcome.before,
        after=outcome.after,
        rationale=getattr(call.input, "rationale", "") or "",
    )
