"""Every way in which a request can fail is answered with a problem document."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.db import DataError, OperationalError
from django.http import HttpRequest
from django.test import Client

from apps.accounts.models import User
from apps.catalog.models import Service
from apps.core import actions
from apps.core.actions import Actor
from apps.core.errors import Conflict
from apps.core.web.problems import catalogue
from tests.api.conftest import ClientFor, problem

pytestmark = pytest.mark.django_db
JSON = "application/json"


def test_a_stranger_is_asked_for_a_key(client: Client) -> None:
    response = client.get("/api/v1/actions")
    assert problem(response, 401)["request_id"]
    assert response["WWW-Authenticate"].startswith("ApiKey")


def test_an_unknown_key_is_refused_even_with_a_session(client: Client) -> None:
    client.force_login(User.objects.create_user("ada"))
    problem(client.get("/api/v1/actions", headers={"X-API-Key": "blst_nonsense"}), 401)


def test_a_session_without_csrf_token_cannot_change_anything() -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(User.objects.create_user("ada", role="sre_admin"))
    assert client.get("/api/v1/actions").status_code == 200
    refusal = problem(client.post("/api/v1/actions/nothing", {}, content_type=JSON), 403)
    assert "CSRF" in refusal["detail"]


def test_a_session_with_its_csrf_token_can() -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(User.objects.create_user("ada", role="sre_admin"))
    client.get("/sign-in/")  # brings the cookie
    token = client.cookies["ballast_csrf"].value
    data = {"name": "ci"}
    response = client.post(
        "/api/v1/actions/accounts.create_api_key", data, content_type=JSON, headers={"X-CSRFToken": token}
    )
    assert response.status_code == 201


def test_a_key_needs_no_csrf_token(api: Client) -> None:
    problem(api.post("/api/v1/actions/nothing", {}, content_type=JSON), 404)


def test_an_address_that_nobody_serves_is_a_problem(client: Client) -> None:
    problem(client.get("/api/v1/no/such/thing"), 404)


def test_a_method_that_is_not_served_is_a_problem_that_names_the_others(client: Client) -> None:
    response = client.delete("/api/v1/health")
    problem(response, 405)
    assert response["Allow"] == "GET, HEAD, OPTIONS"


@pytest.mark.parametrize(
    "body", [b"{", b"[1,", b'{"a": NaN}', b'{"a": -Infinity}', b" ", b"\xff", b"[" * 9000]
)
def test_a_body_that_is_no_json_is_a_problem(api: Client, body: bytes) -> None:
    problem(api.post("/api/v1/actions/nothing", body, content_type=JSON), 400)


def test_a_body_of_the_wrong_shape_names_the_field(api: Client) -> None:
    response = api.post("/api/v1/actions/accounts.create_api_key", b"[]", content_type=JSON)
    assert problem(response, 422)["errors"][0]["path"] == "body"


def test_every_field_at_fault_is_named_by_its_path(api: Client) -> None:
    data = {"username": "", "role": "king", "teams": ["payments", 7], "colour": "red"}
    document = problem(api.post("/api/v1/actions/accounts.create_user", data, content_type=JSON), 422)
    assert {error["path"] for error in document["errors"]} == {"username", "role", "teams.1", "colour"}


def test_a_parameter_out_of_its_bounds_is_named(api: Client) -> None:
    document = problem(api.get("/api/v1/audit?limit=201&since=soon"), 422)
    assert {error["path"] for error in document["errors"]} == {"limit", "since"}


def test_a_role_that_may_not_is_told_which_may(client_for: ClientFor) -> None:
    response = client_for("viewer").post(
        "/api/v1/actions/accounts.create_user", {"username": "eve"}, content_type=JSON
    )
    assert "only an SRE admin" in problem(response, 403)["detail"]


def failing_with(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(actor: Actor, permission: str, target: Any = None) -> bool:
        raise error

    monkeypatch.setattr(actions.Actor, "may", fail)


def test_a_fault_of_our_own_tells_nothing_but_its_request_id(
    api: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing_with(monkeypatch, RuntimeError("the password is hunter2"))
    response = api.get("/api/v1/actions")
    assert problem(response, 500)["request_id"]
    assert b"hunter2" not in response.content


def test_a_database_that_is_away_is_not_available(api: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    failing_with(monkeypatch, OperationalError("no route to 10.0.0.5"))
    response = api.get("/api/v1/actions")
    problem(response, 503)
    assert response["Retry-After"] == "5"
    assert b"10.0.0.5" not in response.content


def test_a_database_that_is_away_before_the_key_is_read_is_not_available(
    api: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*args: Any) -> None:
        raise OperationalError("away")

    from django.db import connection

    with connection.execute_wrapper(away):
        problem(api.get("/api/v1/actions"), 503)


def test_a_database_that_is_away_is_not_called_our_fault_whoever_asks(client: Client) -> None:
    def away(*args: Any) -> None:
        raise OperationalError("no route to 10.0.0.5")

    from django.db import connection

    client.force_login(User.objects.create_user("ada"))
    client.raise_request_exception = False
    with connection.execute_wrapper(away):
        page = client.get("/services/?team=payments")
        problem(client.get("/api/v1/services"), 503)
    assert (page.status_code, page["Retry-After"]) == (503, "5")
    assert b"The database does not answer" in page.content
    assert b"/services/?team=payments" in page.content
    assert b"10.0.0.5" not in page.content


def test_a_value_that_the_database_cannot_hold_is_invalid(
    api: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing_with(monkeypatch, DataError("integer out of range"))
    problem(api.get("/api/v1/actions"), 422)


def test_a_conflict_shows_the_difference(api: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    failing_with(monkeypatch, Conflict("Grace was first.", extra={"difference": {"target": [0.99, 0.999]}}))
    assert problem(api.get("/api/v1/actions"), 409)["difference"] == {"target": [0.99, 0.999]}


def test_an_announced_body_above_the_limit_is_too_large(api: Client) -> None:
    response = api.post("/api/v1/actions/nothing", b" " * (10 * 1024 * 1024 + 1), content_type=JSON)
    assert "10 MB" in problem(response, 413)["detail"]


def test_a_page_shows_the_same_error_as_a_page(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(request: HttpRequest) -> None:
        raise Conflict("Grace was first.")

    client.force_login(User.objects.create_user("ada"))
    monkeypatch.setattr("apps.accounts.queries.keys_of", fail)
    page = client.get("/api-keys/")
    fragment = client.get("/api-keys/", headers={"HX-Request": "true"})
    assert page.status_code == fragment.status_code == 409
    assert b"Grace was first." in page.content
    assert b"Grace was first." in fragment.content
    assert b"<html" in page.content
    assert b"<html" not in fragment.content


def test_the_documentation_explains_every_kind_of_problem_in_the_words_of_the_code() -> None:
    page = (Path(__file__).parents[2] / "docs" / "problems.md").read_text()
    explained = {
        section.partition("\n")[0]: " ".join(section.partition("\n")[2].split())
        for section in page.split("\n## ")[1:]
    }
    assert explained == {kind.slug: f"{kind.status}. {kind.meaning}" for kind in catalogue()}


def test_the_type_of_a_problem_leads_to_its_explanation_whoever_asks(client: Client) -> None:
    page, anchor = problem(client.get("/api/v1/actions"), 401)["type"].split("#")
    shown = client.get(page)
    assert shown.status_code == 200
    assert f'id="{anchor}"' in shown.content.decode()
    client.force_login(User.objects.create_user("ada"))
    assert client.get(page).status_code == 200


def test_the_catalogue_shows_every_kind_of_problem(client: Client) -> None:
    body = client.get("/docs/problems").content.decode()
    kinds = catalogue()
    assert {"telemetry-source", "conflict", "bad-request"} <= {kind.slug for kind in kinds}
    assert all(kind.meaning and f'id="{kind.slug}"' in body for kind in kinds)
    assert "<code>ALLOWED_HOSTS</code>" in body


def test_an_answer_that_does_not_fit_its_own_model_is_our_fault(
    api: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(actions.Actor, "may", lambda actor, permission: "perhaps so")
    problem(api.get("/api/v1/actions"), 500)


def test_a_body_with_text_that_cannot_be_stored_names_the_field(api: Client) -> None:
    body = b'{"name": "a\\u0000b"}'
    response = api.post("/api/v1/actions/accounts.create_api_key", body, content_type=JSON)
    assert problem(response, 422)["errors"][0]["path"] == "name"


def test_of_many_fields_at_fault_some_are_named_and_all_counted(api: Client) -> None:
    data = {f"unknown_{number}": 1 for number in range(1_000)}
    document = problem(api.post("/api/v1/actions/accounts.create_user", data, content_type=JSON), 422)
    assert len(document["errors"]) == 300
    assert document["error_count"] == 1_001  # the name is missing, too
    assert "1,001" in document["detail"]


def test_of_many_fields_at_fault_in_a_declared_body_all_are_counted(api: Client) -> None:
    data = {f"unknown_{number}": 1 for number in range(1_000)}
    document = problem(api.post("/api/v1/slos/impact-analysis", data, content_type=JSON), 422)
    assert (len(document["errors"]), document["error_count"]) == (300, 1_002)


def test_a_body_whose_object_has_too_many_keys_is_refused(api: Client) -> None:
    data = {"unknown": {f"k{number}": 1 for number in range(10_001)}}
    document = problem(api.post("/api/v1/actions/accounts.create_user", data, content_type=JSON), 422)
    assert "10,001 keys" in document["detail"]
    assert "errors" not in document


def test_a_host_that_is_not_ours_is_refused_and_told_of_the_setting(client: Client) -> None:
    page = client.get("/sign-in/", headers={"host": "evil.example"})
    assert page.status_code == 400
    assert "&#x27;evil.example&#x27;" in page.content.decode()
    assert "ALLOWED_HOSTS" in page.content.decode()
    refusal = problem(client.get("/api/v1/services", headers={"host": "evil.example"}), 400)
    assert "'evil.example'" in refusal["detail"]
    assert "ALLOWED_HOSTS" in refusal["detail"]


def test_a_host_that_is_markup_stays_text(client: Client) -> None:
    page = client.get("/sign-in/", headers={"host": "<script>alert(1)</script>"})
    assert page.status_code == 400
    assert "<script>alert" not in page.content.decode()


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({"host": "evil.example"}, b"{}", 400),
        ({}, b"{", 400),
        ({}, b" " * (10 * 1024 * 1024 + 1), 413),
        ({"X-API-Key": "blst_nonsense"}, b"{}", 401),
    ],
)
def test_every_refusal_has_the_id_of_its_request(
    api: Client, headers: dict[str, str], body: bytes, status: int
) -> None:
    ids = set()
    for _ in range(2):
        response = api.post("/api/v1/actions/nothing", body, content_type=JSON, headers=headers)
        ids.add(problem(response, status)["request_id"])
    assert len(ids) == 2
    assert all(ids)


def test_an_unknown_key_is_told_which_there_are(api: Client) -> None:
    Service.objects.create(service_id="api")
    data = {"action": "modify", "modifications": {"availability": 0.999}}
    document = problem(api.post("/api/v1/services/api/slos", data, content_type=JSON), 422)
    assert document["errors"] == [
        {
            "path": "modifications.availability",
            "message": "is not known here; there is availability_target, latency_p95_target_ms "
            "and latency_p99_target_ms",
        }
    ]
    document = problem(api.post("/api/v1/actions/accounts.set_role", {"user": "ada"}, content_type=JSON), 422)
    assert {
        "path": "user",
        "message": "is not known here; there is username, role, teams and undoes",
    } in document["errors"]


def test_the_words_are_not_the_librarys(api: Client) -> None:
    data = {"username": "", "role": "king", "teams": ["payments", 7], "colour": "red"}
    body = api.post("/api/v1/actions/accounts.create_user", data, content_type=JSON).content
    query = api.get("/api/v1/audit?limit=201&since=soon").content
    for words in (b"should", b"Value error", b"Field required", b"Extra inputs"):
        assert words not in body
        assert words not in query
    assert b"'king' is not possible; write sre_admin, service_owner, auditor or viewer" in body
    assert b"'201' is more than 200" in query


@pytest.mark.django_db(transaction=True)
def test_two_who_make_the_same_user_at_once_get_no_error_of_ours(
    client_for: ClientFor, monkeypatch: pytest.MonkeyPatch
) -> None:
    from apps.accounts.actions import CreateUser

    # Both have looked before either has written.
    monkeypatch.setattr(CreateUser, "guard", lambda self, call: None)
    admin = client_for("sre_admin")
    answers = [
        admin.post("/api/v1/actions/accounts.create_user", {"username": "eve"}, content_type=JSON)
        for _ in range(2)
    ]
    assert answers[0].status_code == 201
    assert "Somebody else" in problem(answers[1], 409)["detail"]
