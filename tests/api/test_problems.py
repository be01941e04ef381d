"""Every way in which a request can fail is answered with a problem document."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client

from apps.accounts import api_keys
from apps.accounts.models import ApiKey, User

pytestmark = pytest.mark.django_db


@pytest.fixture
def user() -> User:
    return User.objects.create_user("ada", role=User.Role.SRE_ADMIN)


@pytest.fixture
def key(user: User) -> str:
    made = api_keys.make()
    ApiKey.objects.create(user=user, name="tests", prefix=made.prefix, key_hash=made.key_hash)
    return made.raw


def problem(response: Any, status: int) -> dict[str, Any]:
    assert response.status_code == status, response.content
    assert response["Content-Type"] == "application/problem+json"
    document: dict[str, Any] = json.loads(response.content)
    assert document["status"] == status
    assert document["request_id"]
    assert {"type", "title", "detail", "instance"} <= set(document)
    return document


def test_a_stranger_is_asked_for_a_key(client: Client) -> None:
    response = client.get("/api/v1/actions")
    problem(response, 401)
    assert response["WWW-Authenticate"].startswith("ApiKey")


def test_an_unknown_key_is_refused_even_with_a_session(client: Client, user: User) -> None:
    client.force_login(user)
    problem(client.get("/api/v1/actions", headers={"X-API-Key": "blst_nonsense"}), 401)


def test_a_session_without_csrf_token_cannot_change_anything(user: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(user)
    assert client.get("/api/v1/actions").status_code == 200
    problem(client.post("/api/v1/actions/nothing", {}, content_type="application/json"), 403)


def test_a_key_needs_no_csrf_token(key: str) -> None:
    client = Client(enforce_csrf_checks=True, headers={"X-API-Key": key})
    problem(client.post("/api/v1/actions/nothing", {}, content_type="application/json"), 404)


def test_an_address_that_nobody_serves_is_a_problem(client: Client) -> None:
    problem(client.get("/api/v1/no/such/thing"), 404)


def test_a_method_that_is_not_served_is_a_problem_that_names_the_others(client: Client) -> None:
    response = client.delete("/api/v1/health")
    problem(response, 405)
    assert response["Allow"] == "GET"


@pytest.mark.parametrize("body", ["{", "[1,", '{"a": NaN}', '{"a": Infinity}', "", "\xff"])
def test_a_body_that_is_no_json_is_a_problem(client: Client, key: str, body: str) -> None:
    response = client.post(
        "/api/v1/actions/nothing",
        body.encode("latin-1") or b" ",
        content_type="application/json",
        headers={"X-API-Key": key},
    )
    problem(response, 400)
