"""What can go wrong, as the person who asked should hear it.

Every error carries an HTTP status, a title (what happened), a detail (why, and what to do next) and, where fields of
the input are to blame, one :class:`FieldProblem` each. The API renders them as RFC 9457 problems, pages as fragments,
commands as one line.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

MAX_FIELD_PROBLEMS = 300
"""How many fields at fault one answer names; all are counted. Whoever has more fixes the pattern, not the fields."""


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """One thing wrong with one field: ``path`` as in ``services.3.service_id``, ``message`` in words."""

    path: str
    message: str


class BallastError(Exception):
    """The root of all expected errors."""

    status = 500
    slug = "error"
    title = "Something went wrong"

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
    """The request cannot be read at all, such as a body that is no JSON."""

    status = 400
    slug = "bad-request"
    title = "The request cannot be read"


class InvalidInput(BallastError):
    """The input cannot be taken as it is; ``fields`` says which part and why."""

    status = 422
    slug = "invalid-input"
    title = "The input is not valid"


class NotSignedIn(BallastError):
    status = 401
    slug = "not-signed-in"
    title = "Sign in first"


class NotAllowed(BallastError):
    """The actor's role or team does not permit this; the detail names the role that may."""

    status = 403
    slug = "not-allowed"
    title = "Not allowed"


class NotFound(BallastError):
    status = 404
    slug = "not-found"
    title = "Not found"


class MethodNotAllowed(BallastError):
    status = 405
    slug = "method-not-allowed"
    title = "This address does not take that method"


class Conflict(BallastError):
    """Somebody else changed the same thing first; ``extra["difference"]`` holds what they changed."""

    status = 409
    slug = "conflict"
    title = "This has changed since you looked"


class TooLarge(BallastError):
    status = 413
    slug = "too-large"
    title = "The request is too large"


class RateLimited(BallastError):
    status = 429
    slug = "rate-limited"
    title = "Too many requests"


class Unavailable(BallastError):
    """A part that is needed does not answer now; trying again later may work."""

    status = 503
    slug = "unavailable"
    title = "Not available right now"


class InternalError(BallastError):
    """A fault of Ballast's own. It says no more than the request id under which the log tells the rest."""

    status = 500
    slug = "internal-error"
    title = "Something went wrong here"
