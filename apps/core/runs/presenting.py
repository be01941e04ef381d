"""Runs as pages show them: the page of a run, and the rows of the list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from django.db.models import Q

from apps.core import instants
from apps.core.actions import Actor
from apps.core.errors import Fault, NotFound
from apps.core.json_types import Json
from apps.core.models import Run
from apps.core.runs import kinds, leases, levers
from apps.core.runs.kinds import Kind
from apps.core.web.pagination import Page, paginate

STATE_WORDS: Mapping[str, str] = {
    "preparing": "being prepared",
    "pending": "waits for a worker",
    "running": "running",
    "paused": "paused",
    "completed": "completed",
    "failed": "failed",
    "cancelled": "cancelled",
    "given_up": "given up",
}
ROWS = 50
_CONCERN_PEOPLE = (Run.State.FAILED, Run.State.GIVEN_UP, Run.State.PAUSED)

type Level = Literal["", "ok", "warn", "bad"]
_LEVELS: Mapping[str, Level] = {"completed": "ok", "failed": "bad", "given_up": "bad", "paused": "warn"}


@dataclass(frozen=True, slots=True)
class Lever:
    """A button on the page of a run."""

    action: str
    label: str
    look: str = ""


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem of a run."""

    where: str
    field: str
    text: str


@dataclass(frozen=True, slots=True)
class ShownRun:
    """A run as templates draw it."""

    run: Run
    title: str
    label: str
    home: tuple[str, str]
    own: Run
    details: str
    state: str
    level: Level
    worker: str
    unit: str
    levers: Sequence[Lever]
    problems: Sequence[Problem]
    advice: str

    @property
    def is_over(self) -> bool:
        """Whether it has ended; the page polls until then."""
        return self.run.is_over

    @property
    def figures(self) -> dict[str, Json]:
        """The summary's figures, without what the page shows elsewhere."""
        aside = {"failure", "warnings", "remarks"}
        return {name: value for name, value in self.run.summary.items() if name not in aside}

    @property
    def warnings(self) -> Sequence[str]:
        """All warnings of the run."""
        return [*self.run.warnings, *self.run.summary.get("warnings", [])]


def shown(run: Run, actor: Actor) -> ShownRun:
    """Return a run as its page draws it for this actor."""
    kind = known(run)
    now = instants.now()
    return ShownRun(
        run=run,
        title=kind.title if kind else run.kind,
        label=kind.label_of(run) if kind else "",
        home=kind.home if kind else ("Runs", "runs"),
        own=kind.own(run) if kind and kind.own else run,
        details=kind.details if kind else "",
        state=state_words(run, now, kind),
        level=_LEVELS.get(run.state, ""),
        worker=run.lease_owner if levers.is_held(run) else "",
        unit=kind.unit if kind else "",
        levers=_levers(run, kind, actor) if kind else (),
        problems=[_problem(error) for error in run.errors],
        advice="correct these and send it again" if kind and kind.retried is None else "",
    )


def known(run: Run) -> Kind | None:
    """The kind of a run; ``None`` if only another version of Ballast knows it."""
    try:
        return kinds.get(run.kind)
    except NotFound:
        return None


def state_words(run: Run, now: datetime, kind: Kind | None) -> str:
    """Return a run's state in words."""
    if run.state == Run.State.RUNNING:
        if run.stop:
            return "stopping" if run.stop == Run.Stop.CANCEL else "pausing"
        if leases.has_run_out(run, now):
            return "its worker was lost; another will take over"
    if run.state == Run.State.PENDING and run.not_before is not None:
        return f"attempt {run.attempts} of {run.max_attempts} failed; the next starts soon"
    words = STATE_WORDS.get(run.state, run.state)
    if run.state == Run.State.FAILED and kind is not None and kind.failed_words:
        return f"{words}: {kind.failed_words}"
    return words


def _levers(run: Run, kind: Kind, actor: Actor) -> list[Lever]:
    if not levers.may_pull(actor, run):
        return []
    offered = (
        (levers.ResumeRun, Lever("core.resume_run", "Resume", "primary")),
        (levers.PauseRun, Lever("core.pause_run", "Pause")),
        (levers.CancelRun, Lever("core.cancel_run", "Cancel", "danger")),
        (levers.RetryRun, Lever("core.retry_run", "Retry")),
    )
    return [lever for action, lever in offered if not action().problem(run, kind)]


def _problem(error: Fault) -> Problem:
    where = ""
    if error.get("file"):
        where = f"{error['file']} line {error['line']}"
    elif error.get("list"):
        part = f"part {error['part']}, " if int(error.get("part", 1)) > 1 else ""
        where = f"{part}{error['list']} row {error['row']}"
    return Problem(
        where, str(error.get("field") or ""), str(error.get("message") or error.get("reason") or "")
    )


@dataclass(frozen=True, slots=True)
class Row:
    """A run as the list draws it."""

    run: Run
    title: str
    label: str
    state: str
    level: Level


def rows(page: Page[Run]) -> list[Row]:
    """The rows of the list."""
    now, found = instants.now(), []
    for run in page.items:
        kind = known(run)
        found.append(
            Row(
                run,
                kind.title if kind else run.kind,
                kind.label_of(run) if kind else "",
                state_words(run, now, None),
                _LEVELS.get(run.state, ""),
            )
        )
    return found


def runs_page(*, who: str = "", kind: str = "", state: str = "", cursor: str | None = None) -> Page[Run]:
    """Return one page of runs, newest first.

    ``who`` is ``system``, ``all``, or empty for the runs that concern people: those that people asked for, and those of
    the system that failed, were given up or are paused. The state ``open`` means all runs that have not ended.
    """
    wanted = Run.objects.defer("errors", "position")
    if who == "system":
        wanted = wanted.filter(requested_by=None)
    elif who != "all":
        wanted = wanted.filter(Q(requested_by__isnull=False) | Q(state__in=_CONCERN_PEOPLE))
    if kind:
        wanted = wanted.filter(kind=kind)
    if state == "open":
        wanted = wanted.exclude(state__in=Run.ENDED)
    elif state:
        wanted = wanted.filter(state=state)
    return paginate(wanted, order=("-created_at", "-id"), cursor=cursor, limit=ROWS)


def who_choices() -> list[tuple[str, str]]:
    """Whose runs to show."""
    return [("", "people, and what went wrong"), ("system", "the system"), ("all", "everybody")]


def kind_choices() -> list[tuple[str, str]]:
    """The kinds to filter by, by their titles."""
    return [
        ("", "all kinds"),
        *sorted(((kind.name, kind.title) for kind in kinds.all_kinds()), key=lambda k: k[1]),
    ]


def state_choices() -> list[tuple[str, str]]:
    """The states to filter by."""
    return [("", "all states"), ("open", "not ended"), *STATE_WORDS.items()]
