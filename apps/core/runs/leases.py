"""Whether a lease has run out, on the database's clock, even if that clock was set back."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import connection
from django.db.models import Q

from apps.core.models import Run

LONGEST = timedelta(seconds=60)
"""No kind of work has a longer lease."""
IMPLAUSIBLE = 2 * LONGEST
"""A lease that ends later than this from now was granted before the clock was set back. A live holder renews it within
a second; a dead one must not keep the run until the clock reaches that time again."""


def has_run_out(run: Run, now: datetime) -> bool:
    """Return whether the lease of a running run has run out."""
    until = run.lease_until
    return until is None or until < now or until > now + IMPLAUSIBLE


def run_out(now: datetime) -> Q:
    """Return the condition for running runs whose lease has run out."""
    return Q(state=Run.State.RUNNING) & (Q(lease_until__lt=now) | Q(lease_until__gt=now + IMPLAUSIBLE))


def waiting(now: datetime) -> Q:
    """Return the condition for runs that may be claimed: pending and due, or with a lease that has run out.

    A delay longer than any that Ballast sets comes from before the clock was set back, and counts as over.
    """
    is_due = Q(not_before__isnull=True) | Q(not_before__lte=now) | Q(not_before__gt=now + timedelta(hours=1))
    return (Q(state=Run.State.PENDING) & is_due) | run_out(now)


def take_turns(run: Run) -> None:
    """Serialise the claims and ends of one key until the end of the transaction.

    So a claim that finds the key taken comes before the end that rings for it, and no run is left waiting.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashtext('run'), hashtext(%s))", [f"{run.kind}:{run.dedupe_key}"]
        )
