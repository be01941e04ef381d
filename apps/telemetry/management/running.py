"""How the commands of telemetry run: as an action of whoever types them, with a progress bar on stderr."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.core.management.base import CommandError
from tqdm import tqdm

from apps.core.actions import Actor
from apps.core.dispatcher import dispatch
from apps.core.errors import BallastError
from apps.core.models import AuditEntry
from apps.telemetry import services
from apps.telemetry.models import TelemetryRun

_PROBLEMS_SHOWN = 50


def command_actor() -> Actor:
    """Whoever runs the command, by the name that the machine knows."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = "unknown"
    return Actor(user=None, source=AuditEntry.Source.COMMAND, name=f"command: {name}")


def request_and_run(action: str, data: Mapping[str, Any], *, label: str, unit: str) -> TelemetryRun:
    """Dispatch the action, do the run it records here and now, return it.

    Raises:
        CommandError: it failed; every problem that is known is named.
    """
    try:
        requested = dispatch(action, dict(data), actor=command_actor())
        with tqdm(desc=label, unit=unit, unit_scale=True, file=sys.stderr, disable=None, leave=False) as bar:

            def report(done: int, total: int) -> None:
                bar.total = total
                bar.update(done - bar.n)

            run = services.execute_run(UUID(requested.value["run"]), progress=report)
    except BallastError as error:
        raise CommandError(described(error)) from error
    if run.state == TelemetryRun.State.FAILED:
        raise CommandError(run.summary.get("failure", "The run failed."))
    return run


def described(error: BallastError) -> str:
    """The error with its fields, one a line."""
    problems = error.extra.get("problems")
    if not problems:
        return "\n".join(
            [error.detail, *(f"  {problem.path}: {problem.message}" for problem in error.fields)]
        )
    lines = [error.detail]
    for problem in problems[:_PROBLEMS_SHOWN]:
        field = f" {problem['field']}:" if problem["field"] else ""
        lines.append(f"  {problem['file']}:{problem['line']}:{field} {problem['reason']}")
    rest = int(error.extra["error_count"]) - min(len(problems), _PROBLEMS_SHOWN)
    if rest:
        lines.append(f"  … and {rest:,} more.")
    return "\n".join(lines)
