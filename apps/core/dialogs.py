"""The one dialog behind every action's button: form from the action's input, words from its preview.

``GET /actions/<name>/?service_id=…`` opens it. Values in the query are fixed, except those that ``show``
names: they stand in the form to be changed, and optional fields that it does not name are not asked for.
Opening it changes nothing and leaves no audit entry. ``POST`` does it; ``POST …/preview/`` says what the
form, as it is filled in now, would do.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from django.contrib import messages
from django.http import HttpResponse, HttpResponseBase, HttpResponseRedirect, QueryDict
from django.shortcuts import render
from django.utils.http import url_has_allowed_host_and_scheme
from pydantic import ValidationError

from apps.core import actions, dispatcher
from apps.core.actions import AnyAction, Preview, Risk
from apps.core.errors import BallastError, Conflict, InvalidInput, NotFound
from apps.core.pages import GET_OR_POST, POST, PageRequest, draw, page
from apps.ui.forms import FORM_ERRORS, errors_by_field, errors_from, fields_for, values_from

PAGE = "actions/dialog.html"
STANDS_IN = "—"
"""What a text that is still to be written counts as, so that the rest can be previewed already."""
RATIONALE = "rationale"


@page(signed_in=True, methods=GET_OR_POST)
def action_dialog(request: PageRequest, name: str) -> HttpResponseBase:
    """Open an action's dialog, or do what it says."""
    action = _with_dialog(name)
    if request.method == "GET":
        return _dialog(request, action, request.GET)
    data = values_from(action.Input, request.POST)
    key = request.POST.get("idempotency_key") or None
    try:
        result = dispatcher.dispatch(name, data, actor=request.actor, idempotency_key=key)
    except (InvalidInput, Conflict) as error:
        return _dialog(request, action, request.POST, error)
    return _done(request, action.done(result.value))


@page(signed_in=True, methods=POST)
def action_preview(request: PageRequest, name: str) -> HttpResponse:
    """Say what the form, as it is filled in now, would do."""
    action = _with_dialog(name)
    values = values_from(action.Input, request.POST)
    context: dict[str, Any] = {"is_live": True, "is_danger": action.risk is Risk.HIGH}
    try:
        preview = _preview(request, action, values)
        context |= {"preview": preview, "submit": preview.submit or action.button(values)}
    except InvalidInput as error:
        context |= {"problems": _touched(action, values, error), "submit": action.button(values)}
    except Conflict as error:
        context |= {"problems": [error.detail], "submit": action.button(values)}
    return render(request, f"{PAGE}#preview", context)


def _with_dialog(name: str) -> AnyAction:
    """Return the action of that name. Raises :class:`NotFound` for those that no dialog fits."""
    action = actions.offered(name)
    if action.answer_shows_once:
        raise NotFound(
            f"{action.title}: its answer is shown once; a page of its own, the API or a command does that."
        )
    try:
        fields_for(action.Input)
    except TypeError:
        raise NotFound(f"{action.title}: a form cannot ask for what it takes; the API does it.") from None
    return action


def _dialog(
    request: PageRequest, action: AnyAction, given: QueryDict, error: BallastError | None = None
) -> HttpResponse:
    shown = _names(given.get("show", ""))
    values = values_from(action.Input, given)
    fixed = _names(given.get("fixed", ",".join(values))) - shown
    preview: Preview | None = None
    try:
        preview = _preview(request, action, values)
    except InvalidInput:
        pass  # Not filled in yet, or what `error` says already.
    except Conflict as conflict:
        error = error or conflict
    errors = _errors(action, values, error) if isinstance(error, InvalidInput) else {}
    fields = fields_for(
        action.Input,
        values,
        errors,
        hidden=fixed,
        leave_out=_unasked(action, shown, fixed) if shown else (),
        labels={RATIONALE: "Why"},
    )
    fields = [replace(one, required=True, may_be_empty=False) if one.name in shown else one for one in fields]
    named = {field.name for field in fields if field.kind != "hidden"}
    context = {
        "action": action,
        "subject": values.get("service_id", "") if "service_id" in fixed else "",
        "fields": fields,
        "fixed": ",".join(sorted(fixed)),
        "show": ",".join(sorted(shown)),
        "form_errors": [text for name, texts in errors.items() if name not in named for text in texts],
        "conflict": error if isinstance(error, Conflict) else None,
        "difference": _difference(error),
        "preview": preview,
        "submit": (preview.submit if preview else "") or action.button(values),
        "is_danger": action.risk is Risk.HIGH,
        "next": _next(request, given),
        "idempotency_key": given.get("idempotency_key") or uuid.uuid4().hex,
    }
    return draw(request, PAGE, context, part="dialog", status=error.status if error else 200)


def _names(text: str) -> set[str]:
    return {name for name in text.split(",") if name}


def _unasked(action: AnyAction, shown: set[str], fixed: set[str]) -> set[str]:
    """The optional fields that a dialog does not ask for when its link names what it does."""
    schema = action.Input.model_json_schema()
    return set(schema["properties"]) - set(schema.get("required", ())) - shown - fixed - {RATIONALE}


def _preview(request: PageRequest, action: AnyAction, values: dict[str, Any]) -> Preview:
    """Return the preview. Raises what dispatching would, except for a text that is still to be written."""
    schema = action.Input.model_json_schema()
    texts = {
        name: STANDS_IN
        for name in schema.get("required", ())
        if name not in values and schema["properties"][name].get("type") == "string"
    }
    return dispatcher.preview(action.name, values | texts, actor=request.actor)


def _errors(action: AnyAction, values: dict[str, Any], error: BallastError) -> dict[str, list[str]]:
    """What is wrong, by field and in the words of the page."""
    try:
        action.Input.model_validate(values)
    except ValidationError as invalid:
        return errors_from(invalid, action.Input)
    return errors_by_field(error.fields) if error.fields else {FORM_ERRORS: [error.detail]}


def _touched(action: AnyAction, values: dict[str, Any], error: InvalidInput) -> list[str]:
    """What is wrong with what was filled in; what was not yet is no fault while somebody is typing."""
    found = _errors(action, values, error)
    return [text for name, texts in found.items() if name in values for text in texts]


def _difference(error: BallastError | None) -> Sequence[Mapping[str, str]]:
    """A conflict's difference as rows: what the person saw, what holds now."""
    difference = error.extra.get("difference", ()) if isinstance(error, Conflict) else ()
    if isinstance(difference, Mapping):
        return [{"label": str(name), "before": "", "after": str(value)} for name, value in difference.items()]
    return list(difference)


def _done(request: PageRequest, message: str) -> HttpResponseBase:
    """Close the dialog and have the page show what is true now; without a script, go back to the page."""
    if request.htmx:
        events = {"ballast:done": {"message": message}, "ballast:changed": {}}
        return HttpResponse(status=204, headers={"HX-Trigger": json.dumps(events)})
    messages.success(request, message)
    return HttpResponseRedirect(_next(request, request.POST))


def _next(request: PageRequest, given: QueryDict) -> str:
    wanted = given.get("next", "")
    if wanted and url_has_allowed_host_and_scheme(
        wanted, {request.get_host()}, require_https=request.is_secure()
    ):
        return wanted
    return "/"
