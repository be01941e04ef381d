"""Middleware that every request passes: request ids, a limit for bodies, readable errors."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from io import BytesIO

import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponse

from apps.core.errors import TooLarge
from apps.core.remembered import marks_read_once
from apps.core.web import views
from apps.core.web.http import REPLAYED_HEADER, is_api
from apps.core.web.problems import CONTENT_TYPE, error_page, from_status, problem_response, translated

type GetResponse = Callable[[HttpRequest], HttpResponse]

REQUEST_ID = re.compile(r"[\w.:/+=@-]{1,128}", re.ASCII)

logger = structlog.get_logger(__name__)


class ProbeMiddleware:
    """Answer the two probes before anything else: orchestrators send them often, in plain HTTP and by IP address."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response
        self.probes: dict[str, GetResponse] = {"/-/healthz": views.healthz, "/-/ready": views.ready}

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.probes.get(request.path_info, self.get_response)(request)


class RequestIdMiddleware:
    """Give every request an id that its log lines, audit entries and error answers carry.

    It is always made here, however many proxies are trusted: a client that chose its id could make entries look like
    part of another request. The client's own ``X-Request-ID`` is logged beside it as ``client_request_id``. Ours
    replaces it in the request's headers, where the middleware of the log finds it, and goes into the answer's headers.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        given = request.META.get("HTTP_X_REQUEST_ID", "")
        request_id = str(uuid.uuid4())
        request.META["HTTP_X_REQUEST_ID"] = request_id
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        if REQUEST_ID.fullmatch(given):
            structlog.contextvars.bind_contextvars(client_request_id=given)
        try:
            response = self.get_response(request)
            response["X-Request-ID"] = request_id
            return response
        finally:
            structlog.contextvars.clear_contextvars()


class BodyLimitMiddleware:
    """Refuse a body above the limit: unread where it announces its length, else as soon as it exceeds the limit."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        try:
            length = int(request.META.get("CONTENT_LENGTH") or 0)
        except ValueError:
            length = 0
        if length > settings.MAX_BODY_BYTES:
            return self._refuse(request, f"This one has {length:,} bytes")
        if "chunked" in request.headers.get("Transfer-Encoding", "").lower():
            # Django does not read a body without a length, so it is collected here, up to the limit.
            body = request.META["wsgi.input"].read(settings.MAX_BODY_BYTES + 1)
            if len(body) > settings.MAX_BODY_BYTES:
                return self._refuse(request, "This one has more")
            request.META["CONTENT_LENGTH"] = str(len(body))
            request._stream = BytesIO(body)
        return self.get_response(request)

    @staticmethod
    def _refuse(request: HttpRequest, what: str) -> HttpResponse:
        megabytes = settings.MAX_BODY_BYTES // 1024 // 1024
        response = problem_response(
            TooLarge(f"A body may have at most {megabytes} MB. {what}. Send it in parts."), request
        )
        response["Connection"] = "close"
        return response


class MarksMiddleware:
    """Read the marks of the tables (:mod:`apps.core.remembered`) once in each request that changes nothing."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.method not in ("GET", "HEAD"):
            return self.get_response(request)
        with marks_read_once():
            return self.get_response(request)


class ApiHeadersMiddleware:
    """Set the headers that say what is left of the client's limit and whether the answer is a replay."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        allowance = getattr(request, "rate_allowance", None)
        if allowance is not None:
            for name, value in allowance.headers.items():
                response.setdefault(name, value)
        if getattr(request, "idempotency_replayed", False):
            response[REPLAYED_HEADER] = "true"
        return response


class ProblemPagesMiddleware:
    """Answer an expected error with a page, to htmx with a fragment, to a program with a problem document."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        # Django answers unknown addresses and methods before any view runs.
        if (
            is_api(request)
            and response.status_code >= 400
            and not response.headers.get("Content-Type", "").startswith((CONTENT_TYPE, "application/json"))
        ):
            return problem_response(
                from_status(response.status_code, response.headers.get("Allow", "")), request
            )
        return response

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        error = translated(exception)
        if error is None:
            return None
        if error.status >= 500:
            logger.error("request.failed", status=error.status, error=repr(exception))
        return problem_response(error, request) if is_api(request) else error_page(error, request)


class ApiMethodsMiddleware:
    """Let every address of the API take OPTIONS, and HEAD where it takes GET, and say so in ``Allow``.

    HEAD is GET without the body, with the same permissions. OPTIONS names the methods of an address to anybody, because
    the OpenAPI document, which is public, names them too.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not is_api(request):
            return self.get_response(request)
        if request.method == "HEAD":
            return self._head(request)
        response = self.get_response(request)
        if response.status_code == 405 and "Allow" in response:
            methods = {method.strip() for method in response["Allow"].split(",")}
            methods |= {"HEAD", "OPTIONS"} if "GET" in methods else {"OPTIONS"}
            allow = ", ".join(sorted(methods))
            if request.method == "OPTIONS":
                return HttpResponse(status=204, headers={"Allow": allow})
            response["Allow"] = allow
        return response

    def _head(self, request: HttpRequest) -> HttpResponse:
        request.method = "GET"
        try:
            response = self.get_response(request)
        finally:
            request.method = "HEAD"
        if response.status_code == 405 and "Allow" in response:
            methods = {*response["Allow"].replace(" ", "").split(","), "OPTIONS"}
            response["Allow"] = ", ".join(sorted(methods))
        if response.streaming:
            response.streaming_content = []  # type: ignore[attr-defined]
        elif response.status_code != 405:
            response.headers.setdefault("Content-Length", str(len(response.content)))
            response.content = b""
        return response
