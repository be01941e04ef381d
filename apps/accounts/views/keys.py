"""The page of one's own API keys."""

from __future__ import annotations

import uuid
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from django_htmx.http import HttpResponseClientRedirect

from apps.accounts import queries
from apps.accounts.actions import CreateApiKeyInput
from apps.core.dispatcher import dispatch, preview
from apps.core.errors import InvalidInput
from apps.core.http import actor_from
from apps.ui.forms import FORM_ERRORS, errors_by_field, fields_for, values_from

PAGE = "accounts/api_keys.html"


def _page(request: HttpRequest, **extra: Any) -> HttpResponse:
    context = {
        "keys": queries.keys_of(request.user),  # type: ignore[arg-type]
        "fields": fields_for(CreateApiKeyInput),
        "idempotency_key": uuid.uuid4().hex,
        "now": timezone.now(),
    }
    template = f"{PAGE}#keys" if request.htmx else PAGE  # type: ignore[attr-defined]
    status = extra.pop("status", 200)
    return render(request, template, context | extra, status=status)


@login_required
@never_cache
@require_GET
def api_keys(request: HttpRequest) -> HttpResponse:
    return _page(request)


@login_required
@never_cache
@require_POST
def make_api_key(request: HttpRequest) -> HttpResponse:
    """Make a key and show it, this once. Sending the same form again shows that it was made, not the key."""
    data = values_from(CreateApiKeyInput, request.POST)
    key = request.POST.get("idempotency_key") or uuid.uuid4().hex
    try:
        made = dispatch("accounts.create_api_key", data, actor=actor_from(request), idempotency_key=key)
    except InvalidInput as error:
        errors = errors_by_field(error.fields)
        fields = fields_for(CreateApiKeyInput, data, errors)
        return _page(request, fields=fields, form_errors=errors.get(FORM_ERRORS), status=error.status)
    return _page(request, made=made.value)


@login_required
@never_cache
@require_http_methods(["GET", "POST"])
def revoke_api_key(request: HttpRequest, key_id: int) -> HttpResponseBase:
    """Ask first, saying what stops working; then do it."""
    data = {"key_id": key_id}
    if request.method == "GET":
        shown = preview("accounts.revoke_api_key", data, actor=actor_from(request))
        template = "accounts/revoke_api_key.html" + ("#dialog" if request.htmx else "")  # type: ignore[attr-defined]
        return render(request, template, {"preview": shown, "key_id": key_id})
    dispatch("accounts.revoke_api_key", data, actor=actor_from(request))
    if request.htmx:  # type: ignore[attr-defined]
        return HttpResponseClientRedirect(reverse("api-keys"))
    return redirect("api-keys")
