"""The page that sets up telemetry: connect a Prometheus, choose what is read, start."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from typing import Any

from django.contrib import messages
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django_htmx.http import HttpResponseClientRefresh

from apps.core.dispatcher import dispatch, preview
from apps.core.errors import Conflict, InvalidInput, NotFound
from apps.core.json_types import JsonObject
from apps.core.web.pages import POST, PageRequest, page
from apps.telemetry.actions.families import named
from apps.telemetry.proposals import choosing, sentences, toml
from apps.telemetry.proposals.documents import Survey
from apps.telemetry.setup import state as setup_state

PAGE = "telemetry/setup.html"
#: The parts of the page that refresh while a worker is busy.
PARTS = frozenset({"found", "started"})
DAYS = (7, 31, 90)


@page("telemetry.view")
def setup(request: PageRequest) -> HttpResponse:
    """Show how far telemetry is set up; only a part when the page asks for a worker's progress."""
    part = request.GET.get("part", "")
    return _page(request, part=part if part in PARTS else "")


def _page(request: PageRequest, *, part: str = "", status: int = 200, **extra: Any) -> HttpResponse:
    state = setup_state.look()
    context = {
        "state": state,
        "cards": choosing.cards(state.survey, stored=state.stored_families) if state.survey else [],
        "left_out": _left_out(state.survey),
        "stored_toml": state.stored_toml,
        "days": DAYS,
        "may_configure": request.user.has_perm("telemetry.configure"),
    }
    template = f"{PAGE}#{part}" if part else PAGE
    return render(request, template, context | extra, status=status)


def _left_out(survey: Survey | None) -> list[str]:
    if survey is None:
        return []
    return [
        *(f"{count:,} metrics: {why}." for why, count in survey.left_out.items() if count),
        *(f"{what}: {why}" for what, why in survey.not_looked_at.items()),
    ]


@page("telemetry.configure", methods=POST)
def connect(request: PageRequest) -> HttpResponseBase:
    """Try the address that a person entered; if it answers, store it and look at its metrics."""
    given = {name: request.POST.get(name, "").strip() for name in ("url", "user", "org_id")}
    data = {
        "url": given["url"],
        "credentials": {
            "token": request.POST.get("token", "").strip(),
            "user": given["user"],
            "password": request.POST.get("password", ""),
            "org_id": given["org_id"],
        },
    }
    actor = request.actor
    try:
        shown = preview("telemetry.connect", data, actor=actor)
    except (InvalidInput, Conflict) as error:
        problems = [f"{_field(one.path)} {one.message}" for one in error.fields] or [error.detail]
        return _not_connected(request, given, problems, error.status)
    if shown.warnings:
        return _not_connected(request, given, shown.warnings, InvalidInput.status)
    dispatch("telemetry.connect", data, actor=actor)
    dispatch("telemetry.survey", {}, actor=actor)
    messages.success(request, shown.summary)
    return _onward(request, "found")


def _field(path: str) -> str:
    named_fields = {"url": "The address", "credentials": "Ballast", "credentials.token": "The token"}
    return named_fields.get(path, path.rpartition(".")[2].replace("_", " "))


def _not_connected(
    request: PageRequest, given: Mapping[str, str], problems: Any, status: int
) -> HttpResponse:
    part = "connect" if request.htmx else ""
    return _page(request, part=part, status=status, given=given, connect_errors=list(problems))


@page("telemetry.configure", methods=POST)
def look(request: PageRequest) -> HttpResponseBase:
    """Have a worker look at the metrics, again if it did before."""
    dispatch("telemetry.survey", {}, actor=request.actor)
    return _onward(request, "found")


@page("telemetry.configure", methods=POST)
def start(request: PageRequest) -> HttpResponseBase:
    """Store the ticked families, and have a worker find the services and read the past of each."""
    state = setup_state.look()
    survey = state.survey or Survey()
    posted = {name: str(value) for name, value in request.POST.items()}
    actor = request.actor
    try:
        families = choosing.chosen(survey, posted)
        merged = {**state.stored_families, **dict(families)}
        if merged != state.stored_families:
            dispatch(
                "telemetry.store_families",
                {"families": named(merged), "order": state.order, "version": _version(posted)},
                actor=actor,
            )
        days = _number(posted.get("days", ""), DAYS[1])
        dispatch("telemetry.backfill", {"days": days, "discover": True}, actor=actor)
    except (InvalidInput, Conflict) as error:
        by_number: dict[int, list[str]] = {}
        for one in error.fields:
            if one.path.isdecimal():
                by_number.setdefault(int(one.path), []).append(one.message)
        return _page(
            request,
            status=error.status,
            cards=choosing.cards(survey, posted, state.stored_families, by_number),
            start_errors=[error.detail],
        )
    return _onward(request, "started")


def _version(posted: Mapping[str, str]) -> int:
    return _number(posted.get("version", ""), 0)


def _number(text: str, otherwise: int) -> int:
    """Return the number in a text, or ``otherwise`` if the text is no usable number."""
    return int(text) if text.isdecimal() and len(text) < 19 else otherwise


@page("telemetry.configure", methods=POST)
def families(request: PageRequest) -> HttpResponseBase:
    """Preview or store families that are written as TOML on the page."""
    text = request.POST.get("toml", "")
    actor = request.actor
    try:
        data = {**_written(text), "version": _version({"version": request.POST.get("version", "")})}
        if "preview" in request.POST:
            return _page(
                request, written=text, families_preview=preview("telemetry.store_families", data, actor=actor)
            )
        done = dispatch("telemetry.store_families", data, actor=actor)
    except (InvalidInput, Conflict) as error:
        problems = [f"{one.path}: {one.message}" for one in error.fields] or [error.detail]
        return _page(request, status=error.status, written=text, families_errors=problems)
    messages.success(request, f"{len(done.value['families'])} metric families are stored.")
    return _onward(request, "families")


def _written(text: str) -> JsonObject:
    """Return the action's input from the text of a configuration file."""
    try:
        document = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # also numbers of thousands of digits and very deep arrays
        raise InvalidInput(f"This is not valid TOML: {error}.") from error
    table = document.get("telemetry", {})
    own = table.get("families", {}) if isinstance(table, dict) else None
    unknown = [
        *(set(document) - {"telemetry"}),
        *(set(table) - {"families", "order"} if isinstance(table, dict) else ()),
    ]
    if not isinstance(own, dict) or unknown:
        named_ones = f": {', '.join(sorted(unknown))}" if unknown else ""
        raise InvalidInput(f"Write only [telemetry] with families and an order{named_ones}.")
    return {
        "families": [{"name": name, "family": family} for name, family in own.items()],
        "order": table.get("order", []),
    }


@page("telemetry.view")
def download(request: PageRequest, what: str) -> HttpResponse:
    """Return the stored families, or the recommended ones, as a file for BALLAST_CONFIG."""
    if what not in {"stored", "recommended"}:
        raise NotFound("There are two files: stored and recommended.")
    state = setup_state.look()
    if what == "stored":
        text = state.stored_toml
    else:
        taken = [one for one in (state.survey or Survey()).proposals if one.is_recommended and not one.preset]
        text = toml.document(
            {one.name: one.family for one in taken},
            comments={one.name: [sentences.summary(one), *sentences.remarks(one)] for one in taken},
        )
    return HttpResponse(
        text,
        content_type="application/toml",
        headers={"Content-Disposition": f'attachment; filename="ballast-{what}.toml"'},
    )


def _onward(request: PageRequest, anchor: str) -> HttpResponseBase:
    """Show the page again. A script must reload: an address that differs only in its anchor would load nothing."""
    if request.htmx:
        return HttpResponseClientRefresh()
    address = f"{reverse('telemetry-setup')}#{anchor}"
    return redirect(address)
