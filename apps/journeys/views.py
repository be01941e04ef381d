"""The pages of journeys and what-ifs."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone

from apps.accounts.permissions import scope_of
from apps.catalog.queries import get_service
from apps.core.actions import Actor
from apps.core.dispatcher import dispatch, preview
from apps.core.errors import Conflict, FieldProblem, InvalidInput, NotAllowed
from apps.core.rooms import Scope
from apps.core.web.pages import GET_OR_POST, POST, PageRequest, draw, page
from apps.journeys import queries
from apps.journeys.models import Journey
from apps.journeys.pages import forms, presenting, what_if_page, what_if_start

FORM = "journeys/form.html"


@page("journeys.view")
def journeys(request: PageRequest) -> HttpResponse:
    """Show the list: how often each journey succeeds, and its target."""
    context = {
        "listing": presenting.listing(request.GET),
        "may_create": request.user.has_perm("journeys.edit"),
        "now": timezone.now(),
    }
    return draw(request, "journeys/list.html", context, part="listing")


@page("journeys.view")
def journey(request: PageRequest, slug: str) -> HttpResponse:
    """Show one journey: whether it keeps its target, and which service to improve first."""
    shown = presenting.present(queries.get_journey(slug), request.user)
    return draw(request, "journeys/journey.html", {"shown": shown}, part="journey")


@page("journeys.edit", methods=GET_OR_POST)
def create_journey(request: PageRequest) -> HttpResponseBase:
    """Show the form of a new journey; on POST, create it."""
    actor = _may_edit(request, None)
    if request.method == "GET":
        teams = queries.teams_for(request.user)
        start = forms.blank(
            "" if _any_team(request) or not teams else teams[0], request.GET.getlist("service")
        )
        return _form(request, start, None)
    return _saved(request, actor, None)


@page("journeys.edit", methods=GET_OR_POST)
def edit_journey(request: PageRequest, slug: str) -> HttpResponseBase:
    """Show the form of a journey; on POST, change it."""
    found = queries.get_journey(slug)
    actor = _may_edit(request, found)
    if request.method == "GET":
        return _form(request, forms.of_journey(found), found)
    return _saved(request, actor, found)


@page("journeys.edit", methods=POST)
def check_journey(request: PageRequest, slug: str | None = None) -> HttpResponse:
    """Show what the form, as it is filled in now, would do."""
    found = queries.get_journey(slug) if slug else None
    actor = _may_edit(request, found)
    data, problems = forms.data_of(forms.posted(request.POST), found)
    shown, refused = None, []
    if not problems:
        try:
            shown = preview(_action(found), data, actor=actor)
        except InvalidInput as error:
            refused = [problem.message.removeprefix("Value error, ") for problem in error.fields]
        except Conflict as error:
            refused = [error.detail]
    return render(request, f"{FORM}#preview", {"preview": shown, "problems": refused})


def _action(found: Journey | None) -> str:
    return "journeys.create" if found is None else "journeys.edit"


def _may_edit(request: PageRequest, found: Journey | None) -> Actor:
    actor = request.actor
    if not actor.may("journeys.edit", found):
        raise NotAllowed(f"Keep journeys: {actor.refusal('journeys.edit', found)}")
    return actor


def _any_team(request: PageRequest) -> bool:
    return scope_of(request.user, "journeys.edit") is Scope.ALL


def _form(
    request: PageRequest,
    state: forms.FormState,
    found: Journey | None,
    problems: list[FieldProblem] | None = None,
    conflict: Conflict | None = None,
) -> HttpResponse:
    teams = queries.teams_for(request.user)
    form = forms.drawn(state, teams, problems or (), may_be_without_team=_any_team(request))
    here = reverse("edit-journey", args=[found.slug]) if found else reverse("create-journey")
    context = {
        "form": form,
        "journey": found,
        "here": here,
        "check": f"{here}check/",
        "cancel": reverse("journey", args=[found.slug]) if found else reverse("journeys"),
        "conflict": conflict,
    }
    status = conflict.status if conflict else InvalidInput.status if problems else 200
    return draw(request, FORM, context, part="form", status=status)


def _saved(request: PageRequest, actor: Actor, found: Journey | None) -> HttpResponseBase:
    state = forms.posted(request.POST)
    if request.POST.get("do", "save") != "save":
        return _form(request, state, found)
    data, problems = forms.data_of(state, found)
    if problems:
        return _form(request, state, found, problems)
    try:
        done = dispatch(_action(found), data, actor=actor, idempotency_key=state.key or None)
    except InvalidInput as error:
        return _form(request, state, found, list(error.fields) or [FieldProblem("", error.detail)])
    except Conflict as error:
        return _form(request, state, found, conflict=error)
    messages.success(request, f"{done.value['name']} is saved. A worker computes what it achieves.")
    address = reverse("journey", args=[done.value["journey"]])
    if request.htmx:
        return HttpResponse(status=204, headers={"HX-Redirect": address})
    return HttpResponseRedirect(address)


@page("journeys.view")
def what_ifs(request: PageRequest) -> HttpResponse:
    """Show the services to choose from for a what-if."""
    context = {"listing": what_if_start.listing(request.GET)}
    return draw(request, "journeys/what_ifs.html", context, part="listing")


@page("journeys.view", methods=("GET",))
def what_if(request: PageRequest, service_id: str) -> HttpResponseBase:
    """Show what some changes would do to what a service can keep. Changes nothing; the address holds the steps."""
    service = get_service(service_id)
    wanted = what_if_page.asked(request.GET)
    address = presenting.try_url(service.service_id, wanted.steps)
    if wanted.added is not None:
        steps = [*wanted.steps, wanted.added]
        address = presenting.try_url(service.service_id, steps)
        if not request.htmx:
            return redirect(address)
        wanted = what_if_page.Asked(steps, None, (), wanted.kind, wanted.on, "", False)
    shown = what_if_page.page(service, wanted)
    context = {"page": shown, "here": presenting.try_url(service.service_id, [])}
    part = "step" if wanted.is_choosing else "what-if"
    response = draw(request, "journeys/what_if.html", context, part=part, status=shown.status)
    if request.htmx and not wanted.is_choosing:
        response["HX-Push-Url"] = address
    return response
