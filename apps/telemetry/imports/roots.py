"""Where files lie that may be imported by whoever is not on this machine."""

from __future__ import annotations

from pathlib import Path

from django.conf import settings


def import_root() -> Path:
    """The folder below which an import may read that was not asked for on this machine's command line."""
    return Path(settings.DATA_DIR) / "imports"
