"""Each client has a limit, sees what is left of it, and is told when to come back."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from apps.accounts.models import User
from apps.core.redis import rate_limit
from apps.core.redis import watch as redis_watch
from tests.api.conftest import ClientFor, key_for, problem

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _three_at_once(settings: Any) -> None:
    settings.API_RATE_PER_MINUTE = 1
    settings.API_RATE_BURST = 3


def test_above_the_limit_a_client_is_told_when_to_come_back(api: Client) -> None:
    left = [api.get("/api/v1/actions")["RateLimit-Remaining"] for _ in range(3)]
    assert left == ["2", "1", "0"]
    response = api.get("/api/v1/actions")
    problem(response, 429)
    assert 0 < int(response["Retry-After"]) <= 60
    assert response["RateLimit-Limit"] == "3"


def test_each_key_has_its_own_limit(api: Client, client_for: ClientFor) -> None:
    for _ in range(4):
        api.get("/api/v1/actions")
    assert client_for("viewer").get("/api/v1/actions").status_code == 200
    other = Client(headers={"X-API-Key": key_for(User.objects.get(username="sre_admin-person"), "other")})
    assert other.get("/api/v1/actions").status_code == 200


def test_a_session_is_limited_by_its_person() -> None:
    user = User.objects.create_user("ada")
    statuses = []
    for _ in range(2):
        client = Client()
        client.force_login(user)
        statuses += [client.get("/api/v1/actions").status_code for _ in range(2)]
    assert statuses == [200, 200, 200, 429]


def test_guessing_keys_is_limited_by_address() -> None:
    statuses = [
        Client(headers={"X-API-Key": f"blst_guess{number}"}).get("/api/v1/actions").status_code
        for number in range(4)
    ]
    assert statuses == [401, 401, 401, 429]
    elsewhere = Client(headers={"X-API-Key": "blst_guess"}, REMOTE_ADDR="192.0.2.9")
    assert elsewhere.get("/api/v1/actions").status_code == 401


def test_the_limit_holds_while_redis_is_away(
    api: Client, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    monkeypatch.setattr(redis_watch, "breaker", redis_watch.new_breaker())
    monkeypatch.setattr(rate_limit, "_local", rate_limit.LocalBuckets())
    assert [api.get("/api/v1/actions").status_code for _ in range(4)] == [200, 200, 200, 429]


def test_the_probes_are_not_limited(client: Client) -> None:
    assert {client.get("/api/v1/health").status_code for _ in range(6)} == {200}
