"""When a lease has run out, on the database's clock, also where that clock was set back."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import connection
from django.db.models import Q

from apps.core.models import Run

LONGEST = timedelta(seconds=60)
"""No kind of work has a longer lease."""
IMPLAUSIBLE = 2 * LONGEST
"""A lease that runs for longer than this from now was given before the clock was set back. A holder that lives renews
it within a second; one that does not must not keep the run until the clock gets there again."""


def has_run_out(run: Run, now: datetime) -> bool:
    """Whether nobody holds a run that counts as running."""
    until = run.lease_until
    return until is None or until < now or until > now + IMPLAUSIBLE


def run_out(now: datetime) -> Q:
    """The running ones that nobody holds."""
    return Q(state=Run.State.RUNNING) & (Q(lease_until__lt=now) | Q(lease_until__gt=now + IMPLAUSIBLE))


def waiting(now: datetime) -> Q:
    """Those that may be begun: pending and due, or left behind. A delay that is longer than any is of another time."""
    is_due = Q(not_before__isnull=True) | Q(not_before__lte=now) | Q(not_before__gt=now + timedelta(hours=1))
    return (Q(state=Run.State.PENDING) & is_due) | run_out(now)


def take_turns(run: Run) -> None:
    """Have the claims and ends of one key come one after the other, until the end of the transaction.

    So a claim that finds the key taken comes before the end that wakes it, and none is left asleep.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashtext('run'), hashtext(%s))", [f"{run.kind}:{run.dedupe_key}"]
        )
