"""Makes the telemetry source that the settings name."""

from __future__ import annotations

import threading
from functools import cache

from django.conf import settings
from django.core.cache import cache as answers

from apps.core.errors import Conflict
from apps.core.resilience import CircuitBreaker
from apps.telemetry.clients.families import TelemetryConfig, load_config
from apps.telemetry.clients.last_good import LastGood
from apps.telemetry.clients.prometheus import PrometheusSource
from apps.telemetry.clients.prometheus_http import PrometheusHttp

_breakers: dict[str, CircuitBreaker] = {}
_breakers_lock = threading.Lock()


class NoSource(Conflict):
    """No telemetry source is set up. Trying again later does not help; setting one up does."""

    slug = "no-telemetry-source"
    title = "No telemetry source is set up"
    meaning = (
        "The request needs Prometheus, and `PROMETHEUS_URL` is not set. Files can be imported all the same."
    )


def is_configured() -> bool:
    """Whether there is a Prometheus to read from."""
    return bool(settings.PROMETHEUS_URL)


@cache
def telemetry_config() -> TelemetryConfig:
    """The metric families of the configuration file, read once a process."""
    return load_config(settings.CONFIG_FILE)


def breaker_for(url: str) -> CircuitBreaker:
    """The one breaker that this process has for an address."""
    with _breakers_lock:
        return _breakers.setdefault(url, CircuitBreaker(url))


def prometheus_source(
    *, serve_stale: bool = False, timeout_seconds: float | None = None, budget_seconds: float | None = None
) -> PrometheusSource:
    """Connect to the Prometheus of the settings; close the source after use.

    Parameters:
        serve_stale: for people who look: the last good answer, with its age, while the source is down.
        timeout_seconds: for one question with its retries, where the configured time is too long to wait.
        budget_seconds: for all questions together.

    Raises:
        NoSource: PROMETHEUS_URL is not set.
    """
    if not is_configured():
        raise NoSource(
            "PROMETHEUS_URL is not set. Set it to the address under which /api/v1/query lies, "
            "or import files: manage.py import_observations DIR."
        )
    config = telemetry_config()
    timeout = min(timeout_seconds or config.timeout_seconds, config.timeout_seconds)
    url = settings.PROMETHEUS_URL
    http = PrometheusHttp(
        url=url,
        breaker=breaker_for(url),
        last_good=LastGood(answers, f"{url}\n{settings.PROMETHEUS_ORG_ID}"),
        token=settings.PROMETHEUS_TOKEN,
        user=settings.PROMETHEUS_USER,
        password=settings.PROMETHEUS_PASSWORD,
        org_id=settings.PROMETHEUS_ORG_ID,
        timeout_seconds=timeout,
        connect_timeout_seconds=min(config.connect_timeout_seconds, timeout),
        read_timeout_seconds=min(config.read_timeout_seconds, timeout),
        max_bytes=config.max_answer_mb * 1024 * 1024,
        budget_seconds=budget_seconds,
    )
    return PrometheusSource(http, config, serve_stale=serve_stale)
