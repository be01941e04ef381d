"""A signed cookie by which a browser shows that a person signed in there before.

It opens nothing: it only separates that browser's attempts to sign in from those of others behind the same address. It
names the person who signed in there last, and ends with the password that they signed in with.
"""

from __future__ import annotations

import secrets
from datetime import timedelta

from django.conf import settings
from django.core import signing
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.crypto import constant_time_compare

from apps.accounts.models import User
from apps.accounts.sign_ins import person_of

COOKIE = "ballast_device"
SALT = "ballast.accounts.device"
LASTS = timedelta(days=365)
DIGITS = 32


def remember(request: HttpRequest, response: HttpResponse, user: User) -> None:
    """Give a browser the cookie of a person who has just proved their password there."""
    identity = _identity(_claim(request), user) or secrets.token_hex(16)
    response.set_cookie(
        COOKIE,
        signing.dumps([user.pk, identity, user.get_session_auth_hash()[:DIGITS]], salt=SALT),
        max_age=LASTS,
        path=reverse("login"),
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",
    )


def of(request: HttpRequest, name: str) -> str | None:
    """Return the identity of the browser where the person of that name signed in there before, else ``None``.

    Without an intact cookie it does not ask the database.
    """
    claim = _claim(request)
    user = person_of(name) if claim else None
    return _identity(claim, user) if user else None


def _claim(request: HttpRequest) -> list[str | int]:
    try:
        claim: list[str | int] = signing.loads(request.COOKIES.get(COOKIE, ""), salt=SALT, max_age=LASTS)
    except signing.BadSignature:
        return []
    return claim


def _identity(claim: list[str | int], user: User) -> str | None:
    if not claim or claim[0] != user.pk:
        return None
    hashes = (user.get_session_auth_hash(), *user.get_session_auth_fallback_hash())
    is_present = any(constant_time_compare(str(claim[2]), one[:DIGITS]) for one in hashes)
    return str(claim[1]) if is_present else None
