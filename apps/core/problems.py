"""Errors as answers: RFC 9457 problem documents for programs, pages and fragments for people."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from structlog.contextvars import get_contextvars

from apps.core.errors import BallastError

PROBLEM_TYPE = "/docs/problems#"
CONTENT_TYPE = "application/problem+json"


def request_id() -> str:
    """Return the id that ties this request's log lines, audit entries and error answers together."""
    return str(get_contextvars().get("request_id", ""))


def problem(error: BallastError, request: HttpRequest) -> dict[str, Any]:
    """Return the RFC 9457 document of an error; ``errors`` lists the fields at fault."""
    document: dict[str, Any] = {
        "type": PROBLEM_TYPE + error.slug,
        "title": error.title,
        "status": error.status,
        "detail": error.detail,
        "instance": request.path,
        "request_id": request_id(),
    }
    if error.fields:
        document["errors"] = [{"path": field.path, "message": field.message} for field in error.fields]
    return document | error.extra


def problem_response(error: BallastError, request: HttpRequest) -> HttpResponse:
    """Answer a program with a problem document."""
    return JsonResponse(
        problem(error, request), status=error.status, content_type=CONTENT_TYPE, headers=dict(error.headers)
    )


def error_page(error: BallastError, request: HttpRequest) -> HttpResponse:
    """Answer a person: a whole page, or a fragment that htmx can swap in."""
    template = "errors/problem.html"
    if getattr(request, "htmx", False):
        template += "#fragment"
    context = {"error": error, "request_id": request_id()}
    return render(request, template, context, status=error.status)
