"""People with a role, their keys, and a client that sends one."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client

from apps.accounts import api_keys
from apps.accounts.models import ApiKey, User

type ClientFor = Callable[[str], Client]


def key_for(user: User, name: str = "tests") -> str:
    """Make a key and return it raw."""
    made = api_keys.make()
    ApiKey.objects.create(user=user, name=name, prefix=made.prefix, key_hash=made.key_hash)
    return made.raw


@pytest.fixture
def client_for(db: None) -> ClientFor:
    """A client whose key belongs to a new user of that role."""

    def make(role: str) -> Client:
        user = User.objects.create_user(f"{role}-person", role=role)
        return Client(headers={"X-API-Key": key_for(user)}, enforce_csrf_checks=True)

    return make


@pytest.fixture
def api(client_for: ClientFor) -> Client:
    """An SRE admin's client."""
    return client_for("sre_admin")


def problem(response: Any, status: int) -> dict[str, Any]:
    """Check that an answer is a problem document of that status, and return it."""
    assert isinstance(response, HttpResponse)
    assert response.status_code == status, response.content
    assert response["Content-Type"] == "application/problem+json"
    document: dict[str, Any] = json.loads(response.content)
    assert document["status"] == status
    assert {"type", "title", "detail", "instance", "request_id"} <= set(document)
    return document
