"""Turn errors into answers: RFC 9457 problem documents for programs, pages and fragments for people."""

from __future__ import annotations

from dataclasses import dataclass

from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.db import DataError, IntegrityError, InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from psycopg.errors import LockNotAvailable, QueryCanceled, UniqueViolation
from structlog.contextvars import get_contextvars

from apps.core.database import storage
from apps.core.database.errors import OutcomeUnknown
from apps.core.errors import (
    BadRequest,
    BallastError,
    Conflict,
    DatabaseAway,
    InternalError,
    InvalidInput,
    MethodNotAllowed,
    NotAllowed,
    NotFound,
    TooLarge,
    Unavailable,
    UnknownOutcome,
)
from apps.core.json_types import Json

PROBLEM_TYPE = "/docs/problems#"
CONTENT_TYPE = "application/problem+json"
MAX_HOST_SHOWN = 100


@dataclass(frozen=True, slots=True)
class ProblemKind:
    """One kind of problem in the catalogue. ``words`` are pieces of its text, each marked as code or not."""

    slug: str
    status: int
    title: str
    meaning: str
    words: tuple[tuple[str, bool], ...]


def catalogue() -> list[ProblemKind]:
    """Return every kind of problem that the code declares, by status."""
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
    """Return the error for a request with a host name that this console does not serve."""
    return BadRequest(
        f"Ballast does not answer under the name {host[:MAX_HOST_SHOWN]!r}. "
        "Whoever runs it adds the name to ALLOWED_HOSTS."
    )


def request_id() -> str:
    """Return the id that this request's log lines, audit entries and error answers carry."""
    return str(get_contextvars().get("request_id", ""))


def problem(error: BallastError, request: HttpRequest) -> dict[str, Json]:
    """Return the RFC 9457 document of an error; ``errors`` lists the fields at fault."""
    document: dict[str, Json] = {
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
    """Return the problem document as an answer."""
    return JsonResponse(
        problem(error, request), status=error.status, content_type=CONTENT_TYPE, headers=dict(error.headers)
    )


def error_page(error: BallastError, request: HttpRequest) -> HttpResponse:
    """Return a whole page, or a fragment that htmx can swap in."""
    if error.stands_alone:
        return frameless(error, request)
    template = "errors/problem.html"
    if getattr(request, "htmx", False):
        template += "#fragment"
    context = {"error": error, "request_id": request_id()}
    response = render(request, template, context, status=error.status)
    for name, value in error.headers.items():
        response[name] = value
    return response


def frameless(error: BallastError, request: HttpRequest) -> HttpResponse:
    """Return a page that needs nothing from the database, not even who asks."""
    context = {"error": error, "request_id": request_id(), "path": request.get_full_path()}
    is_fragment = request.headers.get("HX-Request") == "true"
    page = render_to_string("errors/problem.html#fragment" if is_fragment else "503.html", context)
    return HttpResponse(page, status=error.status, headers=error.headers)


def translated(error: Exception) -> BallastError | None:
    """Return the expected error that an error of Django or the database stands for; ``None`` for a fault of Ballast."""
    match error:
        case BallastError():
            return error
        case Http404():
            return NotFound("There is nothing at this address.")
        case RequestDataTooBig():
            return TooLarge("The body is larger than the limit. Send it in parts.")
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
                "Another change, such as a large import, holds rows that this one needs. Nothing was changed; "
                "try again in a moment.",
                headers={"Retry-After": "5"},
            )
        case OutcomeUnknown():
            return UnknownOutcome(
                "The database was lost while it stored this. It may or may not be stored: look before you do it "
                "again. A program may send it again with the same Idempotency-Key.",
                headers={"Retry-After": "5"},
            )
        case OperationalError() if isinstance(error.__cause__, QueryCanceled):
            return DatabaseAway(
                "The database took too long to find this. Ask for less, or try again in a moment.",
                headers={"Retry-After": "5"},
            )
        case OperationalError() | InterfaceError():
            return storage.lacking(error) or DatabaseAway(
                "The database does not answer. Try again in a moment." + storage.why_perhaps(),
                headers={"Retry-After": "5"},
            )
        case OSError():
            return storage.lacking(error)
    return None


def from_status(status: int, allow: str = "") -> BallastError:
    """Return the error for a bare status that Django answered with."""
    if status == 404:
        return NotFound("There is nothing at this address.")
    if status == 405:
        return MethodNotAllowed(f"This address takes {allow}.", headers={"Allow": allow})
    if status == 403:
        return NotAllowed("Your role does not permit this.")
    if status >= 500:
        return InternalError("The log has the details under this request id.")
    return BadRequest("The request cannot be read.")
