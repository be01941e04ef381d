"""The page of the user's API keys, and the edge's check for an accepted key or session."""

from __future__ import annotations

import uuid
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django_htmx.http import HttpResponseClientRedirect

from apps.accounts import queries
from apps.accounts.actions import CreateApiKeyInput
from apps.accounts.api_keys import find as find_key
from apps.accounts.authentication import CHALLENGE, KEY_HEADER
from apps.core import instants
from apps.core.dispatcher import dispatch, preview
from apps.core.errors import InvalidInput
from apps.core.redis.rate_limit import api_limit, take_or_refuse
from apps.core.web.http import client_ip
from apps.core.web.pages import GET_OR_POST, POST, PageRequest, draw, page
from apps.ui.forms import FORM_ERRORS, errors_by_field, fields_for, values_from

PAGE = "accounts/api_keys.html"


def _page(request: PageRequest, **extra: Any) -> HttpResponse:
    context = {
        "keys": queries.keys_of(request.user),
        "fields": fields_for(CreateApiKeyInput),
        "idempotency_key": uuid.uuid4().hex,
        "now": instants.now(),
    }
    status = extra.pop("status", 200)
    return draw(request, PAGE, context | extra, part="keys", status=status)


@page("accounts.manage_own_keys", methods=("GET",))
def api_keys(request: PageRequest) -> HttpResponse:
    return _page(request)


@page("accounts.manage_own_keys", methods=POST)
def make_api_key(request: PageRequest) -> HttpResponse:
    """Make a key and show it once. A repeat of the same form shows that it was made, but not the key."""
    data = values_from(CreateApiKeyInput, request.POST)
    key = request.POST.get("idempotency_key") or uuid.uuid4().hex
    try:
        made = dispatch("accounts.create_api_key", data, actor=request.actor, idempotency_key=key)
    except InvalidInput as error:
        errors = errors_by_field(error.fields)
        fields = fields_for(CreateApiKeyInput, data, errors)
        return _page(request, fields=fields, form_errors=errors.get(FORM_ERRORS), status=error.status)
    return _page(request, made=made.value)


@page("accounts.manage_own_keys", methods=GET_OR_POST)
def revoke_api_key(request: PageRequest, key_id: int) -> HttpResponseBase:
    """Show what will stop working; on POST, revoke the key."""
    data = {"key_id": key_id}
    if request.method == "GET":
        shown = preview("accounts.revoke_api_key", data, actor=request.actor)
        context = {"preview": shown, "key_id": key_id}
        return draw(request, "accounts/revoke_api_key.html", context, part="dialog")
    dispatch("accounts.revoke_api_key", data, actor=request.actor)
    if request.htmx:
        return HttpResponseClientRedirect(reverse("api-keys"))
    return redirect("api-keys")


@page(public=True, methods=("GET",))
def known(request: HttpRequest) -> HttpResponse:
    """Answer 204 to a session or an accepted key, else 401. The edge asks before it reads a large body.

    Keys that are not accepted count against the address, as in the API.
    """
    key = request.headers.get(KEY_HEADER, "")
    if find_key(key) is not None if key else request.user.is_authenticated:
        return HttpResponse(status=204)
    take_or_refuse(f"ip:{client_ip(request)}", api_limit())
    return HttpResponse(status=401, headers=CHALLENGE)
