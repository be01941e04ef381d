"""Encrypts tokens and passwords for the database, under a key that is derived from SECRET_KEY.

It uses Fernet (AES-128-CBC and HMAC-SHA-256) with a key derived by HKDF (RFC 5869), so that no secret has two uses.
Former secrets in ``SECRET_KEY_FALLBACKS`` still open what was sealed under them.
"""

from __future__ import annotations

import base64

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

_PURPOSE = b"ballast telemetry connection"


class Unreadable(ValueError):
    """A sealed text cannot be opened with the present secrets."""


def seal(text: str) -> str:
    """Encrypt a text; an empty text stays empty."""
    return _fernet().encrypt(text.encode()).decode() if text else ""


def unseal(sealed: str) -> str:
    """Decrypt a text that :func:`seal` made.

    Raises:
        Unreadable: it was sealed under another SECRET_KEY, or was changed.
    """
    if not sealed:
        return ""
    try:
        return _fernet().decrypt(sealed.encode()).decode()
    except InvalidToken:
        raise Unreadable("It was sealed under another SECRET_KEY.") from None


def _fernet() -> MultiFernet:
    secrets = (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    return MultiFernet([Fernet(_key(secret)) for secret in secrets])


def _key(secret: str) -> bytes:
    derived = HKDF(algorithm=SHA256(), length=32, salt=None, info=_PURPOSE).derive(secret.encode())
    return base64.urlsafe_b64encode(derived)
