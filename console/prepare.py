"""Prepare the start of the console in one process: migrate, load the demo, list the sign-ins.

``python -m console.prepare REPORT_FD`` writes one JSON line for each finished step to that descriptor: ``{"step":
"migrated"}``, then ``{"step": "ready", "sign_ins": "…"}`` or ``{"step": "failed", "reason": "…"}``.
"""

from __future__ import annotations

import io
import json
import os
import sys
import traceback
from typing import IO

import django

from apps.core.errors import BallastError
from console.embedded import EmbeddedError
from console.embedded.logs import log_path, open_log
from console.environment import ConfigurationError


def main(arguments: list[str]) -> int:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "console.settings")
    with os.fdopen(int(arguments[0]), "w") as report:
        try:
            _prepare(report)
        except Exception as error:
            if os.environ.get("LOG_LEVEL", "").upper() == "DEBUG":
                raise
            _tell(report, "failed", reason=_reason(error))
            return 1
    return 0


def _reason(error: Exception) -> str:
    """Return one line for the operator. The log keeps the traceback of an unexpected error."""
    line = (str(error).strip().splitlines() or [type(error).__name__])[0]
    from django.core.management import CommandError
    from django.db import Error

    if isinstance(error, ConfigurationError | EmbeddedError | CommandError | BallastError | Error):
        return line
    from console.settings import DATA_DIR

    with open_log(DATA_DIR, "prepare") as log:
        log.write("".join(traceback.format_exception(error)).encode())
    return f"{line} ({log_path(DATA_DIR, 'prepare')} has the details)"


def _prepare(report: IO[str]) -> None:
    django.setup()
    from django.conf import settings
    from django.core.management import call_command, get_commands

    from console.migrations import apply_pending

    # Static files are not collected here but served from their source folders. The web server warns if the folder is
    # missing.
    settings.STATIC_ROOT.mkdir(parents=True, exist_ok=True)
    apply_pending()
    _tell(report, "migrated")
    sign_ins = io.StringIO()
    if settings.DEMO and "demo" in get_commands():
        call_command("demo", "ensure", stdout=sys.stderr)
        # The line about missing sign-ins is printed below, once.
        call_command("demo", "signins", stdout=sign_ins, stderr=io.StringIO())
    from apps.accounts.queries import nobody_can_sign_in, nobody_yet

    _tell(report, "ready", sign_ins=nobody_yet() if nobody_can_sign_in() else sign_ins.getvalue())


def _tell(report: IO[str], step: str, **more: str) -> None:
    report.write(json.dumps({"step": step, **more}) + "\n")
    report.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
