"""A kind of long work for tests, and a clock of the database that a test moves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import transaction

from apps.core import instants
from apps.core.actions import Actor
from apps.core.models import Run
from apps.core.runs import kinds, starting
from apps.core.runs.holding import Holding
from apps.core.runs.kinds import Done, Kind, Parameters
from apps.core.runs.levers import same_again

BEGIN = datetime(2026, 11, 21, 12, tzinfo=UTC)
ACTOR = Actor.system("tests")


class Words(Parameters):
    words: list[str] = []


@dataclass
class Moving:
    """A clock that stands until it is moved."""

    at: datetime = BEGIN

    def __call__(self) -> datetime:
        return self.at

    def move(self, **by: float) -> None:
        self.at += timedelta(**by)


@dataclass
class Work:
    """What the kind of the tests does: whatever a test says, once for each call."""

    does: Callable[[Holding], Done | None] = lambda holding: Done(
        {"words": holding.run.parameters.get("words")}
    )
    seen: list[list[str]] = field(default_factory=list)


work = Work()


def do(holding: Holding) -> Done | None:
    """What the kind's path leads to."""
    work.seen.append(holding.parameters(Words).words)
    return work.does(holding)


KIND = Kind(
    name="tests.work",
    title="Work for a test",
    parameters=Words,
    work="tests.core.runs.do",
    permission="catalog.ingest",
    can_stop=True,
    retried=same_again,
    merge=lambda old, new: Words(words=old.words + new.words),
)


@contextmanager
def known(**changes: Any) -> Iterator[Kind]:
    """Have the kind known inside the block, with some of it changed."""
    kind, before = replace(KIND, **changes), kinds._kinds.get(KIND.name)
    work.does, work.seen = Work().does, []
    kinds._kinds[kind.name] = kind
    try:
        yield kind
    finally:
        del kinds._kinds[kind.name]
        if before is not None:
            kinds._kinds[kind.name] = before


def start(*words: str, key: str = "", actor: Actor = ACTOR) -> Run:
    """Accept some work."""
    with transaction.atomic():
        return starting.start(KIND.name, Words(words=list(words)), actor=actor, key=key)


@pytest.fixture
def kind() -> Iterator[Kind]:
    """The kind, known while a test runs."""
    with known() as found:
        yield found


@pytest.fixture
def clock() -> Iterator[Moving]:
    """The database's clock, standing at :data:`BEGIN`."""
    moving = Moving()
    with instants.clocks(database=moving):
        yield moving
