"""Errors as answers: RFC 9457 problem documents for programs, pages and fragments for people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.db import DataError, IntegrityError, InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from psycopg.errors import LockNotAvailable, UniqueViolation
from structlog.contextvars import get_contextvars

from apps.core.errors import (
    BadRequest,
    BallastError,
    Conflict,
    InternalError,
    InvalidInput,
    MethodNotAllowed,
    NotAllowed,
    NotFound,
    TooLarge,
    Unavailable,
)

PROBLEM_TYPE = "/docs/problems#"
CONTENT_TYPE = "application/problem+json"
MAX_HOST_SHOWN = 100


@dataclass(frozen=True, slots=True)
class ProblemKind:
    """One kind of problem as the catalogue lists it; ``words`` are pieces of text, each code or not."""

    slug: str
    status: int
    title: str
    meaning: str
    words: tuple[tuple[str, bool], ...]


def catalogue() -> list[ProblemKind]:
    """Return every kind of problem that there is, by status: the errors that the code declares."""
    found: dict[str, ProblemKind] = {}
    waiting = list(BallastError.__subclasses__())
    while waiting:
        kind = waiting.pop()
        waiting += kind.__subclasses__()
        if "slug" in vars(kind):
            pieces = enumerate(kind.meaning.split("`"))
            words = tuple((text, index % 2 == 1) for index, text in pieces if text)
            found[kind.slug] = ProblemKind(kind.slug, kind.status, kind.title, kind.meaning, words)
    return sorted(found.values(), key=lambda kind: (kind.status, kind.slug))


def unknown_host(host: str) -> BadRequest:
    """Return the error for a request under a name that this console does not answer to."""
    return BadRequest(
        f"Ballast does not answer under the name {host[:MAX_HOST_SHOWN]!r}. "
        "Whoever runs it adds the name to ALLOWED_HOSTS."
    )


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
    response = render(request, template, context, status=error.status)
    for name, value in error.headers.items():
        response[name] = value
    return response


def translated(error: Exception) -> BallastError | None:
    """Return what an error of Django or the database means to who asked; ``None`` for a fault of our own."""
    match error:
        case BallastError():
            return error
        case Http404():
            return NotFound("There is nothing at this address.")
        case RequestDataTooBig():
            return TooLarge("The body is larger than is taken at once. Send it in parts.")
        case PermissionDenied():
            return NotAllowed("Your role does not permit this.")
        case SuspiciousOperation():
            return BadRequest("The request cannot be read.")
        case DataError():
            return InvalidInput("One of the values cannot be stored: it is out of range or holds a NUL.")
        case IntegrityError() if isinstance(error.__cause__, UniqueViolation):
            return Conflict("Somebody else made the same thing at this moment. Load it again.")
        case OperationalError() if isinstance(error.__cause__, LockNotAvailable):
            return Unavailable(
                "Another change, such as a large import, holds what this one needs. Nothing was changed; "
                "try again in a moment.",
                headers={"Retry-After": "5"},
            )
        case OperationalError() | InterfaceError():
            return Unavailable(
                "The database does not answer. Try again in a moment.", headers={"Retry-After": "5"}
            )
    return None


def from_status(status: int, allow: str = "") -> BallastError:
    """Return the error that stands for a bare status which Django answered with."""
    if status == 404:
        return NotFound("There is nothing at this address.")
    if status == 405:
        return MethodNotAllowed(f"This address takes {allow}.", headers={"Allow": allow})
    if status == 403:
        return NotAllowed("Your role does not permit this.")
    if status >= 500:
        return InternalError("The log has the details under this request id.")
    return BadRequest("The request cannot be read.")
