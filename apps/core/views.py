"""The two probes, and what stands at an address where nothing is."""

from __future__ import annotations

import sys

from django.core.exceptions import DisallowedHost
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest, JsonResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.views import defaults

from apps.core import queries
from apps.core.http import is_api
from apps.core.pages import page
from apps.core.problems import catalogue, frameless, from_status, problem_response, translated, unknown_host


@page(public=True)
def healthz(request: HttpRequest) -> HttpResponse:
    return JsonResponse(queries.liveness())


@page(public=True)
def ready(request: HttpRequest) -> HttpResponse:
    readiness = queries.readiness()
    return JsonResponse(readiness.document, status=readiness.http_status)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer what Django refuses to read, such as a host that is not ours: often before anybody is known to ask."""
    is_unknown_host = isinstance(exception, DisallowedHost)
    error = unknown_host(request.META.get("HTTP_HOST", "")) if is_unknown_host else from_status(400)
    if is_api(request):
        return problem_response(error, request)
    # Without the request: the frame of a page would ask it for its host, and who is signed in.
    page = render_to_string("400.html", {"error": error if is_unknown_host else None})
    return HttpResponseBadRequest(page)


@page(public=True)
def problem_catalogue(request: HttpRequest) -> HttpResponse:
    """Explain every kind of problem: where the ``type`` of a problem document leads, signed in or not."""
    return render(request, "errors/catalogue.html", {"kinds": catalogue()})


def server_error(request: HttpRequest) -> HttpResponse:
    """Answer what failed outside a view, or on the way to an error page: most of all a database that is away.

    Who asks is read from the database before any view runs, and the frame of a page asks it again, so the answer
    is made without either.
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
