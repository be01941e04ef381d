"""The root of API v1: who is let in, how errors are answered, and the rooms' routers.

Every error is an RFC 9457 problem; those that no endpoint declares are added to the OpenAPI document here.
"""

from __future__ import annotations

from typing import Any

import structlog
from django.http import Http404, HttpRequest, HttpResponse
from ninja import NinjaAPI
from ninja.errors import AuthenticationError, HttpError, ValidationError, ValidationErrorContext
from ninja.openapi.schema import OpenAPISchema
from pydantic import ValidationError as PydanticError

from apps.accounts.authentication import (
    CHALLENGE,
    ClientThrottle,
    KeyAuthentication,
    SessionAuthentication,
    client_name,
)
from apps.core.dispatcher import invalid_input
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
from apps.core.http import StrictParser
from apps.core.openapi import complete
from apps.core.problems import from_status, problem_response, translated
from apps.core.rate_limit import api_limit, take_or_refuse
from apps.core.rooms import modules
from apps.core.validation_messages import plain

logger = structlog.get_logger(__name__)

# What ninja calls the model of an answer: if that does not validate, the fault is not the client's.
RESPONSE_MODEL = "NinjaResponseSchema"


class BallastAPI(NinjaAPI):
    """NinjaAPI whose OpenAPI document names every problem and every action; it is made once a process."""

    _document: OpenAPISchema | None = None

    def validation_error_from_error_contexts(
        self, error_contexts: list[ValidationErrorContext[Any]]
    ) -> ValidationError:
        """Ninja's own, in plain words; it alone knows the model, and with it the keys that there are."""
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
    description="SLO recommendations, decisions and their proof. Ratios are 0..1, times ISO 8601 in UTC.",
    urls_namespace="api",
    docs_url="/docs",
    auth=[KeyAuthentication(), SessionAuthentication()],
    throttle=[ClientThrottle()],
    parser=StrictParser(),
)


@api.exception_handler(BallastError)
def expected(request: HttpRequest, error: BallastError) -> HttpResponse:
    if isinstance(error, NotSignedIn):
        # Guessing keys is counted against the address; the right key in the end has a bucket of its own.
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
    refusal = InvalidInput("Some of the values cannot be taken.", fields=fields)
    if count > MAX_FIELD_PROBLEMS:
        detail = f"{count:,} of the values cannot be taken. The first {MAX_FIELD_PROBLEMS} are named."
        refusal = InvalidInput(detail, fields=fields, extra={"error_count": count})
    return problem_response(refusal, request)


def _path(location: tuple[Any, ...]) -> str:
    """Return where in the request a fault is; the body's own name and that of its parameter are left out."""
    parts = [str(part) for part in location]
    if parts[0] == "body":
        return ".".join(parts[2:]) or "body"
    return ".".join(parts[1:]) or parts[0]


@api.exception_handler(PydanticError)
def invalid_model(request: HttpRequest, error: PydanticError) -> HttpResponse:
    if error.title == RESPONSE_MODEL:
        return unexpected(request, error)
    return problem_response(invalid_input(error, "Some of the values cannot be taken."), request)


@api.exception_handler(Http404)
def not_found(request: HttpRequest, error: Http404) -> HttpResponse:
    return problem_response(from_status(404), request)


@api.exception_handler(HttpError)
def bare_status(request: HttpRequest, error: HttpError) -> HttpResponse:
    if isinstance(error.__cause__, BallastError):  # what the parser said, which ninja wraps
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
# A route whose last part takes the rest of the path comes after all others, which it would hide.
for _room in _rooms:
    for _router in getattr(_room, "LAST_ROUTERS", ()):
        api.add_router("", _router)
