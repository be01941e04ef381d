"""Looks at the source for a person who waits: whether it answers, and how one service is read. Nothing is stored.

A source that hangs could occupy every thread of a web process while people look at it. So only one look at a time asks
the source; the others show the result of the last look, with its age.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime
from typing import TypedDict

from django.utils import timezone

from apps.core.errors import BallastError
from apps.core.resilience import Deadline
from apps.telemetry import sources
from apps.telemetry.clients.base import Explanation
from apps.telemetry.clients.errors import SourceError, SourceTimeout
from apps.telemetry.services import last_complete_hour

#: How long a page waits for one question to the source.
LOOK_TIMEOUT_SECONDS = 4.0
#: How long a page waits for all its questions to the source.
LOOK_BUDGET_SECONDS = 8.0
#: A look that took this long to find the source down is not repeated for the second time.
SLOW_SECONDS = 1.0
SLOW_KEPT_SECONDS = 10.0


class SourceCheck(TypedDict):
    """Whether the source answers. ``families`` are the names of the metric families that were found."""

    configured: bool
    is_up: bool
    detail: str
    version: str
    families: list[str]


NOT_CONFIGURED: SourceCheck = {
    "configured": False,
    "is_up": False,
    "detail": "PROMETHEUS_URL is not set, and nobody connected a Prometheus.",
    "version": "",
    "families": [],
}


@dataclass(frozen=True, slots=True)
class _Heard:
    """The result of this process's last look at an address."""

    check: SourceCheck
    at: float
    took_seconds: float

    @property
    def age_seconds(self) -> float:
        return time.monotonic() - self.at

    @property
    def is_reason_to_wait(self) -> bool:
        is_slow = not self.check["is_up"] and self.took_seconds >= SLOW_SECONDS
        return is_slow and self.age_seconds < SLOW_KEPT_SECONDS


_heard: dict[str, _Heard] = {}


@dataclass(frozen=True, slots=True)
class Look:
    """What a page shows of the source. ``age_seconds`` is above zero if the source was not asked for this look."""

    check: SourceCheck
    age_seconds: float = 0.0
    found: Explanation | None = None
    problem: BallastError | None = None


def look(service_id: str = "") -> Look:
    """Ask whether the source answers and, given a service, how it is read, within :data:`LOOK_BUDGET_SECONDS`.

    If somebody else is asking, or the source was slow to fail a moment ago, the source is not asked: the look has the
    last result, with its age. This does not raise.
    """
    if not sources.is_configured():
        return Look(NOT_CONFIGURED)
    address = sources.address()
    last = _heard.get(address)
    if last is not None and last.is_reason_to_wait:
        return _from_memory(service_id, last)
    deadline = Deadline(LOOK_BUDGET_SECONDS)
    try:
        with sources.place():
            check = source_check()
            if not service_id:
                return Look(check)
            if not check["is_up"]:
                return _explained(service_id, check, only_kept=True)
            return _explained(service_id, check, budget_seconds=deadline.remaining())
    except sources.SourceBusy as error:
        last = _heard.get(address)
        if last is not None:
            return _from_memory(service_id, last)
        return Look({**NOT_CONFIGURED, "configured": True, "detail": error.detail})


def _from_memory(service_id: str, last: _Heard) -> Look:
    age = last.age_seconds
    return (
        _explained(service_id, last.check, only_kept=True, age=age) if service_id else Look(last.check, age)
    )


def _explained(
    service_id: str,
    check: SourceCheck,
    *,
    budget_seconds: float = LOOK_BUDGET_SECONDS,
    only_kept: bool = False,
    age: float = 0.0,
) -> Look:
    try:
        found = explain(service_id, budget_seconds=budget_seconds, only_kept=only_kept)
    except BallastError as error:
        return Look(check, age, problem=error)
    if check["is_up"] or found.quality.age_seconds:
        return Look(check, age, found)
    return Look(check, age)


def explain(
    service_id: str,
    *,
    hours: int = 24,
    end: datetime | None = None,
    patient: bool = False,
    budget_seconds: float = LOOK_BUDGET_SECONDS,
    only_kept: bool = False,
) -> Explanation:
    """Show how one service is read: the queries, the answers, and what would be stored. Nothing is stored.

    While the source is down, the last good answers are used, with their age.

    Parameters:
        patient: allow the configured time for each question instead of the few seconds that a page waits.
        budget_seconds: the longest time for all questions together, unless ``patient``.
        only_kept: use kept answers without asking the source.

    Raises:
        NoSource: none is set up.
    """
    source = sources.prometheus_source(
        serve_stale=True,
        timeout_seconds=None if patient else LOOK_TIMEOUT_SECONDS,
        budget_seconds=None if patient else budget_seconds,
    )
    if only_kept:
        source.http.ask_nothing(
            SourceTimeout(f"{source.http.url} is not asked at the moment, because it did not answer in time.")
        )
    last = last_complete_hour(end or timezone.now()) if end is None else end
    try:
        finish = int(last.timestamp()) // 3600 * 3600
        return source.explain(service_id, finish - hours * 3600, finish, 3600)
    finally:
        source.close()


def source_check(*, patient: bool = False) -> SourceCheck:
    """Ask whether the source answers. This does not raise, and takes at most a few seconds unless ``patient``."""
    if not sources.is_configured():
        return NOT_CONFIGURED
    began = time.monotonic()
    check = _checked(None if patient else LOOK_TIMEOUT_SECONDS)
    now = time.monotonic()
    _heard[sources.address()] = _Heard(check, now, now - began)
    return check


def _checked(timeout: float | None) -> SourceCheck:
    try:
        source = sources.prometheus_source(timeout_seconds=timeout, budget_seconds=timeout)
    except (SourceError, sources.NoSource, sources.SecretUnreadable) as error:
        return {"configured": True, "is_up": False, "detail": error.detail, "version": "", "families": []}
    try:
        status = source.check()
    finally:
        source.close()
    return {
        "configured": True,
        "is_up": status.is_up,
        "detail": status.detail,
        "version": status.version,
        "families": list(status.families),
    }
