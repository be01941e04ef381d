"""Runs the commands of telemetry as actions of the person who types them, with a progress bar on stderr."""

from __future__ import annotations

import getpass
import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from django.core.management.base import CommandError
from tqdm import tqdm

from apps.core.actions import Actor
from apps.core.dispatcher import dispatch
from apps.core.errors import BallastError
from apps.core.json_types import JsonObject
from apps.core.models import AuditEntry
from apps.telemetry import services
from apps.telemetry.actions import MAX_DISCOVER_DAYS
from apps.telemetry.error_lines import described, problem_lines
from apps.telemetry.models import TelemetryRun

_LOOK_AGAIN_SECONDS = 0.2


def command_actor() -> Actor:
    """Return the person who runs the command, with the user name on this machine."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = "unknown"
    return Actor(user=None, source=AuditEntry.Source.COMMAND, name=f"command: {name}")


def request_and_run(action: str, data: JsonObject, *, label: str, unit: str) -> TelemetryRun:
    """Dispatch the action, do the run that it records in this process, and return the run.

    Raises:
        CommandError: it failed; the message names every known problem.
    """
    try:
        with _log_of_mishaps_only():
            return _requested_and_run(action, data, label=label, unit=unit)
    except BallastError as error:
        raise CommandError(described(error)) from error


def _requested_and_run(action: str, data: JsonObject, *, label: str, unit: str) -> TelemetryRun:
    requested = dispatch(action, dict(data), actor=command_actor())
    with tqdm(desc=label, unit=unit, unit_scale=True, file=sys.stderr, disable=None, leave=False) as bar:

        def report(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        run = services.execute_run(UUID(requested.value["run"]), progress=report)
        while run.finished_at is None:
            # A worker has already taken the run.
            report(run.progress_done, run.progress_total)
            time.sleep(_LOOK_AGAIN_SECONDS)
            run = services.execute_run(run.pk, progress=report)
    if run.state != TelemetryRun.State.COMPLETED:
        raise CommandError(_failure(run))
    return run


def _failure(run: TelemetryRun) -> str:
    """Return why a run failed, with the problems of files."""
    failure = str(run.summary.get("failure", "The run failed."))
    if run.errors and "file" in run.errors[0]:
        return "\n".join([failure, *problem_lines(run.errors, run.error_count)])
    return failure


@contextmanager
def _log_of_mishaps_only() -> Iterator[None]:
    """Log only errors, because the command prints the rest itself, unless ``LOG_LEVEL`` asks for more."""
    log = logging.getLogger("apps.telemetry")
    before = log.level
    if "LOG_LEVEL" not in os.environ:
        log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(before)


def discover(days: int, end: str | None) -> TelemetryRun:
    """Look for services and calls in the ``days`` before ``end``, or in as many as one discovery may cover.

    Raises:
        CommandError: it failed.
    """
    return request_and_run(
        "telemetry.discover",
        {"days": min(days, MAX_DISCOVER_DAYS), "end": end},
        label="discover",
        unit=" days",
    )


def discovery_words(run: TelemetryRun) -> str:
    """Return a sentence on what a discovery found."""
    found = run.summary
    words = (
        f"{found['services']:,} services ({found['new_services']:,} new) and {found['edges']:,} calls between "
        f"services ({found['new_edges']:,} new) were seen from {run.window_start:%Y-%m-%dT%H:%MZ} to "
        f"{run.window_end:%Y-%m-%dT%H:%MZ}."
    )
    if found["services"]:
        return words
    return f"{words} No metric family has data there; docs/telemetry.md explains how to describe your own."


def aware(end: str | None) -> str | None:
    """Return an instant with an offset: UTC where it has none."""
    if end is None or end.endswith(("Z", "z")) or "+" in end[10:] or "-" in end[10:]:
        return end
    return f"{end}Z" if "T" in end or " " in end else f"{end}T00:00:00Z"
