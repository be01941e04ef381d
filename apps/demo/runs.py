"""The long work of the demo: brought in, and kept up to the hour."""

from __future__ import annotations

from datetime import timedelta

from apps.core.actions import Actor
from apps.core.models import Run
from apps.core.runs import Kind, Parameters, register, same_again, start

EXTEND = "demo.extend"


class Extend(Parameters):
    """Nothing has to be said: it looks at what is there and does the rest."""


register(
    Kind(
        name=EXTEND,
        title="Bring the demo up to date",
        parameters=Extend,
        work="apps.demo.tasks.extend",
        queue="bulk",
        # A first load takes seconds; on a slow machine, minutes.
        time_limit=timedelta(minutes=15),
        max_attempts=4,
        permission="demo.load",
        retried=same_again,
    )
)


def extend(actor: Actor) -> Run:
    """Have the demo brought up to the last full hour; inside the caller's transaction."""
    return start(EXTEND, Extend(), actor=actor, key="demo")
