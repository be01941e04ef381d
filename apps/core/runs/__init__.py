"""Long work: accepted once, done at least once, ended once.

A **run** is a row (:class:`apps.core.models.Run`) that describes the work. ``start`` writes it in the transaction that
accepts the work. The relay rings a bell, a message in Redis. The worker that receives it **claims** the run, for a
lease on PostgreSQL's clock and with a fencing token, and renews the lease while it works. If the bell is lost or the
holder dies, the **reconciler** in the scheduler rings again. So Redis may be emptied and workers killed at any time:
nothing is lost, and a second bell has no second effect.

::

    preparing → pending → running → completed
                  ↑  ↓       ↓ ↑     failed, cancelled, given up
                  paused ←───┘ └── pending (again, after an error or a stop of its worker)

Each room registers its kinds of work in ``apps/<room>/runs.py`` (:mod:`apps.core.runs.kinds`). Every end goes through
the dispatcher and has an event. It also has an audit entry, unless the run completed and no person asked for it.
"""

from apps.core.runs.ending import end, ended
from apps.core.runs.executing import Failed, execute
from apps.core.runs.holding import Holding, LeaseLost, Stopped
from apps.core.runs.kinds import Done, Kind, Parameters, Subject, register
from apps.core.runs.levers import same_again
from apps.core.runs.starting import make_ready, start

__all__ = [
    "Done",
    "Failed",
    "Holding",
    "Kind",
    "LeaseLost",
    "Parameters",
    "Stopped",
    "Subject",
    "end",
    "ended",
    "execute",
    "make_ready",
    "register",
    "same_again",
    "start",
]
