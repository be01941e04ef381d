#!/usr/bin/env python3
"""Management commands. Without DATABASE_URL they bring the embedded servers along while they run."""

import os
import sys

if sys.version_info < (3, 12):  # noqa: UP036  (the line must come before anything newer fails to parse)
    sys.exit(
        f"Ballast needs Python 3.12 or newer; this is {sys.version.split()[0]}. "
        "Run `make setup`, then use .venv/bin/python."
    )

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "console.settings")
    try:
        from console.command_line import main
    except ModuleNotFoundError as error:
        sys.exit(
            f"{error.name} is not installed for {sys.executable}. "
            "Run `make setup`, then use .venv/bin/python."
        )
    sys.exit(main(sys.argv))
