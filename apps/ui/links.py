"""Addresses of the dialogs behind buttons."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.urls import reverse


def action_url(name: str, /, **values: Any) -> str:
    """Return the address that opens an action's dialog with these values. Empty ones are left out."""
    given = {key: value for key, value in values.items() if value not in ("", None)}
    return f"{reverse('action', args=[name])}?{urlencode(given)}"
