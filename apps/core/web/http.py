"""Read from a request who asks, from where, and with which idempotency key."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.http import HttpRequest
from django.utils.datastructures import MultiValueDict
from ninja import Status
from ninja.parser import Parser

from apps.core.actions import Actor, get
from apps.core.dispatcher import dispatch
from apps.core.errors import MAX_FIELD_PROBLEMS, FieldProblem, InvalidInput, NotAllowed, NotSignedIn
from apps.core.models import AuditEntry
from apps.core.web.addresses import forwarded_address, plain_address
from apps.core.web.problems import request_id

if TYPE_CHECKING:
    from apps.accounts.models import User

IDEMPOTENCY_HEADER = "Idempotency-Key"
REPLAYED_HEADER = "Idempotency-Replayed"
API_PREFIX = "/api/"
KNOWN_TO_OTHERS = "Change your password on the page Account first: somebody else knows it."

MAX_REQUEST_ID_LENGTH = 128
MAX_KEYS = 10_000
"""The most keys that one JSON object may have. Each unknown key costs a problem of its own."""

# JSON can express two things that PostgreSQL's text cannot hold: NUL and half of a surrogate pair.
_SUSPECT = re.compile(rb"\\u(0000|[dD][89a-fA-F])")


class SignedInRequest(HttpRequest):
    """A request of an authenticated caller. API endpoints get it unless they are public."""

    user: User


def client_ip(request: HttpRequest) -> str | None:
    """Return the client's address, from ``X-Forwarded-For`` where proxies are trusted; ``None`` on a Unix socket.

    Each of ``TRUSTED_PROXY_COUNT`` proxies has appended the address it saw to that header, so the client is that many
    places from the right. The client may have written everything further left itself.
    """
    address = request.META.get("REMOTE_ADDR", "")
    if settings.TRUSTED_PROXY_COUNT > 0:
        forwarded = request.headers.get("X-Forwarded-For", "")
        address = forwarded_address(forwarded, settings.TRUSTED_PROXY_COUNT) or address
    return plain_address(address)


def is_api(request: HttpRequest) -> bool:
    """Return whether a program asks. Programs get problem documents instead of pages."""
    return request.path.startswith(API_PREFIX)


def actor_from(request: HttpRequest) -> Actor:
    """Return the actor of this request.

    Raises :class:`NotSignedIn` where nobody is signed in, and :class:`NotAllowed` where a session asks the API whose
    person must change their password first.
    """
    user = request.user
    if not user.is_authenticated:
        raise NotSignedIn("Sign in, or send an API key in the header X-API-Key.")
    key = getattr(request, "api_key", None)
    if key is None and is_api(request) and user.must_change_password:
        raise NotAllowed(KNOWN_TO_OTHERS)
    return Actor.person(
        user,
        AuditEntry.Source.API if is_api(request) else AuditEntry.Source.WEB,
        ip=client_ip(request),
        request_id=request_id()[:MAX_REQUEST_ID_LENGTH],
        api_key_prefix=key.prefix if key is not None else "",
    )


def idempotency_key(request: HttpRequest) -> str | None:
    """Return the client's idempotency key, or ``None``. :func:`apps.core.idempotency.claim` checks its form."""
    return request.headers.get(IDEMPOTENCY_HEADER)


def dispatch_api(request: HttpRequest, action: str, data: Any) -> Status[dict[str, Any]]:
    """Run an action for an API request; return ``Status(status_code, value)`` for the endpoint to return.

    Honours ``Idempotency-Key``; a replayed answer carries ``Idempotency-Replayed: true`` (set by
    :class:`apps.core.web.middleware.ApiHeadersMiddleware`). Raises the errors of :mod:`apps.core.errors`.
    """
    result = dispatch(action, data, actor=actor_from(request), idempotency_key=idempotency_key(request))
    if result.replayed:
        request.idempotency_replayed = True  # type: ignore[attr-defined]
    return Status(get(action).success_status, result.value)


class StrictParser(Parser):
    """A parser of JSON as RFC 8259 defines it (no NaN or Infinity) that refuses text which the database cannot hold."""

    def parse_body(self, request: HttpRequest) -> Any:
        body = request.body
        data = json.loads(body, parse_constant=_refuse_constant, object_pairs_hook=_bounded)
        if _SUSPECT.search(body):
            _refuse_unstorable(data, "body")
        return data

    def parse_querydict(
        self, data: MultiValueDict[str, Any], list_fields: list[str], request: HttpRequest
    ) -> dict[str, Any]:
        parsed = super().parse_querydict(data, list_fields, request)
        _refuse_unstorable(parsed, "query")
        return parsed


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _bounded(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(pairs) > MAX_KEYS:
        raise InvalidInput(
            f"An object in the body has {len(pairs):,} keys; at most {MAX_KEYS:,} are possible."
        )
    return dict(pairs)


def is_storable(text: str) -> bool:
    """Return whether PostgreSQL can hold a text: it has no NUL and no half of a surrogate pair."""
    return "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


def _refuse_unstorable(data: Any, part: str) -> None:
    message = "holds a NUL or half of a surrogate pair"
    paths = islice(_unstorable(data), MAX_FIELD_PROBLEMS)
    problems = [FieldProblem(path or part, message) for path in paths]
    if problems:
        raise InvalidInput(f"The {part} holds text that cannot be stored.", fields=problems)


def _unstorable(data: Any) -> Iterator[str]:
    """Yield the paths of such texts, in the document's order. Uses a stack, because a document may be deep."""
    waiting = [("", data)]
    while waiting:
        path, value = waiting.pop()
        parts: list[tuple[str, Any]] = []
        if isinstance(value, str):
            if not is_storable(value):
                yield path
        elif isinstance(value, dict):
            parts = [(str(key), inner) for key, inner in value.items()]
            if not all(is_storable(key) for key, _ in parts):
                yield path
        elif isinstance(value, list):
            parts = [(str(index), inner) for index, inner in enumerate(value)]
        waiting += [(f"{path}.{key}" if path else key, inner) for key, inner in reversed(parts)]
