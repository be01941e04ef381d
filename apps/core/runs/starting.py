"""Starts long work: a row in the transaction that accepts it."""

from __future__ import annotations

from typing import Any

from django.db import connection

from apps.core import instants
from apps.core.actions import Actor
from apps.core.delivery import outbox
from apps.core.models import Run
from apps.core.runs import kinds
from apps.core.runs.kinds import Parameters

RING = "core.run_rings"
"""The event on which the relay rings the bell: after the commit, and not from inside a request."""


def start(
    kind_name: str,
    parameters: Parameters,
    *,
    actor: Actor,
    key: str = "",
    origin: str = "",
    model: type[Run] = Run,
    is_preparing: bool = False,
    retry_of: Run | None = None,
    **columns: Any,
) -> Run:
    """Accept work in the caller's transaction. Once that commits, the work will be done, whatever happens to Redis.

    With a ``key``, a waiting run of the kind with that key takes in the request: the parameters are merged, and that
    run is returned instead of a new one. A running run is not changed, and the new run follows it.

    Parameters:
        model: the room's own table of runs, whose columns are given as ``columns``.
        is_preparing: the run may not start before :func:`make_ready`, because more input has to arrive.

    Raises:
        RuntimeError: outside a transaction, because the run could then outlive a change that failed.
    """
    if not connection.in_atomic_block:
        raise RuntimeError(f"start({kind_name!r}) needs the transaction of the change that causes it.")
    kind = kinds.get(kind_name)
    if key:
        found = _merged(kind, parameters, key, actor)
        if found is not None:
            return found
    now = instants.now()
    run = model(
        kind=kind.name,
        state=Run.State.PREPARING if is_preparing else Run.State.PENDING,
        parameters=parameters.model_dump(mode="json", exclude_defaults=True),
        origin=origin,
        requested_by=actor.user,
        requested_by_name=actor.name,
        retry_of=retry_of,
        person_waits=kind.person_waits,
        dedupe_key=key,
        takes_more=bool(key),
        queue=kind.queue,
        max_attempts=kind.max_attempts,
        created_at=now,
        rung_at=None if is_preparing else now,
        **columns,
    )
    run.save(force_insert=(Run,))
    if not is_preparing:
        _ask_for_bell(run)
    return run


def make_ready(run: Run) -> None:
    """Let a locked run start that was being prepared, in the caller's transaction."""
    run.state, run.rung_at = Run.State.PENDING, instants.now()
    run.save(update_fields=["state", "rung_at"])
    _ask_for_bell(run)


def _ask_for_bell(run: Run) -> None:
    outbox.publish(RING, {"run": str(run.pk)}, aggregate=f"run:{run.pk}")


def take_turns(kind_name: str, key: str) -> None:
    """Serialise requests with one key until the transaction ends: the second finds the run of the first."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext(%s), hashtext(%s))", [kind_name, key])


def _merged(kind: kinds.Kind, parameters: Parameters, key: str, actor: Actor) -> Run | None:
    take_turns(kind.name, key)
    waiting = Run.objects.select_for_update().filter(kind=kind.name, dedupe_key=key, takes_more=True).first()
    if waiting is None:
        return None
    if waiting.requested_by_id is None and actor.user is not None:
        # Now a person waits for its end.
        waiting.requested_by, waiting.requested_by_name = actor.user, actor.name
        waiting.save(update_fields=["requested_by", "requested_by_name"])
    if kind.merge is None:
        return waiting
    before = kind.parameters.model_validate(waiting.parameters)
    waiting.parameters = kind.merge(before, parameters).model_dump(mode="json", exclude_defaults=True)
    waiting.save(update_fields=["parameters"])
    return waiting
