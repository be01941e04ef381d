"""Values that go through Redis and come back: JSON, signed with ``SECRET_KEY`` for the one place they were put in.

Whoever can write to Redis can plant anything there. What was not signed by this installation, or for another place, is
not read; nothing is ever unpickled.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from functools import lru_cache
from typing import Any

from django.conf import settings

_SIGNATURE_BYTES = 32


class Unreadable(Exception):
    """The bytes are not a value that this installation signed for this place."""


@lru_cache(maxsize=8)
def _key(secret: str) -> bytes:
    return hmac.digest(secret.encode(), b"ballast.values-in-redis", hashlib.sha256)


def _signature(secret: str, place: str, body: bytes) -> bytes:
    where = place.encode()
    return hmac.digest(_key(secret), len(where).to_bytes(4) + where + body, hashlib.sha256)


def signed(place: str, value: Any) -> bytes:
    """Return a value as bytes that only :func:`opened` with the same place reads.

    Raises :class:`TypeError` for what JSON has no word for, such as dates and bytes.
    """
    body = json.dumps(value, separators=(",", ":")).encode()
    return _signature(settings.SECRET_KEY, place, body) + body


def opened(place: str, data: bytes) -> Any:
    """Return the value. Raises :class:`Unreadable` where it was not signed here, or not for this place."""
    signature, body = data[:_SIGNATURE_BYTES], data[_SIGNATURE_BYTES:]
    secrets = (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    if not any(hmac.compare_digest(signature, _signature(secret, place, body)) for secret in secrets):
        raise Unreadable(f"What stands at {place} was not written by this installation.")
    return json.loads(body)
