"""The demo's subscribers."""

from __future__ import annotations

from apps.core.actions import Actor
from apps.core.delivery.outbox import subscribe
from apps.core.models import OutboxEvent
from apps.demo import runs


@subscribe("demo.load_requested", name="demo.load")
def load(event: OutboxEvent) -> None:
    """Have a worker load the demo. If the command that asked loads it itself, the worker finds nothing to do."""
    runs.extend(Actor.system("demo"))


@subscribe("demo.removed", name="demo.forget_sign_ins")
def forget_sign_ins(event: OutboxEvent) -> None:
    """Delete the passwords of users who can no longer sign in."""
    from apps.demo import queries, signins

    standing = queries.standing()
    if standing is not None and not standing.is_wanted:
        signins.forget()
