"""Two names for one database: the application's role reads and writes, the owner's role migrates."""

from __future__ import annotations

from typing import Any

from django.db.models import Model


class ApplicationRouter:
    """Send every query through the application's role. Only commands that ask for it use the owner's."""

    def db_for_read(self, model: type[Model], **hints: Any) -> str:
        return "default"

    def db_for_write(self, model: type[Model], **hints: Any) -> str:
        return "default"

    def allow_relation(self, first: Model, second: Model, **hints: Any) -> bool:
        return True
