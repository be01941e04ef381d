"""The two probes, answered without session, host check or log line."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from apps.core import queries


@never_cache
@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    return JsonResponse(queries.liveness())


@never_cache
@require_safe
def ready(request: HttpRequest) -> HttpResponse:
    readiness = queries.readiness()
    return JsonResponse(readiness.document, status=readiness.http_status)
