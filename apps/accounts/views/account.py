"""The user's own account: sessions, keys and password."""

from __future__ import annotations

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import update_session_auth_hash
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.views.decorators.debug import sensitive_post_parameters

from apps.accounts import devices, queries, sessions
from apps.accounts.actions.passwords import ChangePasswordInput
from apps.accounts.views.people import session_lines
from apps.core.dispatcher import dispatch
from apps.core.errors import InvalidInput
from apps.core.web.http import client_ip
from apps.core.web.pages import GET_OR_POST, PageRequest, draw, page
from apps.ui.forms import errors_by_field, fields_for


@page("accounts.manage_own_account")
def account(request: PageRequest) -> HttpResponse:
    """Show the user's sessions and keys."""
    user = request.user
    lines = session_lines(user, sessions.digest(request.session.session_key or ""))
    this = next((line.session.pk for line in lines if line.is_this), None)
    context = {
        "person": user,
        "sessions": lines,
        "this": this,
        "others": sum(1 for line in lines if line.is_open and not line.is_this),
        "keys": queries.keys_in_use(user),
    }
    return draw(request, "accounts/account.html", context, part="account")


@page("accounts.manage_own_account", methods=GET_OR_POST)
@sensitive_post_parameters()
def password(request: PageRequest) -> HttpResponseBase:
    """Change the password. This browser stays signed in, every other is signed out."""
    user = request.user
    if request.method == "GET":
        return _form(request)
    given = {name: request.POST.get(name, "") for name in ChangePasswordInput.model_fields}
    again = request.POST.get("again", "")
    if again != given["new_password"]:
        return _form(request, {"new_password": ["The two passwords differ."]}, status=InvalidInput.status)
    was_shown = user.must_change_password
    try:
        dispatch("accounts.change_password", given, actor=request.actor)
    except InvalidInput as error:
        return _form(request, errors_by_field(error.fields), status=error.status)
    user.refresh_from_db()
    # The change ended this browser's session as well. It continues with another key.
    update_session_auth_hash(request, user)
    request.session.save()
    key, agent = str(request.session.session_key), request.headers.get("User-Agent", "")
    sessions.note(user, key, ip=client_ip(request), user_agent=agent)
    messages.success(request, "Your password is changed. Every other browser is signed out.")
    response = redirect(settings.LOGIN_REDIRECT_URL if was_shown else "account")
    devices.remember(request, response, user)
    return response


def _form(
    request: PageRequest, errors: dict[str, list[str]] | None = None, *, status: int = 200
) -> HttpResponse:
    """Return the empty form. Typed passwords are never sent back."""
    context = {"fields": fields_for(ChangePasswordInput, {}, errors)}
    return draw(request, "accounts/password.html", context, status=status)
