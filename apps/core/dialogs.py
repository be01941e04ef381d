"""The one dialog behind every action's button: its form comes from the action's input, its words from its preview.

``GET /actions/<name>/?service_id=…`` opens it; values in the query are fixed, except those that ``show`` names, which stand
in the form to be changed. Opening it changes nothing and leaves no audit entry. ``POST`` does it.
"""

from __future__ import annotations

import json
import uuid
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect, QueryDict
from django.shortcuts import render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from apps.core import actions, dispatcher
from apps.core.actions import AnyAction, Preview, Risk
from apps.core.errors import BallastError, Conflict, InvalidInput
from apps.core.http import actor_from
from apps.ui.forms import FORM_ERRORS, errors_by_field, fields_for, values_from

PAGE = "actions/dialog.html"
STANDS_IN = "—"
"""What a text that is still to be written counts as, so that the rest can be previewed already."""


@login_required
@never_cache
@require_http_methods(["GET", "POST"])
def action_dialog(request: HttpRequest, name: str) -> HttpResponseBase:
    """Open an action's dialog, or do what it says."""
    action = actions.get(name)
    if request.method == "GET":
        return _dialog(request, action, request.GET)
    data = values_from(action.Input, request.POST)
    key = request.POST.get("idempotency_key") or None
    try:
        result = dispatcher.dispatch(name, data, actor=actor_from(request), idempotency_key=key)
    except (InvalidInput, Conflict) as error:
        return _dialog(request, action, request.POST, error)
    return _done(request, action.done(result.value))


@login_required
@never_cache
@require_http_methods(["POST"])
def action_preview(request: HttpRequest, name: str) -> HttpResponse:
    """Say what the form, as it is filled in now, would do."""
    action = actions.get(name)
    preview, problem = _preview(request, action, values_from(action.Input, request.POST))
    return render(request, f"{PAGE}#preview", {"preview": preview, "problem": problem})


def _dialog(
    request: HttpRequest, action: AnyAction, given: QueryDict, error: BallastError | None = None
) -> HttpResponse:
    shown = {name for name in given.get("show", "").split(",") if name}
    values = values_from(action.Input, given)
    fixed = {name for name in given.get("fixed", ",".join(values)).split(",") if name} - shown
    errors = errors_by_field(error.fields) if error else {}
    preview, problem = _preview(request, action, values)
    context = {
        "action": action,
        "fields": fields_for(action.Input, values, errors, hidden=fixed),
        "fixed": ",".join(sorted(fixed)),
        "show": ",".join(sorted(shown)),
        "form_errors": errors.get(FORM_ERRORS, ()),
        "error": error,
        "difference": error.extra.get("difference", ()) if error else (),
        "preview": preview,
        "problem": problem,
        "submit": given.get("submit") or action.button(values),
        "is_danger": action.risk is Risk.HIGH,
        "next": _next(request, given),
        "idempotency_key": given.get("idempotency_key") or uuid.uuid4().hex,
    }
    template = f"{PAGE}#dialog" if getattr(request, "htmx", False) else PAGE
    return render(request, template, context, status=error.status if error else 200)


def _preview(request: HttpRequest, action: AnyAction, values: dict[str, Any]) -> tuple[Preview | None, str]:
    """Return the preview, or why there is none yet. What the person may not do raises."""
    schema = action.Input.model_json_schema()
    texts = {
        name: STANDS_IN
        for name in schema.get("required", ())
        if name not in values and schema["properties"][name].get("type") == "string"
    }
    try:
        return dispatcher.preview(action.name, values | texts, actor=actor_from(request)), ""
    except InvalidInput as error:
        problems = [field.message for field in error.fields] or [error.detail]
        return None, problems[0] if values else ""
    except Conflict as error:
        return None, error.detail


def _done(request: HttpRequest, message: str) -> HttpResponseBase:
    """Close the dialog and have the page show what is true now; without a script, go back to the page."""
    if getattr(request, "htmx", False):
        events = {"ballast:done": {"message": message}, "ballast:changed": {}}
        return HttpResponse(status=204, headers={"HX-Trigger": json.dumps(events)})
    messages.success(request, message)
    return HttpResponseRedirect(_next(request, request.POST))


def _next(request: HttpRequest, given: QueryDict) -> str:
    wanted = given.get("next", "")
    if wanted and url_has_allowed_host_and_scheme(wanted, {request.get_host()}, require_https=request.is_secure()):
        return wanted
    return "/"

