"""Makes the telemetry source: the one that the settings name, otherwise the one that a person connected."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

import structlog
from django.conf import settings
from django.core.cache import cache as answers

from apps.core.errors import Conflict, InvalidInput
from apps.core.resilience import Bulkhead, BulkheadFull, CircuitBreaker
from apps.telemetry.clients.errors import SourceUnavailable
from apps.telemetry.clients.prometheus.families import TelemetryConfig, load_config
from apps.telemetry.clients.prometheus.http import PrometheusHttp
from apps.telemetry.clients.prometheus.last_good import LastGood
from apps.telemetry.clients.prometheus.source import PrometheusSource
from apps.telemetry.models import FamilySet
from apps.telemetry.setup import sealing, stored

logger = structlog.get_logger(__name__)

#: How many threads of one process may wait for a telemetry source at once, for people who look at it.
places = Bulkhead("the telemetry source", places=1, wait_seconds=0.25)

_breakers: dict[str, CircuitBreaker] = {}
_breakers_lock = threading.Lock()


class NoSource(Conflict):
    """No telemetry source is set up. Trying again later does not help; setting one up does."""

    slug = "no-telemetry-source"
    title = "No telemetry source is set up"
    meaning = (
        "The request needs Prometheus, and there is none: `PROMETHEUS_URL` is not set, and nobody has "
        "connected one. "
        "Files can still be imported."
    )


class SecretUnreadable(Conflict):
    """The token or password that somebody stored was encrypted under another SECRET_KEY."""

    slug = "telemetry-secret-unreadable"
    title = "The stored token cannot be read"
    meaning = (
        "`SECRET_KEY` has changed since the telemetry source was connected. Connect it again, or add "
        "the former secret to "
        "`SECRET_KEY_FALLBACKS`."
    )


@dataclass(frozen=True, slots=True)
class Connection:
    """How to reach a Prometheus, and whether the environment or a person says so."""

    url: str
    token: str = field(default="", repr=False)
    user: str = ""
    password: str = field(default="", repr=False)
    org_id: str = ""
    given_by: Literal["environment", "person"] = "person"


def address() -> str:
    """Return the source's address, or an empty text. This opens no secret."""
    if settings.PROMETHEUS_URL:
        return str(settings.PROMETHEUS_URL)
    found = stored.newest_connection()
    return found.url if found else ""


def is_configured() -> bool:
    """Return whether there is a Prometheus to read from."""
    return bool(address())


def connection() -> Connection | None:
    """Return the connection of the environment, which wins as a whole, or the stored one.

    Secrets of the environment are never sent to an address that a person typed in.

    Raises:
        SecretUnreadable: the stored secrets cannot be decrypted.
    """
    if settings.PROMETHEUS_URL:
        return Connection(
            settings.PROMETHEUS_URL,
            settings.PROMETHEUS_TOKEN,
            settings.PROMETHEUS_USER,
            settings.PROMETHEUS_PASSWORD,
            settings.PROMETHEUS_ORG_ID,
            "environment",
        )
    found = stored.newest_connection()
    if found is None:
        return None
    try:
        token, password = sealing.unseal(found.sealed_token), sealing.unseal(found.sealed_password)
    except sealing.Unreadable as error:
        raise SecretUnreadable(
            f"The token or password for {found.url} cannot be read. {error} Connect it again under Telemetry, Set up."
        ) from error
    return Connection(found.url, token, found.user, password, found.org_id)


class _Config:
    """The metric families in use: presets, the file's and the stored ones. They are made once for each stored version.

    Every process asks for the newest version whenever it needs the families, so a change needs no restart.
    """

    def __call__(self) -> TelemetryConfig:
        return _config(stored.families_version())

    def cache_clear(self) -> None:
        """Forget the families, so that the file is read again."""
        _config.cache_clear()


telemetry_config = _Config()


@lru_cache(maxsize=4)
def _config(version: int) -> TelemetryConfig:
    below = load_config(settings.CONFIG_FILE)
    found = stored.family_set(version)
    if found is None:
        return below
    try:
        return with_families(below, found)
    except InvalidInput as error:
        # An upgrade may reject stored families. Reading by the file and the presets is better than not reading.
        logger.error("telemetry.stored_families_unusable", version=version, error=error.detail)
        return below


def with_families(below: TelemetryConfig, found: FamilySet) -> TelemetryConfig:
    """Return a configuration with a stored set of families over it.

    Raises:
        InvalidInput: the set cannot be used.
    """
    own = found.by_name
    given = [name for name in found.order if name in own or name in below.families]
    order = given or [*own, *(name for name in below.order if name not in own)]
    return load_config(settings.CONFIG_FILE, {"families": own, "order": order})


class SourceBusy(SourceUnavailable):
    """The most threads of this process that may wait for a telemetry source already do."""


@contextmanager
def place() -> Iterator[None]:
    """Hold the one place at which a web process waits for a telemetry source, so that pages keep their threads.

    Raises:
        SourceBusy: somebody else holds it.
    """
    try:
        with places.place():
            yield
    except BulkheadFull:
        raise SourceBusy(
            "The telemetry source is slow, and another request is waiting for it. Try again in a few seconds."
        ) from None


def breaker_for(url: str) -> CircuitBreaker:
    """Return this process's breaker for an address."""
    with _breakers_lock:
        return _breakers.setdefault(url, CircuitBreaker(url))


def http_to(
    where: Connection,
    config: TelemetryConfig,
    *,
    timeout_seconds: float | None = None,
    budget_seconds: float | None = None,
    is_apart: bool = False,
) -> PrometheusHttp:
    """Connect to an address; close it after use.

    Parameters:
        is_apart: give it a breaker of its own, so that a trial cannot stop others from reading.
    """
    timeout = min(timeout_seconds or config.timeout_seconds, config.timeout_seconds)
    return PrometheusHttp(
        url=where.url,
        breaker=CircuitBreaker(where.url) if is_apart else breaker_for(where.url),
        last_good=LastGood(answers, f"{where.url}\n{where.org_id}"),
        token=where.token,
        user=where.user,
        password=where.password,
        org_id=where.org_id,
        timeout_seconds=timeout,
        connect_timeout_seconds=min(config.connect_timeout_seconds, timeout),
        read_timeout_seconds=min(config.read_timeout_seconds, timeout),
        max_bytes=config.max_answer_mb * 1024 * 1024,
        budget_seconds=budget_seconds,
        may_be_link_local=where.given_by == "environment",
    )


def required() -> Connection:
    """Return the connection in use.

    Raises:
        NoSource: there is none.
    """
    where = connection()
    if where is None:
        raise NoSource(
            "There is no Prometheus to read from: PROMETHEUS_URL is not set, and nobody has connected "
            "one under Telemetry, Set "
            "up. Or import files: manage.py import_observations DIR."
        )
    return where


def prometheus_source(
    *, serve_stale: bool = False, timeout_seconds: float | None = None, budget_seconds: float | None = None
) -> PrometheusSource:
    """Connect to the Prometheus that is set up; close the source after use.

    Parameters:
        serve_stale: show people the last good answer, with its age, while the source is down.
        timeout_seconds: the longest time for one question with its retries; by default the configured time.
        budget_seconds: the longest time for all questions together.

    Raises:
        NoSource: none is set up.
        SecretUnreadable: its secrets cannot be decrypted.
    """
    where = required()
    config = telemetry_config()
    http = http_to(where, config, timeout_seconds=timeout_seconds, budget_seconds=budget_seconds)
    return PrometheusSource(http, config, serve_stale=serve_stale)
