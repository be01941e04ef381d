"""People: the list, one person, and the two pages that show a password once."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from django.http import HttpResponse
from pydantic import BaseModel

from apps.accounts import formatting, lists, queries
from apps.accounts.actions.passwords import ResetPasswordInput
from apps.accounts.actions.people import CreateUserInput
from apps.accounts.models import User, UserSession
from apps.core.dispatcher import dispatch, preview
from apps.core.errors import Conflict, InvalidInput
from apps.core.sentences import sentence
from apps.core.web.pages import GET_OR_POST, PageRequest, draw, page
from apps.ui.forms import FORM_ERRORS, FormValues, errors_by_field, fields_for, values_from

ENTRIES_SHOWN = 15
SESSIONS_SHOWN = 20


@dataclass(frozen=True, slots=True)
class SessionLine:
    """One session as a table draws it."""

    session: UserSession
    browser: str
    is_open: bool
    is_this: bool


def session_lines(user: User, key_digest: str = "") -> list[SessionLine]:
    """Return a person's sessions as rows, open ones first. ``key_digest`` identifies the current one."""
    open_ids = set(queries.open_session_ids(user))
    return [
        SessionLine(
            one, formatting.browser_words(one.user_agent), one.pk in open_ids, one.key_digest == key_digest
        )
        for one in queries.sessions_of(user)[:SESSIONS_SHOWN]
    ]


@page("accounts.view_people")
def people(request: PageRequest) -> HttpResponse:
    """Show the list of people."""
    context = {
        "listing": lists.people_listing(request.GET),
        "may_manage": request.user.has_perm("accounts.manage_users"),
    }
    return draw(request, "accounts/people.html", context, part="listing")


@page("accounts.view_people")
def person(request: PageRequest, username: str) -> HttpResponse:
    """Show one person: role, teams, sessions and newest audit entries."""
    found = queries.find_person(username)
    word, level = lists.state_of(found)
    context = {
        "person": found,
        "word": word,
        "level": level,
        "sessions": session_lines(found),
        "keys": queries.keys_of(found),
        "entries": [(entry, sentence(entry)) for entry in queries.entries_of(found, ENTRIES_SHOWN)],
        "alone": [service for _, service in queries.solely_owned(found)],
        "may_manage": request.user.has_perm("accounts.manage_users"),
        "is_self": found.pk == request.user.pk,
    }
    return draw(request, "accounts/person.html", context, part="person")


@page("accounts.manage_users", methods=GET_OR_POST)
def new_person(request: PageRequest) -> HttpResponse:
    """Make an account and show its first password once."""
    return _shown_once(request, "accounts.create_user", CreateUserInput, "accounts/new_person.html")


@page("accounts.manage_users", methods=GET_OR_POST)
def reset_password(request: PageRequest, username: str) -> HttpResponse:
    """Show what a reset ends; on POST, reset the password and show the new one once."""
    found = queries.find_person(username)
    return _shown_once(
        request, "accounts.reset_password", ResetPasswordInput, "accounts/reset_password.html", found
    )


def _shown_once(
    request: PageRequest,
    name: str,
    model: type[BaseModel],
    template: str,
    person: User | None = None,
) -> HttpResponse:
    """Show the form of an action whose answer is shown once, or the answer.

    A repeat of the same form shows that it was done, but not the password.
    """
    fixed: FormValues = {"username": person.get_username()} if person else {}
    context = {"person": person, "idempotency_key": uuid.uuid4().hex}
    actor = request.actor
    if request.method == "GET":
        shown = preview(name, fixed | {"rationale": "—"}, actor=actor) if fixed else None
        fields = fields_for(model, fixed, hidden=fixed)
        return draw(request, template, context | {"preview": shown, "fields": fields})
    data = values_from(model, request.POST) | fixed
    key = request.POST.get("idempotency_key") or uuid.uuid4().hex
    try:
        made = dispatch(name, data, actor=actor, idempotency_key=key).value
    except (InvalidInput, Conflict) as error:
        errors = errors_by_field(error.fields)
        beside = {field: texts for field, texts in errors.items() if field in model.model_fields}
        rest = [text for field, texts in errors.items() if field not in beside for text in texts]
        refused = {
            "fields": fields_for(model, data, beside, hidden=fixed),
            "form_errors": rest or ([error.detail] if not beside else errors.get(FORM_ERRORS)),
        }
        return draw(request, template, context | refused, status=error.status)
    return draw(request, template, context | {"made": made})
