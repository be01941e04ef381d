"""How an app declares periodic work: a list of :class:`Job` named ``JOBS`` in its ``schedule.py``."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class Job:
    """Work to be enqueued once in every slot of ``every``.

    ``actor`` is the dotted path of a Dramatiq actor that takes no argument. ``offset`` shifts the slots, so
    that hourly work can wait until the hour's data has arrived.
    """

    name: str
    every: timedelta
    actor: str
    offset: timedelta = timedelta(0)


JOBS = [
    Job("core.purge", every=timedelta(hours=1), actor="apps.core.tasks.purge", offset=timedelta(minutes=40))
]
