"""Kinds of long work, as the rooms declare them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.db import models
from pydantic import BaseModel, ConfigDict

from apps.core.actions import Actor, Event
from apps.core.errors import NotFound
from apps.core.models import Run
from apps.core.runs.leases import LONGEST

if TYPE_CHECKING:
    from apps.core.runs.holding import Holding

DEFAULT_KEPT = timedelta(days=30)


class Parameters(BaseModel):
    """The base of the parameters of a kind of work. Unknown fields are refused."""

    model_config = ConfigDict(extra="forbid")


@dataclass(frozen=True, slots=True)
class Done:
    """The result of completed work."""

    summary: Mapping[str, object] = field(default_factory=dict)
    warnings: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Subject:
    """What the audit trail calls a run: the type, the id and the name of its object, and the service it is about."""

    object_type: str
    object_id: str
    label: str
    service_id: str = ""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of long work.

    Parameters:
        name: stable and dotted, such as ``slos.refresh``; runs are stored under it.
        title: what it does, for pages and the audit trail: ``Backfill telemetry``.
        parameters: the model of its parameters.
        work: dotted path of the function ``(holding) -> Done | None`` that does it. A path, because only workers load
            what it needs. It may run twice and be killed between any two lines. With ``can_stop`` it calls
            ``holding.progress`` or ``holding.checkpoint`` at least every few seconds.
        queue: the workers' queue.
        person_waits: a person looks at a page until it is done; a lost bell is rung again sooner.
        time_limit: after this time the work is interrupted and has failed.
        max_attempts: the number of attempts, without getting further, before the run is given up.
        lease: how long a worker holds the run without renewing its lease.
        permission: what a person needs to cancel, pause, resume or retry a run.
        target_of: the object whose team owns a run. Without one, a permission for the user's own teams does not reach
            it.
        only_theirs: only the person who asked for a run, or an SRE admin, may do so.
        can_stop: the work calls ``checkpoint``, so a running run can be cancelled and paused.
        retried: starts the same work again for an actor; ``None`` if its input is deleted at the end.
        merge: combines the parameters of a waiting run with those of a further request with its key.
        subject: what the audit trail calls a run.
        events: the room's events at the end of a run, in addition to ``core.run_ended``.
        ended: called in the transaction of the end, to release what the run needed.
        label: a few words that distinguish the runs of this kind: ``30 days to 2026-11-30``.
        unit: what the progress counts.
        home: the room's page for its runs: its name and the name of its URL.
        own: reads the room's own row of a run.
        details: a template of facts that the page of a run includes, with the result of ``own`` as ``run``.
        failed_words: what a failure means, in a few words: ``nothing was changed``.
        kept: how long an ended run is kept; ``None`` is for ever.
    """

    name: str
    title: str
    parameters: type[Parameters]
    work: str
    permission: str
    queue: str = "default"
    person_waits: bool = False
    time_limit: timedelta = timedelta(minutes=10)
    max_attempts: int = 3
    lease: timedelta = timedelta(seconds=10)
    target_of: Callable[[Run], models.Model | None] | None = None
    only_theirs: bool = False
    can_stop: bool = False
    retried: Callable[[Run, Actor], Run] | None = None
    merge: Callable[[Any, Any], Any] | None = None
    subject: Callable[[Run], Subject] | None = None
    events: Callable[[Run], Sequence[Event]] | None = None
    ended: Callable[[Run], None] | None = None
    label: Callable[[Run], str] | None = None
    unit: str = ""
    home: tuple[str, str] = ("Runs", "runs")
    own: Callable[[Run], Run] | None = None
    details: str = ""
    failed_words: str = ""
    kept: timedelta | None = DEFAULT_KEPT

    def subject_of(self, run: Run) -> Subject:
        """What the audit trail calls a run of this kind."""
        return self.subject(run) if self.subject else Subject("run", str(run.pk), self.title)

    def label_of(self, run: Run) -> str:
        """A few words that distinguish this run from others of its kind; may be empty."""
        return self.label(run) if self.label else ""


type Work = Callable[["Holding"], Done | None]

_kinds: dict[str, Kind] = {}


def register(kind: Kind) -> Kind:
    """Register a kind of work under its name."""
    if kind.lease > LONGEST:
        raise RuntimeError(
            f"{kind.name}: a lease may last at most {LONGEST.total_seconds():.0f} s; it is renewed during the work."
        )
    if kind.name in _kinds:
        raise RuntimeError(f"Two kinds of long work are called {kind.name}.")
    _kinds[kind.name] = kind
    return kind


def get(name: str) -> Kind:
    """Return the kind of that name or raise :class:`NotFound`."""
    try:
        return _kinds[name]
    except KeyError:
        raise NotFound(f"There is no kind of work called {name}.") from None


def find(name: str) -> Kind | None:
    """Return the kind of that name; ``None`` if this version of Ballast does not know it."""
    return _kinds.get(name)


def all_kinds() -> list[Kind]:
    """Return every kind, by name."""
    return [_kinds[name] for name in sorted(_kinds)]
