"""Programs' API keys: 256 random bits, shown once. Only a keyed hash is stored, which opens nothing by itself."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Q
from django.utils.crypto import salted_hmac

from apps.accounts.models import ApiKey
from apps.core import instants

MARK = "blst_"  # lets secret scanners and people recognise a key
RANDOM_BYTES = 32
PREFIX_LENGTH = len(MARK) + 6
USE_NOTED_EVERY = timedelta(minutes=1)
SALT = "ballast.accounts.api_key"


@dataclass(frozen=True, slots=True)
class NewKey:
    """A new key. ``raw`` exists nowhere else."""

    raw: str
    prefix: str
    key_hash: str


def make() -> NewKey:
    """Return a new key without storing it."""
    raw = MARK + secrets.token_urlsafe(RANDOM_BYTES)
    return NewKey(raw, raw[:PREFIX_LENGTH], key_hash(raw))


def key_hash(raw: str, secret: str | None = None) -> str:
    """Return the hash by which a key is looked up: HMAC-SHA256 with a key derived from ``SECRET_KEY``.

    A slow hash would not make 256 random bits harder to guess, and would slow every request.
    """
    return salted_hmac(SALT, raw, secret=secret, algorithm="sha256").hexdigest()


def find(raw: str, *, now: datetime | None = None) -> ApiKey | None:
    """Return the usable key for what a program sent, with its user, or ``None``. Notes the use.

    Accepts keys made with a secret in ``SECRET_KEY_FALLBACKS`` and moves them to the present secret.
    """
    if not raw.startswith(MARK) or len(raw) > 100:
        return None
    now = now or instants.now()
    present = key_hash(raw)
    hashes = [present, *(key_hash(raw, secret) for secret in settings.SECRET_KEY_FALLBACKS)]
    key = (
        ApiKey.objects.select_related("user")
        .filter(key_hash__in=hashes, revoked_at=None, user__is_active=True)
        .filter(Q(expires_at=None) | Q(expires_at__gt=now))
        .first()
    )
    if key is not None:
        _note_use(key, present, now)
    return key


def _note_use(key: ApiKey, present: str, now: datetime) -> None:
    """Store when it was last used, at most once a minute, so that requests with a key seldom write."""
    if key.key_hash == present and key.last_used_at and now - key.last_used_at < USE_NOTED_EVERY:
        return
    ApiKey.objects.filter(pk=key.pk).update(last_used_at=now, key_hash=present)
    key.last_used_at, key.key_hash = now, present
