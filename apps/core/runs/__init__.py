"""Long work: accepted once, done at least once, ended once.

A **run** is a row (:class:`apps.core.models.Run`) that says what is to be done. ``start`` writes it in the transaction
that accepts the work. The relay rings a bell, a message in Redis; whichever worker hears it **claims** the run, for a
lease on PostgreSQL's clock and with a fencing token, and renews it while it works. Where the bell was lost, or its
holder died, the **reconciler** in the scheduler rings again. So Redis may be emptied and workers killed at any time:
nothing is lost, and a bell that rings twice does nothing twice.

::

    preparing → pending → running → completed
                  ↑  ↓       ↓ ↑     failed, cancelled, given up
                  paused ←───┘ └── pending (again, after an error or a stop of its worker)

Each room says in ``apps/<room>/runs.py`` which kinds of work it has (:mod:`apps.core.runs.kinds`). Every end goes
through the dispatcher and has its event, and its entry in the audit trail unless a run of the system just completed.
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
