"""What every request passes: a bound on its body, and errors turned into answers that people and programs can read."""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from apps.core.errors import BallastError, TooLarge
from apps.core.problems import error_page, problem_response

type GetResponse = Callable[[HttpRequest], HttpResponse]


class BodyLimitMiddleware:
    """Refuse a body above the limit before reading it."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        try:
            length = int(request.META.get("CONTENT_LENGTH") or 0)
        except ValueError:
            length = 0
        if length > settings.MAX_BODY_BYTES:
            megabytes = settings.MAX_BODY_BYTES // 1024 // 1024
            return problem_response(
                TooLarge(f"The body has {length:,} bytes; at most {megabytes} MB are taken at once. Send it in parts."),
                request,
            )
        return self.get_response(request)


class ProblemPagesMiddleware:
    """Show an expected error of a page as a page or, to htmx, as a fragment."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if not isinstance(exception, BallastError):
            return None
        if request.path.startswith("/api/"):
            return problem_response(exception, request)
        return error_page(exception, request)
