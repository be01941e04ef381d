"""Every action is also an endpoint: listed, previewed, run, and run once."""

from __future__ import annotations

import pytest
from django.test import Client

from apps.accounts.models import ApiKey, Team, User
from apps.catalog.models import Service
from apps.core.actions import offered_actions
from apps.core.models import AuditEntry
from tests.api.conftest import ClientFor, problem

pytestmark = pytest.mark.django_db
JSON = "application/json"
RUN = "/api/v1/actions/catalog.declare_service"
DECLARED = {"service_id": "grace", "criticality": "high"}


def test_all_are_listed_with_the_form_of_their_input(client_for: ClientFor) -> None:
    items = client_for("viewer").get("/api/v1/actions").json()["items"]
    assert [item["name"] for item in items] == [action.name for action in offered_actions()]
    by_name = {item["name"]: item for item in items}
    assert by_name["accounts.create_user"]["allowed"] is False
    assert by_name["accounts.create_api_key"]["allowed"] is True
    assert by_name["accounts.create_user"]["input_schema"]["required"] == ["username"]
    assert by_name["accounts.set_role"]["risk"] == "high"


def test_a_run_changes_and_says_from_where(api: Client) -> None:
    response = api.post(RUN, DECLARED, content_type=JSON)
    assert response.status_code == 201, response.content
    assert response.json()["criticality"] == "high"
    entry = AuditEntry.objects.get()
    key = ApiKey.objects.get()
    assert (entry.source, entry.actor_name, entry.api_key_prefix) == ("api", "sre_admin-person", key.prefix)
    assert entry.ip == "127.0.0.1"
    assert entry.request_id


def test_the_same_key_acts_once_and_says_that_it_is_a_replay(api: Client) -> None:
    headers = {"Idempotency-Key": "a-b-c"}
    first, second = (api.post(RUN, DECLARED, content_type=JSON, headers=headers) for _ in range(2))
    assert (first.status_code, second.status_code) == (201, 201)
    assert "Idempotency-Replayed" not in first
    assert second["Idempotency-Replayed"] == "true"
    assert first.json() == second.json()
    assert AuditEntry.objects.count() == 1


def test_the_same_key_for_another_request_is_a_conflict(api: Client) -> None:
    headers = {"Idempotency-Key": "a-b-c"}
    api.post(RUN, DECLARED, content_type=JSON, headers=headers)
    problem(api.post(RUN, {"service_id": "ada"}, content_type=JSON, headers=headers), 409)


def test_what_is_shown_once_is_not_shown_again() -> None:
    client = Client()
    client.force_login(User.objects.create_user("root", role="sre_admin"))
    headers = {"Idempotency-Key": "a-b-c"}
    path = "/api/v1/actions/accounts.create_user"
    first, second = (
        client.post(path, {"username": "grace"}, content_type=JSON, headers=headers) for _ in range(2)
    )
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json()["password"]
    assert second.json()["password"] is None


def test_a_preview_changes_nothing(api: Client) -> None:
    response = api.post(f"{RUN}/preview", DECLARED, content_type=JSON)
    assert response.status_code == 200
    assert response.json()["summary"] == "grace is new."
    assert not Service.objects.exists()
    assert not Team.objects.exists()
    assert not AuditEntry.objects.exists()


def test_a_preview_needs_the_same_permission(client_for: ClientFor) -> None:
    problem(client_for("auditor").post(f"{RUN}/preview", DECLARED, content_type=JSON), 403)
