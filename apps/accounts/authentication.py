"""Authentication of API requests: a key in a header, or the session of the pages."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest
from ninja.security import APIKeyCookie, APIKeyHeader
from ninja.throttling import BaseThrottle

from apps.accounts import api_keys
from apps.core.errors import NotAllowed, NotSignedIn
from apps.core.redis.rate_limit import api_limit, take_or_refuse
from apps.core.web.csrf import CsrfCheck
from apps.core.web.http import KNOWN_TO_OTHERS, client_ip

KEY_HEADER = "X-API-Key"
CHALLENGE = {"WWW-Authenticate": f'ApiKey realm="ballast", header="{KEY_HEADER}"'}


class KeyAuthentication(APIKeyHeader):
    """A key in ``X-API-Key``. A session does not replace a key that is not accepted."""

    param_name = KEY_HEADER
    openapi_description = "Make one on the page API keys."

    def authenticate(self, request: HttpRequest, key: str | None) -> Any:
        if not key:
            return None
        found = api_keys.find(key)
        if found is None:
            raise NotSignedIn(
                "This API key is not known, was revoked or has expired. Make a new one on the page API keys.",
                headers=CHALLENGE,
            )
        request.user = found.user
        request.api_key = found  # type: ignore[attr-defined]
        return found.user


class SessionAuthentication(APIKeyCookie):
    """The session of a signed-in person, with a CSRF token for unsafe methods."""

    param_name = settings.SESSION_COOKIE_NAME
    openapi_description = (
        "The cookie of a signed-in browser. Unsafe methods need the header X-CSRFToken, too."
    )

    def _get_key(self, request: HttpRequest) -> str | None:
        # CSRF is checked only where there is a session that could be abused.
        return request.COOKIES.get(self.param_name)

    def authenticate(self, request: HttpRequest, key: str | None) -> Any:
        if not request.user.is_authenticated:
            return None
        # Here it is certain that no key was accepted, whatever headers were sent.
        if request.user.must_change_password:
            raise NotAllowed(KNOWN_TO_OTHERS)
        CsrfCheck.require(request)
        return request.user


class ClientThrottle(BaseThrottle):
    """One bucket for each key, else for each person, else for each address."""

    def allow_request(self, request: HttpRequest) -> bool:
        request.rate_allowance = take_or_refuse(client_name(request), api_limit())  # type: ignore[attr-defined]
        return True


def client_name(request: HttpRequest) -> str:
    """Return the name under which a client's requests are counted."""
    key = getattr(request, "api_key", None)
    if key is not None:
        return f"key:{key.pk}"
    if request.user.is_authenticated:
        return f"user:{request.user.pk}"
    return f"ip:{client_ip(request)}"
