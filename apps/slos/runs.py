"""The long work of SLOs: new recommendations and statuses, and one recommendation that a person asked for.

What follows from events comes in bursts. Requests that wait are merged, one for the fleet, one for some services and
one for each single service; a request that comes while the work runs follows it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from django.db import transaction

from apps.catalog.models import Service
from apps.core.actions import Actor
from apps.core.models import Run
from apps.core.redis import asking
from apps.core.runs import Kind, Parameters, Subject, register, same_again, start

REFRESH = "slos.refresh"
REFRESH_STATUS = "slos.refresh_status"
REGENERATE = "slos.regenerate"
SYSTEM = Actor.system("slos")


class Refresh(Parameters):
    """Which recommendations to make again if they are due, and why."""

    services: list[int] | None = None
    """Primary keys; ``None`` means the fleet."""
    reason: str = ""
    outdated: datetime | None = None
    """What was computed from the state before this counts as outdated. Whoever asks has marked it so, but what a worker
    stores meanwhile may rest on what was there before."""


class RefreshStatus(Parameters):
    """Which statuses to compute: of these services, or of all that changed."""

    services: list[int] | None = None
    since: datetime | None = None
    """Hours from here on were read again."""
    everything: bool = False


class Regenerate(Parameters):
    """One service, for whoever waits on the tickets."""

    service: int
    tickets: list[str]
    asked_by: str


def _both(first: list[int] | None, second: list[int] | None) -> list[int] | None:
    return None if first is None or second is None else sorted({*first, *second})


def _merge_refresh(waits: Refresh, comes: Refresh) -> Refresh:
    instants = [each for each in (waits.outdated, comes.outdated) if each is not None]
    reasons = dict.fromkeys([*waits.reason.split("; "), comes.reason])
    return Refresh(
        services=_both(waits.services, comes.services),
        reason="; ".join(reasons),
        outdated=max(instants, default=None),
    )


def _merge_status(waits: RefreshStatus, comes: RefreshStatus) -> RefreshStatus:
    instants = [each for each in (waits.since, comes.since) if each is not None]
    return RefreshStatus(
        services=_both(waits.services, comes.services),
        since=min(instants, default=None),
        everything=waits.everything or comes.everything,
    )


def _merge_regenerate(waits: Regenerate, comes: Regenerate) -> Regenerate:
    return waits.model_copy(update={"tickets": [*waits.tickets, *comes.tickets]})


def _which(run: Run) -> str:
    services = run.parameters.get("services")
    what = (
        "all services" if services is None else f"{len(services)} service{'s' if len(services) != 1 else ''}"
    )
    reason = run.parameters.get("reason")
    return f"{what}: {reason}" if reason else what


def _service_of(run: Run) -> str:
    found = Service.objects.filter(pk=run.parameters["service"]).values_list("service_id", flat=True).first()
    return found or "a service that is gone"


def answer(tickets: Iterable[str], found: Mapping[str, object]) -> None:
    """Answer whoever waits on the tickets."""
    for ticket in tickets:
        asking.reply(ticket, found)


def _answer_those_who_wait(run: Run) -> None:
    """Tell them at once where there is no recommendation to come, with the commit of the end."""
    tickets = run.parameters.get("tickets", ())
    if run.state != Run.State.COMPLETED:
        transaction.on_commit(lambda: answer(tickets, asking.FAILED))


def _regenerate_again(run: Run, actor: Actor) -> Run:
    """The same service for another actor. Whoever waited for the first run has had an answer."""
    wanted = Regenerate(service=run.parameters["service"], tickets=[], asked_by=actor.name)
    return start(REGENERATE, wanted, actor=actor, key=run.dedupe_key, origin=run.origin, retry_of=run)


def _owned(run: Run) -> Service | None:
    return Service.objects.filter(pk=run.parameters["service"]).first()


def _regenerated(run: Run) -> Subject:
    name = _service_of(run)
    return Subject("service", str(run.parameters["service"]), name, name)


register(
    Kind(
        name=REFRESH,
        title="Make new recommendations",
        parameters=Refresh,
        work="apps.slos.tasks.refresh_recommendations",
        queue="bulk",
        time_limit=timedelta(minutes=50),
        max_attempts=5,
        permission="slos.regenerate",
        can_stop=True,
        retried=same_again,
        merge=_merge_refresh,
        label=_which,
        unit="services",
    )
)
register(
    Kind(
        name=REFRESH_STATUS,
        title="Bring statuses up to date",
        parameters=RefreshStatus,
        work="apps.slos.tasks.refresh_status",
        max_attempts=5,
        permission="slos.regenerate",
        retried=same_again,
        merge=_merge_status,
        label=_which,
        unit="services",
    )
)
register(
    Kind(
        name=REGENERATE,
        title="Regenerate recommendation",
        parameters=Regenerate,
        work="apps.slos.tasks.regenerate",
        queue="interactive",
        person_waits=True,
        permission="slos.regenerate",
        target_of=_owned,
        retried=_regenerate_again,
        merge=_merge_regenerate,
        ended=_answer_those_who_wait,
        subject=_regenerated,
        label=_service_of,
        unit="services",
    )
)


def _key(services: Sequence[int] | None) -> str:
    if services is None:
        return "fleet"
    return f"service {services[0]}" if len(services) == 1 else "some services"


def refresh_recommendations(
    services: Sequence[int] | None, *, reason: str, outdated: datetime | None = None
) -> None:
    """Start a run that makes those of these recommendations, or of all, that are due, in the caller's transaction."""
    if services is None or services:
        wanted = Refresh(
            services=None if services is None else list(services), reason=reason, outdated=outdated
        )
        start(REFRESH, wanted, actor=SYSTEM, key=_key(services))


def refresh_status(
    services: Sequence[int] | None, *, since: datetime | None = None, everything: bool = False
) -> None:
    """Have the statuses of these services, or of all that changed, computed; inside the caller's transaction."""
    if services is None or services:
        wanted = RefreshStatus(
            services=None if services is None else list(services), since=since, everything=everything
        )
        start(REFRESH_STATUS, wanted, actor=SYSTEM, key=_key(services))


def refresh(
    services: Sequence[int] | None,
    *,
    reason: str,
    outdated: datetime | None = None,
    since: datetime | None = None,
    everything: bool = False,
) -> None:
    """Start a run that makes new statuses and recommendations, in the caller's transaction.

    Whoever needs both asks here. Each request holds its kind's turn until the commit, so two transactions that asked in
    different orders would wait for each other.
    """
    refresh_status(services, since=since, everything=everything)
    refresh_recommendations(services, reason=reason, outdated=outdated)


def regenerate(service: Service, *, ticket: str, actor: Actor) -> Run:
    """Start a run that makes one service's recommendations and answers the ticket, in the caller's transaction."""
    wanted = Regenerate(service=service.pk, tickets=[ticket], asked_by=actor.name)
    return start(REGENERATE, wanted, actor=actor, key=str(service.pk))
