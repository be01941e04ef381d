"""Liveness touches nothing; readiness needs PostgreSQL and its migrations, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection, connections
from django.db.utils import OperationalError
from django.test import Client
from pytest_django import DjangoAssertNumQueries

ALIVE = ["/-/healthz", "/api/v1/health"]
READY = ["/-/ready", "/api/v1/health/ready"]


@pytest.mark.parametrize("path", ALIVE)
def test_liveness_asks_nobody(client: Client, path: str, settings: Any) -> None:
    # Without access to the database this test would fail if it were asked.
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    response = client.get(path)
    assert response.status_code == 200
    assert response.json() == {"status": "alive", "checks": {}}


@pytest.mark.django_db
@pytest.mark.parametrize("path", READY)
def test_it_is_ready(client: Client, path: str) -> None:
    response = client.get(path)
    assert response.status_code == 200
    assert response.json() == {
        "status": "ready",
        "checks": {"postgresql": "ok", "migrations": "ok", "redis": "ok", "outbox": "ok"},
    }


@pytest.mark.django_db
@pytest.mark.parametrize("path", READY)
def test_without_redis_it_is_degraded_but_ready(client: Client, path: str, settings: Any) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    response = client.get(path)
    assert response.status_code == 200
    assert response.json()["status"] == "degraded"
    assert response.json()["checks"]["redis"] == "ConnectionError"


@pytest.fixture
def unmigrated(transactional_db: None) -> Iterator[None]:
    """A database that lacks one migration; only the owner can take the row away, and puts it back."""
    moved = "app, name, applied"
    with connections["owner"].cursor() as cursor:
        cursor.execute(
            f"DELETE FROM django_migrations WHERE app = 'core' AND name LIKE '0001%%' RETURNING {moved}"
        )
        row = cursor.fetchone()
        yield
        cursor.execute(f"INSERT INTO django_migrations ({moved}) VALUES (%s, %s, %s)", row)


@pytest.mark.django_db(transaction=True, databases=["default", "owner"])
@pytest.mark.parametrize("path", READY)
def test_it_is_not_ready_before_its_migrations(client: Client, path: str, unmigrated: None) -> None:
    response = client.get(path)
    assert response.status_code == 503
    assert response.json()["checks"]["migrations"] == "1 not applied"


@pytest.mark.django_db
@pytest.mark.parametrize("path", READY)
def test_it_is_not_ready_without_its_database(client: Client, path: str) -> None:
    def away(*args: Any) -> None:
        raise OperationalError("the server is away")

    with connection.execute_wrapper(away):
        response = client.get(path)
    assert response.status_code == 503
    assert response.json()["status"] == "unavailable"
    assert response.json()["checks"]["postgresql"] == "OperationalError"
    assert "away" not in response.content.decode()


@pytest.mark.django_db
def test_readiness_asks_the_database_little(
    client: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_max_num_queries(6):
        client.get("/-/ready")


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/-/healthz", "/-/ready"])
def test_an_orchestrator_may_ask_by_address(client: Client, path: str, settings: Any) -> None:
    settings.ALLOWED_HOSTS = ["ballast.example"]
    settings.SECURE_SSL_REDIRECT = True
    assert client.get(path, headers={"Host": "10.1.2.3:8000"}).status_code == 200


@pytest.mark.parametrize("path", ["/-/healthz", "/-/ready"])
def test_a_probe_takes_no_post(client: Client, path: str) -> None:
    assert client.post(path).status_code == 405
