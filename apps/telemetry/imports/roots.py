"""The folder for imports that are requested from another machine."""

from __future__ import annotations

from pathlib import Path

from django.conf import settings


def import_root() -> Path:
    """Return the folder below which imports may read, unless they are started on this machine's command line."""
    return Path(settings.DATA_DIR) / "imports"
