"""Explains errors of a metric store, and names the setting to look at.

Every error is one line: what came back, why that may be, and what to do.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from apps.telemetry.clients.errors import SourceError, SourceRefused, SourceUnavailable, TooMuchData
from apps.telemetry.clients.prometheus.dialects import is_an_outage, is_over_a_limit
from apps.telemetry.clients.prometheus.personal_data import scrubbed

CHECK_URL = "PROMETHEUS_URL must be the address under which /api/v1/query is found"
CHECK_CREDENTIALS = "PROMETHEUS_TOKEN and PROMETHEUS_ORG_ID"
#: How much of an error page a message repeats.
_EXCERPT_CHARACTERS = 200
#: Texts of the different servers for a query that is too large.
_TOO_MUCH = (
    "too many samples",
    "exceeded maximum resolution",
    "max-fetched",
    "maximum number of series",
    "limit of",
    "would load too many",
    "the query hit the",
    "max_samples",
    "too large",
)
#: Words in errors about a tenant: Mimir's "no org id", "tenant ID … contains unsupported character".
_TENANT = ("org id", "orgid", "tenant")
_TITLE = re.compile(rb"<title[^>]*>([^<]{1,120})", re.IGNORECASE)


def excerpt(body: bytes) -> str:
    """Return the beginning of an answer for a message; of a web page, its title."""
    if body.lstrip()[:1] == b"<":
        title = _TITLE.search(body[: 64 * 1024])
        words = _line(title.group(1)) if title else ""
        return f"a web page titled {words!r}" if words else f"a web page: {_line(body)}"
    return _line(body) or "an empty body"


def _line(text: bytes) -> str:
    words = " ".join(text[: _EXCERPT_CHARACTERS * 4].decode("utf-8", "replace").split())
    return scrubbed("".join(one for one in words if one.isprintable())[:_EXCERPT_CHARACTERS])


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return how many seconds a server asks to be left alone (RFC 9110, 10.2.3; given in seconds or as a date)."""
    text = headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdecimal() and len(text) < 10:
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())


def declared_error(
    url: str, status: int, envelope: Mapping[str, Any], wait: float | None = None
) -> SourceError:
    """Return the error for an error in the envelope of the API."""
    kind = str(envelope.get("errorType", "unknown"))
    text = " ".join(scrubbed(str(envelope.get("error", "")))[: _EXCERPT_CHARACTERS * 2].split())
    answer = f"{url} answered {status} {kind}: {text}"
    whole = str(envelope.get("error", ""))
    if is_an_outage(whole):
        return SourceUnavailable(
            f"{answer}. A part of the server does not answer.", http_status=status, retry_after=wait
        )
    if (
        kind in {"timeout", "canceled"}
        or is_over_a_limit(whole)
        or any(sign in text.lower() for sign in _TOO_MUCH)
    ):
        return TooMuchData(f"{answer}. Fewer services or hours at a time may pass.", http_status=status)
    known = _known_status(answer, status, text, wait)
    if known is not None:
        return known
    if status >= 500:
        return SourceUnavailable(
            f"{answer}. The server has a problem of its own.", http_status=status, retry_after=wait
        )
    return SourceRefused(f"{answer}. Check the metric families in the configuration.", http_status=status)


def bare_error(url: str, response: httpx.Response, body: bytes) -> SourceError:
    """Return the error for a status code without the envelope of the API: from a proxy, a gateway or a sign-in page."""
    status = response.status_code
    text = excerpt(body)
    answer = f"{url} answered {status} {response.reason_phrase} ({text})"
    wait = retry_after(response.headers)
    known = _known_status(answer, status, text, wait)
    if known is not None:
        return known
    if status == 404:
        return SourceRefused(f"{answer}. {CHECK_URL} (for Mimir usually …/prometheus).", http_status=status)
    if status == 413 or (status == 422 and any(sign in text.lower() for sign in _TOO_MUCH)):
        return TooMuchData(f"{answer}. Fewer services or hours at a time may pass.", http_status=status)
    if status >= 500:
        return SourceUnavailable(
            f"{answer}. The server or a proxy before it has a problem.", http_status=status, retry_after=wait
        )
    if status < 400:
        target = _line(response.headers.get("Location", "").encode()) or "nowhere"
        return SourceRefused(
            f"{url} answered {status} and redirects to {target}, which is not followed. If Prometheus is there, "
            f"that is the address for PROMETHEUS_URL; if it is a sign-in page, check {CHECK_CREDENTIALS}.",
            http_status=status,
        )
    if "HTTP request to an HTTPS server" in text:
        return SourceRefused(f"{answer}. Write https:// in PROMETHEUS_URL.", http_status=status)
    return SourceRefused(f"{answer}. {CHECK_URL}.", http_status=status)


def _known_status(answer: str, status: int, text: str, wait: float | None) -> SourceError | None:
    if status == 429:
        asked = "; try again later" if wait is None else f" and asks to wait {wait:.0f} s"
        return SourceUnavailable(
            f"{answer}. The server limits its clients{asked}.", http_status=status, retry_after=wait
        )
    if status < 500 and any(sign in text.lower() for sign in _TENANT):
        return SourceRefused(
            f"{answer}. PROMETHEUS_ORG_ID must name a tenant that the server knows.", http_status=status
        )
    if status in {401, 403}:
        return SourceRefused(f"{answer}. Check {CHECK_CREDENTIALS}.", http_status=status)
    return None


def not_reached(url: str, error: httpx.HTTPError) -> SourceError:
    """Return the error for a missing answer: the server is not reachable, or speaks another protocol."""
    text = " ".join(str(error).split()) or type(error).__name__
    if "CERTIFICATE_VERIFY_FAILED" in text:
        reason = text.split("certificate verify failed: ")[-1].split(" (_ssl")[0]
        return SourceRefused(
            f"{url} shows a certificate that is not trusted here ({reason}). Name your authority's certificates in "
            "SSL_CERT_FILE, and the host in PROMETHEUS_URL as the certificate does."
        )
    if "[SSL" in text:
        return SourceRefused(f"{url} does not speak TLS ({text}). Does it want http:// instead of https://?")
    if isinstance(error, httpx.RemoteProtocolError) and url.startswith("http://"):
        return SourceUnavailable(
            f"{url} closed the connection without an answer in HTTP ({text}). Does it want https:// instead?"
        )
    return SourceUnavailable(
        f"{url} cannot be reached ({type(error).__name__}: {text}). Check PROMETHEUS_URL and the network."
    )
