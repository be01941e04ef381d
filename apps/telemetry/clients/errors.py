"""What can go wrong between Ballast and a telemetry source.

Errors::

    SourceError                 root; the detail says what happened and what to do
    ├── SourceUnavailable       no connection, a 5xx, or an open breaker: may pass by itself
    │   └── SourceTimeout       no complete answer in time
    ├── SourceRefused           the source declines: the query or the set-up is wrong
    │   └── TooMuchData         one answer would be too large: ask for less at a time
    └── BadAnswer               the answer is not what the API specifies (a sign-in page, a proxy's error page)
"""

from __future__ import annotations

from apps.core.errors import Unavailable


class SourceError(Unavailable):
    """Root of the errors of telemetry sources.

    Parameters:
        detail: what happened and what to do, in words.
        http_status: the status code that the source answered with, where there was one.
    """

    slug = "telemetry-source"
    title = "The telemetry source cannot be read"
    meaning = (
        "Prometheus does not answer, refuses the query, or answers with what cannot be read; the "
        "detail says which."
    )

    def __init__(self, detail: str, *, http_status: int | None = None) -> None:
        super().__init__(detail)
        self.http_status = http_status


class SourceUnavailable(SourceError):
    """No connection, an error of the server, or an open breaker.

    Parameters:
        retry_after: how many seconds the source asks to be left alone, where it says so.
    """

    def __init__(
        self, detail: str, *, http_status: int | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(detail, http_status=http_status)
        self.retry_after = retry_after


class SourceTimeout(SourceUnavailable):
    """No complete answer within the time given."""


class SourceRefused(SourceError):
    """The source declines the request, and would decline a repeat too."""


class TooMuchData(SourceRefused):
    """The answer is over a limit of the source or of Ballast."""


class BadAnswer(SourceError):
    """Something answers, but not with the expected API."""
