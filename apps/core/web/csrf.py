"""Check that the person whose session a request carries meant to send it."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import CsrfViewMiddleware

from apps.core.errors import NotAllowed


class CsrfCheck(CsrfViewMiddleware):
    """Django's check, which raises an error instead of returning a page."""

    @classmethod
    def require(cls, request: HttpRequest) -> None:
        """Raise :class:`NotAllowed` where a request with an unsafe method lacks its token."""
        request.csrf_processing_done = False  # type: ignore[attr-defined]
        check = cls(lambda _: HttpResponse())
        check.process_request(request)
        check.process_view(request, lambda _: HttpResponse(), (), {})

    def _reject(self, request: HttpRequest, reason: str) -> HttpResponse:
        raise NotAllowed(f"{reason} Send the CSRF token in the header X-CSRFToken.")


def require_for_effect(request: HttpRequest, *, instead: str) -> None:
    """Raise :class:`NotAllowed` where a GET that changes something may be forged; ``instead`` says what to send.

    A link or an image on any page makes a browser send its session along. It does not send an API key, nor the header
    with the token.
    """
    if getattr(request, "api_key", None) is not None:
        return
    method = request.method
    request.method = "POST"  # the check passes over methods that should change nothing
    try:
        CsrfCheck.require(request)
    except NotAllowed as error:
        raise NotAllowed(f"This would change something. {error.detail} Or send {instead}.") from None
    finally:
        request.method = method
