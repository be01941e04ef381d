"""Talks to the HTTP API of Prometheus and of servers with the same API (Mimir, Thanos, VictoriaMetrics).

A question is a POST with timeouts for connecting, for silence and for the whole, and with a bounded body. It is
retried with jitter within its deadline; each attempt goes through the breaker. Every failure becomes an error of
:mod:`apps.telemetry.clients.errors`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx

from apps.core.resilience import (
    CircuitBreaker,
    CircuitOpen,
    Clock,
    Deadline,
    DeadlineExceeded,
    call_with_retries,
)
from apps.telemetry.clients.errors import (
    BadAnswer,
    SourceRefused,
    SourceTimeout,
    SourceUnavailable,
    TooMuchData,
)
from apps.telemetry.clients.prometheus.addresses import refuse_link_local
from apps.telemetry.clients.prometheus.bounded import bound, until
from apps.telemetry.clients.prometheus.dialects import partial_signs, without_remarks
from apps.telemetry.clients.prometheus.last_good import LastGood
from apps.telemetry.clients.prometheus.personal_data import scrubbed
from apps.telemetry.clients.prometheus.refusals import (
    CHECK_CREDENTIALS,
    CHECK_URL,
    bare_error,
    declared_error,
    excerpt,
    not_reached,
    retry_after,
)

UNSENDABLE = (
    "PROMETHEUS_TOKEN or PROMETHEUS_ORG_ID holds a character that cannot be sent. "
    "Both are plain text on one line."
)


@dataclass(frozen=True, slots=True)
class Answer:
    """A successful answer: ``data`` as the API defines it for the endpoint.

    ``age_seconds`` is above zero where the source is down and this is its last good answer; ``failure`` then says why
    the source could not be read.
    """

    data: Any
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    age_seconds: float = 0.0
    failure: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class PrometheusHttp:
    """A connection to one Prometheus. Use it as a context manager, or call :meth:`close`.

    Parameters:
        url: the address under which ``/api/v1/query`` lies, with a path prefix if there is one.
        token: sent as a bearer token; without one, user and password are sent if given.
        org_id: Mimir's tenant, sent as ``X-Scope-OrgID``.
        breaker: shared by all connections to the same address in this process.
        last_good: keeps answers for the time when the source is down.
        timeout_seconds: the longest time for one question with its retries.
        read_timeout_seconds: the longest silence within an answer.
        max_bytes: the largest body read, after decompression.
        budget_seconds: the longest time for all questions of this connection, where somebody waits for the answers.
        may_be_link_local: whether the address may be link-local, where clouds hand out credentials.
    """

    url: str
    breaker: CircuitBreaker
    last_good: LastGood
    token: str = field(default="", repr=False)
    user: str = ""
    password: str = field(default="", repr=False)
    org_id: str = ""
    timeout_seconds: float = 60.0
    connect_timeout_seconds: float = 5.0
    read_timeout_seconds: float = 30.0
    max_bytes: int = 64 * 1024 * 1024
    budget_seconds: float | None = None
    may_be_link_local: bool = True
    clock: Clock = time.monotonic
    _budget: Deadline | None = field(init=False, default=None, repr=False)
    _client: httpx.Client = field(init=False, repr=False)
    _failure: SourceUnavailable | None = field(init=False, default=None, repr=False)

    def __post_init__(self) -> None:
        if self.budget_seconds is not None:
            self._budget = Deadline(self.budget_seconds, self.clock)
        if not self.may_be_link_local:
            refuse_link_local(_host(self.url))
        headers = {"Accept": "application/json", "User-Agent": "ballast"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        if self.org_id:
            headers["X-Scope-OrgID"] = self.org_id
        try:
            client = httpx.Client(
                headers=headers,
                auth=httpx.BasicAuth(self.user, self.password) if self.user and not self.token else None,
                timeout=httpx.Timeout(
                    self.read_timeout_seconds,
                    connect=self.connect_timeout_seconds,
                    pool=self.connect_timeout_seconds,
                ),
                follow_redirects=False,
                limits=httpx.Limits(max_connections=4),
            )
        except UnicodeEncodeError:
            raise SourceRefused(UNSENDABLE) from None
        self._client = bound(client, may_be_link_local=self.may_be_link_local)

    def __enter__(self) -> PrometheusHttp:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def ask_nothing(self, why: SourceUnavailable) -> None:
        """Answer questions that have a ``stale_question`` only from kept answers, as if ``why`` had just happened."""
        self._failure = why

    def ask(
        self,
        path: str,
        form: Mapping[str, str | list[str]],
        *,
        method: str = "POST",
        stale_question: str | None = None,
    ) -> Answer:
        """Ask one question.

        Parameters:
            path: below ``/api/v1/``.
            form: the parameters; a list repeats its key for each item.
            stale_question: if given, a good answer is kept under this name and served while the source is down. Once
                the source is found down, this connection does not ask such questions again.

        Raises:
            SourceError: see :mod:`apps.telemetry.clients.errors`.
        """
        try:
            if stale_question is not None and self._failure is not None:
                # A person has waited for this source once; kept answers serve the rest.
                raise self._failure
            answer = self._ask_guarded(path, form, method)
        except SourceUnavailable as error:
            if stale_question is not None:
                self._failure = error
            kept = self.last_good.recall(stale_question) if stale_question is not None else None
            if kept is None:
                raise
            envelope, age = kept
            return _answer(envelope, age_seconds=max(age, 1e-3), failure=error.detail)
        if stale_question is not None:
            self.last_good.keep(
                stale_question,
                {"data": answer.data, "warnings": list(answer.warnings), "infos": list(answer.notes)},
            )
        return answer

    def _ask_guarded(self, path: str, form: Mapping[str, str | list[str]], method: str) -> Answer:
        deadline = Deadline(self._seconds_left(), self.clock)

        def attempt() -> Answer:
            with self.breaker.guard(counts=_speaks_against_the_source):
                return self._ask_once(path, form, method, deadline)

        try:
            return call_with_retries(
                attempt, retry_on=lambda error: _worth_another_try(error, deadline), deadline=deadline
            )
        except CircuitOpen as error:
            raise SourceUnavailable(f"{self.url} is not asked at the moment: {error}") from error

    def _seconds_left(self) -> float:
        if self._budget is None:
            return self.timeout_seconds
        left = self._budget.remaining()
        if left <= 0.0:
            raise SourceTimeout(
                f"{self.url} answers too slowly: the {self._budget.seconds:g} s for all questions are over. "
                "manage.py telemetry check waits longer."
            )
        return min(self.timeout_seconds, left)

    def _ask_once(
        self, path: str, form: Mapping[str, str | list[str]], method: str, deadline: Deadline
    ) -> Answer:
        address = f"{self.url.rstrip('/')}/api/v1/{path}"
        sent = {"data": form} if method == "POST" else {"params": form}
        try:
            with (
                until(deadline),
                self._client.stream(method, address, **sent) as response,  # type: ignore[arg-type]
            ):
                body = self._read(response, deadline)
        except (httpx.TimeoutException, DeadlineExceeded) as error:
            raise self._too_late(error, deadline) from error
        except httpx.InvalidURL as error:
            raise SourceRefused(f"PROMETHEUS_URL is not an address: {error}.") from error
        except httpx.UnsupportedProtocol as error:
            raise SourceRefused("PROMETHEUS_URL must begin with http:// or https://.") from error
        except httpx.LocalProtocolError as error:
            raise SourceRefused(UNSENDABLE) from error
        except httpx.HTTPError as error:
            raise not_reached(self.url, error) from error
        return self._understood(response, body)

    def _too_late(self, error: Exception, deadline: Deadline) -> SourceUnavailable:
        if isinstance(error, DeadlineExceeded) or deadline.remaining() <= 0.0:
            return SourceTimeout(
                f"{self.url}: {DeadlineExceeded(deadline.seconds)} Ask for less at a time, or raise "
                "telemetry.timeout_seconds."
            )
        if isinstance(error, httpx.ConnectTimeout | httpx.PoolTimeout):
            return SourceUnavailable(
                f"{self.url} cannot be reached: no connection within {self.connect_timeout_seconds:g} s. "
                "Check PROMETHEUS_URL and the network."
            )
        return SourceTimeout(
            f"{self.url} was silent for {self.read_timeout_seconds:g} s. "
            "Check that the address is right and the server is not overloaded."
        )

    def _read(self, response: httpx.Response, deadline: Deadline) -> bytes:
        parts: list[bytes] = []
        size = 0
        for part in response.iter_bytes():
            deadline.check()
            size += len(part)
            if size > self.max_bytes:
                raise TooMuchData(
                    f"{self.url} sent more than {self.max_bytes // (1024 * 1024)} MB for one query. "
                    "Raise telemetry.max_answer_mb if the server can take it.",
                    http_status=response.status_code,
                )
            parts.append(part)
        deadline.check()
        return b"".join(parts)

    def _understood(self, response: httpx.Response, body: bytes) -> Answer:
        status = response.status_code
        try:
            envelope = json.loads(body)
        except (ValueError, RecursionError):
            envelope = None
        if isinstance(envelope, dict) and envelope.get("status") == "error":
            raise declared_error(self.url, status, envelope, retry_after(response.headers))
        if status >= 300:
            raise bare_error(self.url, response, body)
        if not isinstance(envelope, dict) or envelope.get("status") != "success" or "data" not in envelope:
            raise BadAnswer(
                f"{self.url} answered {status}, but not as a Prometheus does ({excerpt(body)}). "
                f"{CHECK_URL}, and a sign-in page before it must let {CHECK_CREDENTIALS} through.",
                http_status=status,
            )
        return _answer(envelope, headers=response.headers)


def _answer(
    envelope: Mapping[str, Any],
    *,
    age_seconds: float = 0.0,
    failure: str = "",
    headers: Mapping[str, str] | None = None,
) -> Answer:
    warnings, remarks = without_remarks(_texts(envelope.get("warnings")))
    partial = partial_signs(envelope)
    return Answer(
        data=envelope["data"],
        warnings=(*warnings, partial) if partial else warnings,
        notes=(*_texts(envelope.get("infos")), *remarks),
        age_seconds=age_seconds,
        failure=failure,
        headers=headers or {},
    )


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""  # The first question reports what is wrong with the address.


def _texts(given: object) -> tuple[str, ...]:
    return tuple(scrubbed(str(text)) for text in given) if isinstance(given, list) else ()


def _worth_another_try(error: Exception, deadline: Deadline) -> bool | float:
    """Return whether to ask again, or after how many seconds. A time-out is not repeated."""
    if not isinstance(error, SourceUnavailable) or isinstance(error, SourceTimeout):
        return False
    if error.retry_after is None:
        return True
    return error.retry_after if error.retry_after < deadline.remaining() else False


def _speaks_against_the_source(error: Exception) -> bool:
    return isinstance(error, SourceUnavailable | BadAnswer)
