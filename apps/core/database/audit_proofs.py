"""Proofs of audit entries: the database takes an entry only from a process that knows ``SECRET_KEY``.

A trigger checks the proof, an HMAC-SHA256 over who did what, with a key that only the owner's role may read. So
somebody who runs statements as the application's role can write no entry, in anybody's name. A proof is good once,
which a unique index holds. The owner's role needs none.

Processes with an old and a new ``SECRET_KEY`` may run side by side: the newest keys that were noted all count.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterable
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import connections

if TYPE_CHECKING:
    from apps.core.models import AuditEntry

KEYS_KEPT = 3
BLOCK = hashlib.sha256().block_size


def key() -> bytes:
    """Return the key of this process. It is derived, so that it gives nothing else away."""
    return hmac.digest(settings.SECRET_KEY.encode(), b"ballast.audit", "sha256")


def key_name() -> str:
    """Return the name under which this process's key is noted."""
    return hashlib.sha256(key()).hexdigest()[:16]


def proof_of(entry: AuditEntry) -> str:
    """Return a new proof of an entry: a number that is used once, and the HMAC over it and the entry."""
    once = secrets.token_hex(16)
    bound = (
        once,
        entry.action,
        "" if entry.actor_id is None else str(entry.actor_id),
        entry.actor_name,
        str(entry.source),
        entry.api_key_prefix,
        entry.request_id,
        entry.object_type,
        entry.object_id,
        entry.object_label,
        entry.service_id,
        entry.rationale,
    )
    return f"{once}:{hmac.digest(key(), _framed(bound), 'sha256').hex()}"


def _framed(parts: Iterable[str]) -> bytes:
    """Return the parts in one, each behind its length, so that no two lists of parts look alike."""
    encoded = [part.encode() for part in parts]
    return b"".join(b"%d:%s" % (len(part), part) for part in encoded)


def note_key(using: str = "owner") -> None:
    """Note this process's key in the database, as the owner. Does nothing before the table is made."""
    padded = key().ljust(BLOCK, b"\0")
    inner, outer = (bytes(byte ^ pad for byte in padded) for pad in (0x36, 0x5C))
    with connections[using].cursor() as cursor:
        cursor.execute("SELECT to_regclass('public.core_auditkey') IS NOT NULL")
        if not cursor.fetchone()[0]:
            return
        cursor.execute(
            "INSERT INTO core_auditkey (name, inner_pad, outer_pad) VALUES (%s, %s, %s)"
            " ON CONFLICT (name) DO UPDATE SET noted_at = clock_timestamp()",
            [key_name(), inner, outer],
        )
        cursor.execute(
            "DELETE FROM core_auditkey WHERE name NOT IN"
            " (SELECT name FROM core_auditkey ORDER BY noted_at DESC LIMIT %s)",
            [KEYS_KEPT],
        )
