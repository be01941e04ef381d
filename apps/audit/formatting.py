"""Text for an audit entry: its source, and its changes line by line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from apps.core.actions import FieldChange
from apps.core.models import AuditEntry
from apps.core.rooms import rooms
from apps.ui.format import percent

SOURCE_WORDS = {"web": "in the browser", "api": "over the API", "command": "by command", "task": "by itself"}
LONGEST = 300
"""A longer value is cut in the table of changes. The raw record holds all of it."""
SHOWN_ELSEWHERE = {"id", "recommendation_id", "rationale", "started_at", "started_by", "ended_at", "version"}
"""Fields that the page shows outside the table of changes. The raw record holds them, too."""


def areas() -> list[tuple[str, str]]:
    """Return the areas of the filter: the first part of the actions' names, and its words."""
    return [("", "everything"), *(pair for room in rooms() for pair in room.audit_areas.items())]


def where(entry: AuditEntry) -> str:
    """Return the source of an entry: ``in the browser``, ``over the API, key bk_1a2b3c…``."""
    words = SOURCE_WORDS.get(entry.source, entry.source)
    return f"{words}, key {entry.api_key_prefix}…" if entry.api_key_prefix else words


def changes(entry: AuditEntry) -> list[FieldChange]:
    """Return the differences between before and after, one line for each field, nested fields by their path."""
    before, after = dict(_flat(entry.before)), dict(_flat(entry.after))
    names = list(dict.fromkeys([*before, *after]))
    return [
        FieldChange(name.replace("_", " ") or "value", before.get(name, "—"), after.get(name, "—"))
        for name in names
        if before.get(name, "—") != after.get(name, "—")
    ]


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if value is None and not path:
        return
    if isinstance(value, dict):
        for key, inner in value.items():
            if key in SHOWN_ELSEWHERE and not path:
                continue
            yield from _flat(inner, f"{path}, {key}" if path else str(key))
    else:
        is_ratio = path == "target" and isinstance(value, float) and 0 < value < 1
        yield path, percent(value) if is_ratio else _text(value)


def _text(value: Any) -> str:
    if value is None or value in ("", []):
        return "—"
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
