"""Liveness touches nothing; readiness needs PostgreSQL and its migrations, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection, connections
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from apps.core.web.shortcomings import shortcomings

ALIVE = ["/-/healthz", "/api/v1/health"]
READY = ["/-/ready", "/api/v1/health/ready"]


@pytest.mark.parametrize("path", ALIVE)
def test_liveness_asks_nobody(client: Client, path: str, settings: Any) -> None:
    # Without access to the database this test would fail if it were asked.
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    response = client.get(path)
    assert response.status_code == 200
    assert response.json() == {"status": "alive", "checks": {}}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("path", READY)
def test_it_is_ready(client: Client, path: str) -> None:
    response = client.get(path)
    assert response.status_code == 200
    assert response.json() == {
        "status": "ready",
        "checks": {
            "postgresql": "ok",
            "migrations": "ok",
            "audit": "ok",
            "redis": "ok",
            "outbox": "ok",
            "clock": "ok",
            "disk": "ok",
        },
    }


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("path", READY)
def test_without_redis_it_is_degraded_but_ready(client: Client, path: str, settings: Any) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    response = client.get(path)
    assert response.status_code == 200
    assert response.json()["status"] == "degraded"
    assert response.json()["checks"]["redis"] == "does not answer"


@pytest.fixture
def unapplied() -> Iterator[None]:
    """A database that one migration has not reached; its owner, who migrates, sees to that."""
    with connections["owner"].cursor() as cursor:
        cursor.execute(
            "DELETE FROM django_migrations WHERE app = 'core' AND name LIKE '0001%' RETURNING app, name, applied"
        )
        row = cursor.fetchone()
    yield
    with connections["owner"].cursor() as cursor:
        cursor.execute("INSERT INTO django_migrations (app, name, applied) VALUES (%s, %s, %s)", row)


@pytest.mark.django_db(transaction=True, databases=["default", "owner"])
@pytest.mark.usefixtures("unapplied")
@pytest.mark.parametrize("path", READY)
def test_it_is_not_ready_before_its_migrations(client: Client, path: str) -> None:
    response = client.get(path)
    assert response.status_code == 503
    assert response.json()["checks"]["migrations"] == "1 not applied"


@pytest.mark.django_db
@pytest.mark.parametrize("path", READY)
def test_it_is_not_ready_without_its_database(
    client: Client, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The parts that are asked know the server by these settings; nobody listens at that port.
    monkeypatch.setitem(connection.settings_dict, "PORT", "1")
    response = client.get(path)
    assert response.status_code == 503
    assert response.json()["status"] == "unavailable"
    assert response.json()["checks"]["postgresql"] == "does not answer"
    assert "refused" not in response.content.decode()


@pytest.mark.django_db
def test_readiness_takes_no_connection_of_the_pages(
    client: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_num_queries(0):
        assert client.get("/-/ready").json()["checks"]["postgresql"] == "ok"


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/-/healthz", "/-/ready"])
def test_an_orchestrator_may_ask_by_address(client: Client, path: str, settings: Any) -> None:
    settings.ALLOWED_HOSTS = ["ballast.example"]
    settings.SECURE_SSL_REDIRECT = True
    assert client.get(path, headers={"Host": "10.1.2.3:8000"}).status_code == 200


@pytest.mark.parametrize("path", ["/-/healthz", "/-/ready"])
def test_a_probe_takes_no_post(client: Client, path: str) -> None:
    assert client.post(path).status_code == 405


@pytest.mark.django_db
def test_where_nothing_is_lacking_no_page_says_so(settings: Any) -> None:
    settings.DATA_DIR_MIN_FREE_BYTES = 0
    assert shortcomings() == []
    settings.DATA_DIR_MIN_FREE_BYTES = 1 << 62
    (found,) = shortcomings()
    assert found.startswith("Disk space is running out: only ")
