"""What has to be done while the console comes up, in one process: migrate, load the demo, say who signs in.

``python -m console.prepare REPORT_FD`` writes one JSON line for each step that is done to the descriptor it
is given: ``{"step": "migrated"}``, then ``{"step": "ready", "sign_ins": "…"}`` or ``{"step": "failed",
"reason": "…"}``.
"""

from __future__ import annotations

import io
import json
import os
import sys
from typing import IO

import django


def main(arguments: list[str]) -> int:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "console.settings")
    with os.fdopen(int(arguments[0]), "w") as report:
        try:
            _prepare(report)
        except Exception as error:
            if os.environ.get("LOG_LEVEL", "").upper() == "DEBUG":
                raise
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            _tell(report, "failed", reason=f"{type(error).__name__}: {reason}")
            return 1
    return 0


def _prepare(report: IO[str]) -> None:
    django.setup()
    from django.conf import settings
    from django.core.management import call_command, get_commands

    from console.migrations import apply_pending

    # Nothing is collected here, files are served from where they lie; but the web server warns of a missing folder.
    settings.STATIC_ROOT.mkdir(parents=True, exist_ok=True)
    apply_pending()
    _tell(report, "migrated")
    sign_ins = io.StringIO()
    if settings.DEMO and "demo" in get_commands():
        call_command("demo", "ensure", stdout=sys.stderr)
        call_command("demo", "signins", stdout=sign_ins)
    _tell(report, "ready", sign_ins=sign_ins.getvalue())


def _tell(report: IO[str], step: str, **more: str) -> None:
    report.write(json.dumps({"step": step, **more}) + "\n")
    report.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
