"""The edge's own answers: the probes' documents, and refusals for programs and for people."""

from __future__ import annotations

import html
import json
import uuid
from email.utils import formatdate

from apps.core.errors import BallastError

API_PREFIX = "/api/"
PROBLEM_TYPE = "/docs/problems#"
type Headers = list[tuple[bytes, bytes]]

_PAGE = """<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <title>{title} · Ballast</title>
  <link rel="stylesheet" href="/static/ballast.css">
</head>
<body>
<main class="alone stack" data-problem>
  <h1>{title}</h1>
  <div class="state error"><p class="state-title">{detail}</p></div>
</main>
</body>
</html>
"""


def refusal(error: BallastError, path: str) -> tuple[int, Headers, bytes]:
    """Return status, headers and body of a refusal: a problem document below ``/api/``, else a page."""
    if path.startswith(API_PREFIX):
        document = {
            "type": PROBLEM_TYPE + error.slug,
            "title": error.title,
            "status": error.status,
            "detail": error.detail,
            "instance": path,
            "request_id": str(uuid.uuid4()),
        }
        body, kind = json.dumps(document).encode(), b"application/problem+json"
    else:
        page = _PAGE.format(title=html.escape(error.title), detail=html.escape(error.detail))
        body, kind = page.encode(), b"text/html; charset=utf-8"
    more = [(name.lower().encode(), value.encode()) for name, value in error.headers.items()]
    return error.status, [*_headers(kind, body), *more], body


def document(status: int, content: dict[str, object]) -> tuple[int, Headers, bytes]:
    """Return status, headers and body of a probe's answer."""
    body = json.dumps(content).encode()
    return status, _headers(b"application/json", body), body


def _headers(kind: bytes, body: bytes) -> Headers:
    return [
        (b"date", formatdate(usegmt=True).encode()),
        (b"content-type", kind),
        (b"content-length", b"%d" % len(body)),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
        (b"x-frame-options", b"DENY"),
        (b"content-security-policy", b"default-src 'none'; style-src 'self'; frame-ancestors 'none'"),
    ]
