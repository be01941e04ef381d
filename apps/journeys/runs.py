"""The kind of run that computes results again after something that they depend on has changed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from apps.core.actions import Actor
from apps.core.models import Run
from apps.core.runs import Kind, Parameters, register, same_again, start

REFRESH = "journeys.refresh"


class Refresh(Parameters):
    """Which journeys to compute, and why."""

    journeys: list[str] | None = None
    """The ids of the journeys; ``None`` means all."""
    reason: str = ""
    asked: datetime | None = None
    """The time of the request. Results computed since then are left alone."""
    is_forced: bool = False
    """Whether to compute the others, too."""


def _merge(waits: Refresh, comes: Refresh) -> Refresh:
    asked = [each for each in (waits.asked, comes.asked) if each is not None]
    both = None
    if waits.journeys is not None and comes.journeys is not None:
        both = sorted({*waits.journeys, *comes.journeys})
    return Refresh(
        journeys=both,
        reason="; ".join(dict.fromkeys([*waits.reason.split("; "), comes.reason])),
        asked=max(asked, default=None),
        is_forced=waits.is_forced or comes.is_forced,
    )


def _which(run: Run) -> str:
    journeys = run.parameters.get("journeys")
    what = "all" if journeys is None else f"{len(journeys)} of them"
    return f"{what}: {run.parameters.get('reason') or 'asked for'}"


register(
    Kind(
        name=REFRESH,
        title="Compute journeys again",
        parameters=Refresh,
        work="apps.journeys.tasks.refresh",
        time_limit=timedelta(minutes=30),
        max_attempts=5,
        permission="journeys.edit",
        can_stop=True,
        retried=same_again,
        merge=_merge,
        label=_which,
        unit="journeys",
    )
)


def refresh(
    journeys: Sequence[str] | None, *, reason: str, asked: datetime | None = None, is_forced: bool = False
) -> None:
    """Start a run that computes these journeys, or all, again, in the caller's transaction."""
    if journeys is None or journeys:
        wanted = Refresh(
            journeys=None if journeys is None else list(journeys),
            reason=reason,
            asked=asked,
            is_forced=is_forced,
        )
        key = "all" if journeys is None else "some"
        start(REFRESH, wanted, actor=Actor.system("journeys"), key=key)
