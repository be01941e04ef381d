"""Journeys: the list, one journey, its form; and what a change to a service would do."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST, require_safe

from apps.accounts.models import User
from apps.accounts.permissions import scope_of
from apps.catalog.queries import get_service
from apps.core.actions import Actor
from apps.core.dispatcher import dispatch, preview
from apps.core.errors import Conflict, FieldProblem, InvalidInput, NotAllowed
from apps.core.http import actor_from
from apps.core.rooms import Scope
from apps.journeys import queries
from apps.journeys.models import Journey
from apps.journeys.pages import forms, presenting, what_if_page, what_if_start

FORM = "journeys/form.html"


def _is_fragment(request: HttpRequest) -> bool:
    return bool(getattr(request, "htmx", False))


@login_required
@never_cache
@require_safe
def journeys(request: HttpRequest) -> HttpResponse:
    """How often each journey succeeds, against its target."""
    context = {
        "listing": presenting.listing(request.GET),
        "may_create": request.user.has_perm("journeys.edit"),
        "now": timezone.now(),
    }
    return render(request, "journeys/list.html" + ("#listing" if _is_fragment(request) else ""), context)


@login_required
@never_cache
@require_safe
def journey(request: HttpRequest, slug: str) -> HttpResponse:
    """Does this journey keep its target, and which service to mend first."""
    shown = presenting.present(queries.get_journey(slug), request.user)  # type: ignore[arg-type]
    template = "journeys/journey.html" + ("#journey" if _is_fragment(request) else "")
    return render(request, template, {"shown": shown})


@login_required
@never_cache
@require_http_methods(["GET", "POST"])
def create_journey(request: HttpRequest) -> HttpResponseBase:
    """The form of a new journey, and its creation."""
    actor = _may_edit(request, None)
    if request.method == "GET":
        teams = queries.teams_for(request.user)  # type: ignore[arg-type]
        start = forms.blank(
            "" if _any_team(request) or not teams else teams[0], request.GET.getlist("service")
        )
        return _form(request, start, None)
    return _saved(request, actor, None)


@login_required
@never_cache
@require_http_methods(["GET", "POST"])
def edit_journey(request: HttpRequest, slug: str) -> HttpResponseBase:
    """The form of a journey, and its change."""
    found = queries.get_journey(slug)
    actor = _may_edit(request, found)
    if request.method == "GET":
        return _form(request, forms.of_journey(found), found)
    return _saved(request, actor, found)


@login_required
@never_cache
@require_POST
def check_journey(request: HttpRequest, slug: str | None = None) -> HttpResponse:
    """Say what the form, as it is filled in now, would do."""
    found = queries.get_journey(slug) if slug else None
    actor = _may_edit(request, found)
    data, problems = forms.data_of(forms.posted(request.POST), found)
    context: dict[str, Any] = {}
    if not problems:
        try:
            context["preview"] = preview(_action(found), data, actor=actor)
        except InvalidInput as error:
            context["problems"] = [problem.message.removeprefix("Value error, ") for problem in error.fields]
        except Conflict as error:
            context["problems"] = [error.detail]
    return render(request, f"{FORM}#preview", context)


def _action(found: Journey | None) -> str:
    return "journeys.create" if found is None else "journeys.edit"


def _may_edit(request: HttpRequest, found: Journey | None) -> Actor:
    actor = actor_from(request)
    if not actor.may("journeys.edit", found):
        raise NotAllowed(f"Keep journeys: {actor.refusal('journeys.edit', found)}")
    return actor


def _any_team(request: HttpRequest) -> bool:
    user: User = request.user  # type: ignore[assignment]
    return scope_of(user, "journeys.edit") is Scope.ALL


def _form(
    request: HttpRequest,
    state: forms.FormState,
    found: Journey | None,
    problems: list[FieldProblem] | None = None,
    conflict: Conflict | None = None,
) -> HttpResponse:
    teams = queries.teams_for(request.user)  # type: ignore[arg-type]
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
    return render(request, FORM + ("#form" if _is_fragment(request) else ""), context, status=status)


def _saved(request: HttpRequest, actor: Actor, found: Journey | None) -> HttpResponseBase:
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
    if _is_fragment(request):
        return HttpResponse(status=204, headers={"HX-Redirect": address})
    return HttpResponseRedirect(address)


@login_required
@never_cache
@require_safe
def what_ifs(request: HttpRequest) -> HttpResponse:
    """Which service a change is to be tried on."""
    context = {"listing": what_if_start.listing(request.GET)}
    return render(request, "journeys/what_ifs.html" + ("#listing" if _is_fragment(request) else ""), context)


@login_required
@never_cache
@require_GET
def what_if(request: HttpRequest, service_id: str) -> HttpResponseBase:
    """What some changes would do to what a service can promise. Changes nothing; the address holds all of it."""
    service = get_service(service_id)
    wanted = what_if_page.asked(request.GET)
    address = presenting.try_url(service.service_id, wanted.steps)
    if wanted.added is not None:
        steps = [*wanted.steps, wanted.added]
        address = presenting.try_url(service.service_id, steps)
        if not _is_fragment(request):
            return redirect(address)
        wanted = what_if_page.Asked(steps, None, (), wanted.kind, wanted.on, "", False)
    context = {"page": what_if_page.page(service, wanted), "here": presenting.try_url(service.service_id, [])}
    is_fragment = _is_fragment(request)
    part = "" if not is_fragment else "#step" if wanted.is_choosing else "#what-if"
    response = render(request, f"journeys/what_if.html{part}", context, status=context["page"].status)  # type: ignore[attr-defined]
    if is_fragment and not wanted.is_choosing:
        response["HX-Push-Url"] = address
    return response
