"""Values that go through Redis and come back: JSON, signed with ``SECRET_KEY`` for the one place where they are stored.

Anyone who can write to Redis can plant anything there. So values that were not signed by this installation for this
place are not read, and nothing is ever unpickled.
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
    """This installation did not sign the bytes for this place."""


@lru_cache(maxsize=8)
def _key(secret: str) -> bytes:
    return hmac.digest(secret.encode(), b"ballast.values-in-redis", hashlib.sha256)


def _signature(secret: str, place: str, body: bytes) -> bytes:
    where = place.encode()
    return hmac.digest(_key(secret), len(where).to_bytes(4) + where + body, hashlib.sha256)


def signed(place: str, value: Any) -> bytes:
    """Return a value as bytes that :func:`opened` reads only with the same place.

    Raises :class:`TypeError` for values that JSON lacks, such as dates and bytes.
    """
    body = json.dumps(value, separators=(",", ":")).encode()
    return _signature(settings.SECRET_KEY, place, body) + body


def opened(place: str, data: bytes) -> Any:
    """Return the value. Raises :class:`Unreadable` where this installation did not sign it for this place."""
    signature, body = data[:_SIGNATURE_BYTES], data[_SIGNATURE_BYTES:]
    secrets = (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    if not any(hmac.compare_digest(signature, _signature(secret, place, body)) for secret in secrets):
        raise Unreadable(f"The value at {place} was not written by this installation.")
    return json.loads(body)
