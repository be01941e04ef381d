"""Expected errors, worded for the person who asked.

Every error carries an HTTP status, a title (what happened), a detail (why, and what to do next) and, where fields of
the input are at fault, one :class:`FieldProblem` each. The API renders them as RFC 9457 problems, pages as fragments,
commands as one line.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypedDict

MAX_FIELD_PROBLEMS = 300
"""The most fields at fault that one answer names; all are counted. More than that have a common cause."""


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """One thing wrong with one field: ``path`` as in ``services.3.service_id``, ``message`` in words."""

    path: str
    message: str


class Fault(TypedDict, total=False):
    """One thing that was wrong with long work: why, and where in a file, or in which row of a graph that was sent.

    ``path`` is the place for programs. A ``reason`` without a place is about the whole.
    """

    reason: str
    message: str
    field: str
    file: str
    line: int
    part: int
    list: str
    row: int
    path: str


class BallastError(Exception):
    """The root of all expected errors."""

    status = 500
    slug = "error"
    title = "Something went wrong"
    stands_alone = False
    """Whether the error page must leave out the usual frame, which reads the database."""
    meaning = ""
    """The explanation in the catalogue of problems, with code in backticks."""

    def __init__(
        self,
        detail: str,
        *,
        fields: Iterable[FieldProblem] = (),
        extra: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.fields = tuple(fields)
        self.extra = dict(extra or {})
        self.headers = dict(headers or {})


class BadRequest(BallastError):
    """The request cannot be read at all, for example because its body is not JSON."""

    status = 400
    slug = "bad-request"
    title = "The request cannot be read"
    meaning = (
        "The request cannot be read at all: its body is not JSON (`NaN` and `Infinity` are not) "
        "or not UTF-8, or it asks for a host name that is not in `ALLOWED_HOSTS`."
    )


class InvalidInput(BallastError):
    """The input cannot be used as it is; ``fields`` says which part and why."""

    status = 422
    slug = "invalid-input"
    title = "The input is not valid"
    meaning = (
        "One or more values are not valid; `errors` names each by its path, says what is wrong "
        "with it and what to write instead."
    )


class NotSignedIn(BallastError):
    status = 401
    slug = "not-signed-in"
    title = "Sign in first"
    meaning = (
        "No API key was sent and nobody is signed in, or the key is unknown, revoked or expired. "
        "If a key is sent and not accepted, a session does not help."
    )


class NotAllowed(BallastError):
    """The actor's role or team does not permit this; the detail names the role that may."""

    status = 403
    slug = "not-allowed"
    title = "Not allowed"
    meaning = (
        "The role or team does not permit this; the detail names who may. Also: a session's "
        "request that changes something came without its CSRF token in `X-CSRFToken`."
    )


class NotFound(BallastError):
    status = 404
    slug = "not-found"
    title = "Not found"
    meaning = "Nothing has that name, or you may not see it."


class MethodNotAllowed(BallastError):
    status = 405
    slug = "method-not-allowed"
    title = "This address does not take that method"
    meaning = "The address does not take this method. The header `Allow` names those that it takes."


class Conflict(BallastError):
    """Somebody else changed the same thing first; ``extra["difference"]`` holds what they changed."""

    status = 409
    slug = "conflict"
    title = "This has changed since you looked"
    meaning = (
        "Somebody else changed the same thing first, and `difference` shows what; or the current state does not "
        "allow the change; or the idempotency key was used for a different request. Read the current state, and "
        "decide again."
    )


class TooLarge(BallastError):
    status = 413
    slug = "too-large"
    title = "The request is too large"
    meaning = "The body is above 10 MB. Send it in parts."


class TooSlow(BallastError):
    status = 408
    slug = "too-slow"
    title = "The request took too long to arrive"
    meaning = (
        "The head or the body of the request did not arrive in time. Nothing was changed. "
        "`CLIENT_HEADER_TIMEOUT_S` and `CLIENT_BODY_TIMEOUT_S` are the deadlines."
    )


class RateLimited(BallastError):
    status = 429
    slug = "rate-limited"
    title = "Too many requests"
    meaning = "One client sent more than its limit. `Retry-After` says how many seconds to wait."


class Unavailable(BallastError):
    """A part that is needed does not answer now; trying again later may work."""

    status = 503
    slug = "unavailable"
    title = "Not available right now"
    meaning = (
        "A part that is needed, usually PostgreSQL, does not answer or has no room. "
        "`Retry-After` says when to try again."
    )


class DatabaseAway(Unavailable):
    """PostgreSQL does not answer, or lacks memory or connections."""

    stands_alone = True


class UnknownOutcome(DatabaseAway):
    """The connection to the database was lost while it stored a change, so it is unknown whether it did."""

    slug = "outcome-unknown"
    title = "It is not known whether this was done"
    meaning = (
        "The database was lost while it stored the change. The change is stored as a whole or not at all: look before "
        "you send it again. With the same `Idempotency-Key` it is safe to send again: a stored change is not made "
        "twice."
    )


class StorageFull(BallastError):
    """A disk is full. Stored data can be read; nothing can be added."""

    status = 507
    slug = "storage-full"
    title = "A disk is full"
    stands_alone = True
    meaning = (
        "The disk that the change needs is full; the detail says which. Nothing was changed, and what is stored can "
        "still be read. Whoever runs Ballast must free or add space."
    )


class InternalError(BallastError):
    """A fault in Ballast. The answer gives only the request id; the log has the details under it."""

    status = 500
    slug = "internal-error"
    title = "Something went wrong here"
    meaning = "A fault in Ballast. The log has the details under the request id."
