"""The one dialog behind every action's button: its form comes from the action's input, its text from the preview.

``GET /actions/<name>/?service_id=…`` opens it. Values in the query are fixed, except those that ``show``
names: those are fields of the form that people can change, and optional fields that it does not name are left out.
Opening it changes nothing and leaves no audit entry. Those who may not do it read so before they fill anything in.
``POST …/preview/`` says what the form, as it is filled in now, would do. ``POST`` runs the action, but only with the
values that were previewed: the preview puts their fingerprint into the form. Other values are previewed first.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace

from django.contrib import messages
from django.http import HttpResponse, HttpResponseBase, HttpResponseRedirect, QueryDict
from django.shortcuts import render
from django.urls import reverse
from django.utils.crypto import salted_hmac
from django.utils.http import url_has_allowed_host_and_scheme
from pydantic import ValidationError

from apps.core import actions, dispatcher
from apps.core.actions import AnyAction, Preview, Risk, Undo
from apps.core.errors import BallastError, Conflict, InvalidInput, NotFound
from apps.core.web.pages import GET_OR_POST, POST, PageRequest, draw, page
from apps.ui.forms import FORM_ERRORS, FormValues, errors_by_field, errors_from, fields_for, values_from

PAGE = "actions/dialog.html"
STANDS_IN = "—"
"""Stands in for a text that is not written yet, so that the rest can be previewed."""
RATIONALE = "rationale"


@page(signed_in=True, methods=GET_OR_POST)
def action_dialog(request: PageRequest, name: str) -> HttpResponseBase:
    """Open an action's dialog, or run the action."""
    action = _with_dialog(name)
    if request.method == "GET":
        dispatcher.may_ask(name, values_from(action.Input, request.GET), actor=request.actor)
        return _dialog(request, action, request.GET)
    data = values_from(action.Input, request.POST)
    key = request.POST.get("idempotency_key") or None
    try:
        dispatcher.parse(action, data)
        if request.POST.get("previewed") != _fingerprint(action, data):
            return _dialog(request, action, request.POST, is_unseen=True)
        result = dispatcher.dispatch(name, data, actor=request.actor, idempotency_key=key)
    except (InvalidInput, Conflict) as error:
        return _dialog(request, action, request.POST, error)
    return _done(request, action.done(result.value), action.undo(result.entry) if result.entry else None)


@page(signed_in=True, methods=POST)
def action_preview(request: PageRequest, name: str) -> HttpResponse:
    """Show what the form, as it is filled in now, would do."""
    action = _with_dialog(name)
    values = values_from(action.Input, request.POST)
    preview, problems = None, []
    try:
        preview = _preview(request, action, values)
    except InvalidInput as error:
        problems = _touched(action, values, error)
    except Conflict as error:
        problems = [error.detail]
    context = {
        "is_live": True,
        "is_danger": action.risk is Risk.HIGH,
        "preview": preview,
        "previewed": _fingerprint(action, values) if preview else "",
        "problems": problems,
        "submit": (preview.submit if preview else "") or action.title,
    }
    return render(request, f"{PAGE}#preview", context)


def _with_dialog(name: str) -> AnyAction:
    """Return the action of that name. Raises :class:`NotFound` for actions that cannot have a dialog."""
    action = actions.offered(name)
    if action.answer_shows_once:
        raise NotFound(
            f"{action.title}: its answer is shown only once. Use its own page, the API or the command line."
        )
    try:
        fields_for(action.Input)
    except TypeError:
        raise NotFound(f"{action.title}: no form can hold its input. Use the API.") from None
    return action


def _fingerprint(action: AnyAction, values: FormValues) -> str:
    """Return what ties a preview to the input it was made from; empty for values that are no input.

    The reason is left out: no effect depends on it.
    """
    try:
        given = action.Input.model_validate(_for_preview(action, values))
    except ValidationError:
        return ""
    text = json.dumps([action.name, given.model_dump(mode="json", exclude={RATIONALE})], sort_keys=True)
    return salted_hmac("ballast.dialog", text, algorithm="sha256").hexdigest()


def _dialog(
    request: PageRequest,
    action: AnyAction,
    given: QueryDict,
    error: BallastError | None = None,
    *,
    is_unseen: bool = False,
) -> HttpResponse:
    shown = _names(given.get("show", ""))
    values = values_from(action.Input, given)
    fixed = _names(given.get("fixed", ",".join(name for name in values if name in given))) - shown
    preview: Preview | None = None
    try:
        preview = _preview(request, action, values)
    except InvalidInput as invalid:
        if is_unseen:
            error = invalid
        # Else it is not filled in yet, or `error` says so already.
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
        "previewed": _fingerprint(action, values) if preview else "",
        "is_unseen": is_unseen and preview is not None,
        "submit": (preview.submit if preview else "") or action.title,
        "is_danger": action.risk is Risk.HIGH,
        "next": _next(request, given),
        "idempotency_key": given.get("idempotency_key") or uuid.uuid4().hex,
    }
    status = error.status if error else Conflict.status if is_unseen else 200
    return draw(request, PAGE, context, part="dialog", status=status)


def _names(text: str) -> set[str]:
    return {name for name in text.split(",") if name}


def _unasked(action: AnyAction, shown: set[str], fixed: set[str]) -> set[str]:
    """Return the optional fields that a dialog leaves out because its link does not name them."""
    schema = action.Input.model_json_schema()
    return set(schema["properties"]) - set(schema.get("required", ())) - shown - fixed - {RATIONALE}


def _preview(request: PageRequest, action: AnyAction, values: FormValues) -> Preview:
    """Return the preview. Raises the errors of dispatching, except those for a text that is not written yet."""
    return dispatcher.preview(action.name, _for_preview(action, values), actor=request.actor)


def _for_preview(action: AnyAction, values: FormValues) -> FormValues:
    """Return the values with something in the place of each text that is needed and not written yet."""
    schema = action.Input.model_json_schema()
    texts = {
        name: STANDS_IN
        for name in schema.get("required", ())
        if name not in values and schema["properties"][name].get("type") == "string"
    }
    return values | texts


def _errors(action: AnyAction, values: FormValues, error: BallastError) -> dict[str, list[str]]:
    """Return what is wrong, by field, as the page words it."""
    try:
        action.Input.model_validate(values)
    except ValidationError as invalid:
        return errors_from(invalid, action.Input)
    return errors_by_field(error.fields) if error.fields else {FORM_ERRORS: [error.detail]}


def _touched(action: AnyAction, values: FormValues, error: InvalidInput) -> list[str]:
    """Return what is wrong with what is filled in. Empty fields are no fault while somebody is typing."""
    filled = _for_preview(action, values)
    found = _errors(action, filled, error)
    is_complete = bool(_fingerprint(action, values))  # So what is wrong is no empty field.
    return [text for name, texts in found.items() if is_complete or name in values for text in texts]


def _difference(error: BallastError | None) -> Sequence[Mapping[str, str]]:
    """Return a conflict's difference as rows: what the person saw and what holds now."""
    difference = error.extra.get("difference", ()) if isinstance(error, Conflict) else ()
    if isinstance(difference, Mapping):
        return [{"label": str(name), "before": "", "after": str(value)} for name, value in difference.items()]
    return list(difference)


def _done(request: PageRequest, message: str, undo: Undo | None) -> HttpResponseBase:
    """Close the dialog and refresh the page; without a script, go back to the page."""
    if request.htmx:
        done = {"message": message, "next": _next(request, request.POST, fallback="")} | (
            {"undo": _undo_call(undo)} if undo else {}
        )
        events = {"ballast:done": done, "ballast:changed": {}}
        return HttpResponse(status=204, headers={"HX-Trigger": json.dumps(events)})
    messages.success(request, message)
    return HttpResponseRedirect(_next(request, request.POST))


def _undo_call(undo: Undo) -> dict[str, str | dict[str, str]]:
    """Return the address and the form of the call that takes a change back."""
    action = _with_dialog(undo.action)
    values = {field.name: field.value for field in fields_for(action.Input, undo.values) if field.value}
    form = QueryDict(mutable=True)
    form.update(values)
    values["previewed"] = _fingerprint(action, values_from(action.Input, form))
    return {"url": reverse("action", args=[action.name]), "values": values}


def _next(request: PageRequest, given: QueryDict, fallback: str = "/") -> str:
    wanted = given.get("next", "")
    if wanted and url_has_allowed_host_and_scheme(
        wanted, {request.get_host()}, require_https=request.is_secure()
    ):
        return wanted
    return fallback
