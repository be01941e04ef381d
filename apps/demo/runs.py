"""The kind of run that loads the demo and keeps it up to the hour."""

from __future__ import annotations

from datetime import timedelta

from apps.core.actions import Actor
from apps.core.models import Run
from apps.core.runs import Kind, Parameters, register, same_again, start

EXTEND = "demo.extend"


class Extend(Parameters):
    """No parameters: the run looks at what exists and adds the rest."""


register(
    Kind(
        name=EXTEND,
        title="Bring the demo up to date",
        parameters=Extend,
        work="apps.demo.tasks.extend",
        queue="bulk",
        # A first load takes seconds, or minutes on a slow machine.
        time_limit=timedelta(minutes=15),
        max_attempts=4,
        permission="demo.load",
        retried=same_again,
    )
)


def extend(actor: Actor) -> Run:
    """Start a run that brings the demo up to the last full hour, in the caller's transaction."""
    return start(EXTEND, Extend(), actor=actor, key="demo")
