"""An address takes the methods that the OpenAPI document has for it, says so where it is asked otherwise, no others."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from django.test import Client

from apps.accounts.models import User
from apps.catalog.models import Service
from apps.journeys.what_if import computation as what_if
from apps.slos import computation
from console.api import api
from tests.api.conftest import key_for

pytestmark = pytest.mark.django_db
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "PROPFIND")
PATHS: dict[str, set[str]] = {
    path: {method.upper() for method in methods}
    for path, methods in api.get_openapi_schema()["paths"].items()
}


def filled(path: str) -> str:
    """An address of that path; what is asked for there need not exist."""
    values = {"service_id": "payments-api", "journey": "checkout", "name": "catalog.declare_service"}
    while "{" in path:
        name = path.partition("{")[2].partition("}")[0]
        path = path.replace(f"{{{name}}}", values.get(name, str(uuid4())))
    return path


@pytest.fixture
def asking(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Client:
    """An SRE admin's program. No worker runs, and none is waited for."""
    settings.API_RATE_PER_MINUTE, settings.API_RATE_BURST = 10**7, 10**6
    monkeypatch.setattr(computation.request_computation, "__kwdefaults__", {"deadline_seconds": 0.05})
    monkeypatch.setattr(what_if, "DEADLINE_SECONDS", 0.05)
    Service.objects.create(service_id="payments-api")
    return Client(headers={"X-API-Key": key_for(User.objects.create_user("ada", role="sre_admin"))})


@pytest.mark.parametrize("path", sorted(PATHS))
def test_the_methods_are_those_of_the_document(asking: Client, path: str) -> None:
    documented = PATHS[path]
    wanted = documented | ({"HEAD"} if "GET" in documented else set()) | {"OPTIONS"}
    for method in METHODS:
        response = asking.generic(method, filled(path), b"{}", content_type="application/json")
        if method == "OPTIONS":
            assert (response.status_code, response.content) == (204, b""), response.content
            assert allowed(response) == wanted
        elif method in wanted:
            assert response.status_code != 405, method
        else:
            assert response.status_code == 405, method
            assert allowed(response) == wanted, method
            assert method == "HEAD" or response["Content-Type"] == "application/problem+json"


def allowed(response: Any) -> set[str]:
    return {method.strip() for method in response["Allow"].split(",")}


@pytest.mark.parametrize("path", sorted(path for path, methods in PATHS.items() if "GET" in methods))
def test_head_says_what_get_says_without_its_body(asking: Client, path: str) -> None:
    address = filled(path)
    got, head = asking.get(address), asking.head(address)
    assert head.content == b""
    assert (head.status_code, head["Content-Type"]) == (got.status_code, got["Content-Type"])


def test_who_asks_for_options_need_not_sign_in(client: Client) -> None:
    assert client.options("/api/v1/services").status_code == 204


@pytest.mark.parametrize("method", ["OPTIONS", "GET", "POST"])
def test_an_address_that_is_none_has_no_methods(asking: Client, method: str) -> None:
    response = asking.generic(method, "/api/v1/nowhere/at/all")
    assert response.status_code == 404
    assert "Allow" not in response
