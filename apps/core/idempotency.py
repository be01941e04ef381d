"""Idempotency keys: a client's key is stored with the answer, in the transaction of the change.

Of two requests with the same key at once, the second waits on the unique index until the first commits, then gets its
answer. Where the first fails, its claim is rolled back with it and the second does the work.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

from django.db import connection

from apps.core.errors import Conflict, FieldProblem, InvalidInput
from apps.core.models import IdempotencyKey

KEY = re.compile(r"[!-~]{1,255}")


def digest(action: str, data: Any) -> str:
    """Return a digest that is equal for two requests that ask for the same thing."""
    canonical = json.dumps([action, data], sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(canonical.encode()).hexdigest()


def claim(owner: str, key: str, action: str, data: Any) -> IdempotencyKey | None:
    """Claim a key inside the running transaction.

    Returns ``None`` when this call now holds the key, or the earlier row, whose ``response`` is the answer to repeat.
    Raises :class:`Conflict` when the key was used for another request, :class:`InvalidInput` when its form is wrong.
    """
    if not KEY.fullmatch(key):
        raise InvalidInput(
            "The idempotency key must be 1 to 255 visible ASCII characters.",
            fields=[FieldProblem("Idempotency-Key", "is too long or holds a space or another character")],
        )
    asked = digest(action, data)
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO core_idempotencykey (owner, key, action, request_digest) VALUES (%s, %s, %s, %s)"
            " ON CONFLICT (owner, key) DO NOTHING",
            [owner, key, action, asked],
        )
        if cursor.rowcount == 1:
            return None
    earlier = IdempotencyKey.objects.get(owner=owner, key=key)
    if earlier.request_digest != asked:
        raise Conflict(
            "This idempotency key was used for a different request. Use a new key for a new request."
        )
    return earlier


def keep_response(owner: str, key: str, response: Any) -> None:
    """Store the answer beside the claim, in the same transaction."""
    IdempotencyKey.objects.filter(owner=owner, key=key).update(response=response)
