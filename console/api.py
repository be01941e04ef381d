"""The root of API v1: authentication, answers to errors, and the rooms' routers.

Every error is an RFC 9457 problem. This module adds them to the OpenAPI document, because no endpoint declares them.
"""

from __future__ import annotations

from typing import Any

import structlog
from django.http import Http404, HttpRequest, HttpResponse
from ninja import NinjaAPI
from ninja.errors import AuthenticationError, HttpError, ValidationError, ValidationErrorContext
from ninja.openapi.schema import OpenAPISchema

from apps.accounts.authentication import (
    CHALLENGE,
    ClientThrottle,
    KeyAuthentication,
    SessionAuthentication,
    client_name,
)
from apps.core.errors import (
    MAX_FIELD_PROBLEMS,
    BadRequest,
    BallastError,
    FieldProblem,
    InternalError,
    InvalidInput,
    NotSignedIn,
    RateLimited,
)
from apps.core.redis.rate_limit import api_limit, take_or_refuse
from apps.core.rooms import modules
from apps.core.text.validation_messages import plain
from apps.core.web.http import StrictParser
from apps.core.web.openapi import complete
from apps.core.web.problems import from_status, problem_response, translated

logger = structlog.get_logger(__name__)


class BallastAPI(NinjaAPI):
    """NinjaAPI whose OpenAPI document names every problem and action. Each process makes the document once."""

    _document: OpenAPISchema | None = None

    def validation_error_from_error_contexts(
        self, error_contexts: list[ValidationErrorContext[Any]]
    ) -> ValidationError:
        """Override ninja's method with plain messages. Only here is the model known, and with it the possible keys."""
        found: list[dict[str, Any]] = []
        for context in error_contexts:
            model: Any = context.model
            for item in context.pydantic_validation_error.errors(include_url=False):
                path = model.__ninja_flatten_map_reverse__.get(item["loc"], item["loc"])
                found.append({"loc": (model.__ninja_param_source__, *path), "msg": plain(item, model)})
        return ValidationError(found)

    def get_openapi_schema(self, **kwargs: Any) -> OpenAPISchema:
        if self._document is None:
            document = super().get_openapi_schema(**kwargs)
            complete(document, self.get_root_path({}))
            self._document = document
        return self._document


api = BallastAPI(
    title="Ballast",
    version="1",
    description="SLO recommendations, decisions and their audit trail. Ratios are 0..1, times ISO 8601 in UTC.",
    urls_namespace="api",
    docs_url="/docs",
    auth=[KeyAuthentication(), SessionAuthentication()],
    throttle=[ClientThrottle()],
    parser=StrictParser(),
)


@api.exception_handler(BallastError)
def expected(request: HttpRequest, error: BallastError) -> HttpResponse:
    if isinstance(error, NotSignedIn):
        # Wrong keys count against the client's address. A key that is accepted has its own bucket.
        try:
            take_or_refuse(client_name(request), api_limit())
        except RateLimited as limited:
            error = limited
    return problem_response(error, request)


@api.exception_handler(AuthenticationError)
def not_signed_in(request: HttpRequest, error: AuthenticationError) -> HttpResponse:
    return expected(
        request, NotSignedIn("Send an API key in the header X-API-Key, or sign in.", headers=CHALLENGE)
    )


@api.exception_handler(ValidationError)
def invalid_parameters(request: HttpRequest, error: ValidationError) -> HttpResponse:
    count = len(error.errors)
    fields = [
        FieldProblem(_path(item["loc"]), str(item["msg"])) for item in error.errors[:MAX_FIELD_PROBLEMS]
    ]
    refusal = InvalidInput("Some of the values are not valid.", fields=fields)
    if count > MAX_FIELD_PROBLEMS:
        detail = f"{count:,} of the values are not valid. The first {MAX_FIELD_PROBLEMS} are named."
        refusal = InvalidInput(detail, fields=fields, extra={"error_count": count})
    return problem_response(refusal, request)


def _path(location: tuple[Any, ...]) -> str:
    """Return the path of a fault in the request, without the names of the body and of its parameter."""
    parts = [str(part) for part in location]
    if parts[0] == "body":
        return ".".join(parts[2:]) or "body"
    return ".".join(parts[1:]) or parts[0]


@api.exception_handler(Http404)
def not_found(request: HttpRequest, error: Http404) -> HttpResponse:
    return problem_response(from_status(404), request)


@api.exception_handler(HttpError)
def bare_status(request: HttpRequest, error: HttpError) -> HttpResponse:
    if isinstance(error.__cause__, BallastError):  # the parser's own message, which ninja wraps
        return problem_response(error.__cause__, request)
    if error.status_code == 400:
        return problem_response(BadRequest("The body is not JSON."), request)
    return problem_response(from_status(error.status_code), request)


@api.exception_handler(Exception)
def unexpected(request: HttpRequest, error: Exception) -> HttpResponse:
    known = translated(error)
    if known is not None:
        return problem_response(known, request)
    logger.exception("api.failed", path=request.path)
    return problem_response(InternalError("The log has the details under this request id."), request)


_rooms = list(modules("api"))
for _room in _rooms:
    for _router in _room.ROUTERS:
        api.add_router("", _router)
# A route whose last part takes the rest of the path comes last, because it would hide the others.
for _room in _rooms:
    for _router in getattr(_room, "LAST_ROUTERS", ()):
        api.add_router("", _router)
