"""What the tests of telemetry share: a quiet Prometheus that the settings point at, people with roles."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import stamina
from pytest_django.fixtures import Settings

from apps.telemetry import sources
from tests.telemetry.prometheus_server import Server, serving
from tests.telemetry.test_prometheus_source import Fleet


@pytest.fixture
def fleet() -> Fleet:
    """What the Prometheus of the settings has; empty at first."""
    return Fleet("http_requests_total", "traces_service_graph_request_total")


@pytest.fixture
def prometheus(fleet: Fleet, settings: Settings) -> Iterator[Server]:
    """A server that answers as ``fleet`` says, named by the settings."""
    sources.telemetry_config.cache_clear()
    with serving(fleet) as server, stamina.set_testing(True, attempts=3, cap=True):
        settings.PROMETHEUS_URL = server.url
        yield server
    sources.telemetry_config.cache_clear()
