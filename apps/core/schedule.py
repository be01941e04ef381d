"""How an app declares periodic work: a list of :class:`Job` named ``JOBS`` in its ``schedule.py``."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class Job:
    """Work to be done once in every slot of ``every``; each slot is a run.

    ``actor`` is the dotted path of a Dramatiq actor, or of a function, that takes no argument. ``title`` says what it
    does, as the list of runs shows it. ``offset`` shifts the slots, so that hourly work can wait until the hour's data
    has arrived. ``queue`` is the lane of workers, and what takes longer than ``time_limit`` is broken off.
    """

    name: str
    every: timedelta
    actor: str
    offset: timedelta = timedelta(0)
    title: str = ""
    queue: str = "default"
    time_limit: timedelta = timedelta(minutes=10)


JOBS = [
    Job(
        "core.purge",
        every=timedelta(hours=1),
        actor="apps.core.tasks.purge",
        title="Delete what nobody asks about any more",
        offset=timedelta(minutes=40),
        queue="bulk",
    )
]
