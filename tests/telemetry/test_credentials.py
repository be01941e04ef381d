"""Credentials in the address of the source are sent, and never shown."""

from __future__ import annotations

import httpx
import pytest

from apps.telemetry import sources
from console.settings import without_credentials

pytestmark = pytest.mark.django_db


def test_credentials_are_taken_out_of_the_address() -> None:
    bare = ("http://prometheus:9090/prom", "", "")
    assert without_credentials("http://prometheus:9090/prom") == bare
    assert without_credentials("https://me:p%40ss@[::1]:9090/x?a=1") == (
        "https://[::1]:9090/x?a=1",
        "me",
        "p@ss",
    )


def test_they_are_sent_as_basic_authentication(settings: pytest.FixtureRequest) -> None:
    settings.PROMETHEUS_URL = "http://127.0.0.1:9"  # type: ignore[attr-defined]
    settings.PROMETHEUS_USER, settings.PROMETHEUS_PASSWORD = "me", "p@ss"  # type: ignore[attr-defined]
    source = sources.prometheus_source()
    try:
        client = source.http._client
        assert isinstance(client.auth, httpx.BasicAuth)
        request = next(client.auth.auth_flow(httpx.Request("GET", "http://127.0.0.1:9")))
        assert request.headers["Authorization"] == "Basic bWU6cEBzcw=="
        assert "p@ss" not in repr(source.http)
    finally:
        source.close()
