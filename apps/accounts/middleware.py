"""Middleware for signed-in people: it notes the session, and makes them change a password that others know."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import structlog
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django_htmx.http import HttpResponseClientRedirect

from apps.accounts import sessions
from apps.accounts.authentication import KEY_HEADER
from apps.core.errors import NotAllowed
from apps.core.web.http import KNOWN_TO_OTHERS, client_ip, is_api
from apps.core.web.problems import problem_response

type GetResponse = Callable[[HttpRequest], HttpResponse]

OPEN_BEFORE_THE_CHANGE = {"account-password", "logout", "login", "known"}

logger = structlog.get_logger(__name__)

recently = sessions.Recently()


class SessionNoteMiddleware:
    """Keep the note of the session up to date. Send people who must change their password to that page."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        key = None if hasattr(request, "api_key") else request.session.session_key
        if key is None:
            return response
        try:
            if request.user.is_authenticated and recently.first(key):
                agent = request.headers.get("User-Agent", "")
                sessions.note(request.user, key, ip=client_ip(request), user_agent=agent)
        except DatabaseError as error:  # The answer is ready and must not be lost for a note.
            recently.forget(key)
            logger.warning("session.not_noted", error=repr(error))
        return response

    def process_view(self, request: HttpRequest, view: Any, args: Any, kwargs: Any) -> HttpResponse | None:
        user = request.user
        match = request.resolver_match
        if not user.is_authenticated or not user.must_change_password:
            return None
        if match is not None and match.url_name in OPEN_BEFORE_THE_CHANGE:
            return None
        if is_api(request):
            # A key that is sent replaces the session. An empty header is no key.
            if request.headers.get(KEY_HEADER):
                return None
            return problem_response(NotAllowed(KNOWN_TO_OTHERS), request)
        if getattr(request, "htmx", False):
            return HttpResponseClientRedirect(reverse("account-password"))
        return redirect("account-password")
