"""Signing in and out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from django.contrib.auth import login
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.views import LoginView, LogoutView
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from apps.accounts import devices, queries, sessions, sign_ins
from apps.accounts.models import UserSession
from apps.core.actions import Actor
from apps.core.dispatcher import record
from apps.core.redis.rate_limit import Limit, take_or_refuse
from apps.core.web.http import MAX_REQUEST_ID_LENGTH, actor_from, client_ip
from apps.core.web.problems import request_id

# Enough for an office behind one address. A flood costs only this count, in Redis or in this process.
ADDRESS_LIMIT = Limit(burst=100, per_minute=30)


def _stranger(request: HttpRequest) -> Actor:
    """Return the actor of a failed sign-in: nobody, with the address."""
    return replace(sign_ins.nobody(), ip=client_ip(request), request_id=request_id()[:MAX_REQUEST_ID_LENGTH])


def _agent(request: HttpRequest) -> str:
    return request.headers.get("User-Agent", "").replace("\0", "")


class SignInView(LoginView):
    """Django's sign-in, which rotates the session. Attempts are counted before a password is hashed."""

    attempt: sign_ins.Attempt

    def get_context_data(self, **more: Any) -> dict[str, Any]:
        first = {"first_admin_command": queries.FIRST_ADMIN_COMMAND} if queries.nobody_can_sign_in() else {}
        return super().get_context_data(**more) | first

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        address = client_ip(request)
        name = sign_ins.normalised(request.POST.get("username", "").replace("\0", ""))
        device = devices.of(request, name)
        take_or_refuse(f"sign-in:{device or address}", ADDRESS_LIMIT)
        self.attempt = sign_ins.begin(name, address, device)
        return super().post(request, *args, **kwargs)

    def form_valid(self, form: AuthenticationForm) -> HttpResponse:
        """Begin the session, note it and record it, in one transaction."""
        request = self.request
        user = form.get_user()
        try:
            with transaction.atomic():
                login(request, user)
                request.session.save()
                record("accounts.sign_in", {"user_agent": _agent(request)}, actor=actor_from(request))
                key = str(request.session.session_key)
                sessions.note(user, key, ip=client_ip(request), user_agent=_agent(request))
        except Exception:
            # The session that was rolled back must not be saved again by the middleware.
            request.session.flush()
            raise
        sign_ins.succeed(self.attempt)
        response = HttpResponseRedirect(self.get_success_url())
        devices.remember(request, response, user)
        return response

    def form_invalid(self, form: AuthenticationForm) -> HttpResponse:
        sign_ins.fail(self.attempt, _stranger(self.request))
        return super().form_invalid(form)


class SignOutView(LogoutView):
    """Django's sign-out, with an audit entry."""

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        key = request.session.session_key
        if request.user.is_authenticated and key:
            with transaction.atomic():
                record("accounts.sign_out", {"user_agent": _agent(request)}, actor=actor_from(request))
                sessions.end(UserSession.objects.filter(key_digest=sessions.digest(key)))
        return super().post(request, *args, **kwargs)
