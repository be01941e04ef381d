"""The two probes, the catalogue of problems and the error pages."""

from __future__ import annotations

import sys

from django.core.exceptions import DisallowedHost
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest, JsonResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.views import defaults

from apps.core import queries
from apps.core.web.http import is_api
from apps.core.web.pages import PageRequest, page
from apps.core.web.problems import (
    catalogue,
    frameless,
    from_status,
    problem_response,
    translated,
    unknown_host,
)
from apps.ui.context_processors import Shell


@page(public=True)
def healthz(request: HttpRequest) -> HttpResponse:
    return JsonResponse(queries.liveness())


@page(public=True)
def ready(request: HttpRequest) -> HttpResponse:
    readiness = queries.readiness()
    return JsonResponse(readiness.document, status=readiness.http_status)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer a request that Django refuses to read, such as one for an unknown host, often before the user is known."""
    is_unknown_host = isinstance(exception, DisallowedHost)
    error = unknown_host(request.META.get("HTTP_HOST", "")) if is_unknown_host else from_status(400)
    if is_api(request):
        return problem_response(error, request)
    # Without the request, because the frame of a page would ask it for its host and its user.
    page = render_to_string("400.html", {"error": error if is_unknown_host else None})
    return HttpResponseBadRequest(page)


@page(public=True)
def problem_catalogue(request: HttpRequest) -> HttpResponse:
    """Explain every kind of problem. The ``type`` of a problem document leads here, signed in or not."""
    return render(request, "errors/catalogue.html", {"kinds": catalogue()})


@page(signed_in=True)
def frame(request: PageRequest) -> HttpResponse:
    """Draw anew what stands around a page: its rail and its bar. ``of`` is the page's path, which the rail marks."""
    return render(request, "components/frame.html", {"shell": Shell(request, request.GET.get("of", ""))})


def server_error(request: HttpRequest) -> HttpResponse:
    """Answer a failure outside a view or in an error page, mostly an absent database.

    The user is read from the database before any view runs, and the frame of a page reads it again, so the answer uses
    neither.
    """
    cause = sys.exception()
    error = translated(cause) if isinstance(cause, Exception) else None
    if is_api(request):
        return problem_response(error or from_status(500), request)
    if error is None or not error.stands_alone:
        return defaults.server_error(request)
    return frameless(error, request)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer a program with a problem document, a person with a page."""
    if is_api(request):
        return problem_response(from_status(404), request)
    return defaults.page_not_found(request, exception)
