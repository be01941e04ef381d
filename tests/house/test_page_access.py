"""Who may open which address: each page answers as it declares, and there is no page that declares nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, resolve
from django.urls.converters import IntConverter, UUIDConverter

from apps.accounts.permissions import permissions
from apps.core.web.pages import Access, access_of, page
from tests.pages import ROLES, client_of

API = "api/v1/"
A_UUID = "0198c1a0-0000-7000-8000-000000000001"
SIGN_IN = "/sign-in/"


@dataclass(frozen=True)
class Address:
    """One route with values for its parts; nothing lies there, as far as it names something."""

    route: str
    path: str
    view: Any

    def __str__(self) -> str:
        return self.route or "the first page"


def addresses(resolver: URLResolver | None = None, before: str = "", so_far: str = "/") -> Iterator[Address]:
    """Every address there is, the API's included."""
    for pattern in (resolver or get_resolver()).url_patterns:
        route, path = before + str(pattern.pattern), so_far + _filled(pattern)
        if isinstance(pattern, URLResolver):
            yield from addresses(pattern, route, path)
        else:
            assert isinstance(pattern, URLPattern)
            yield Address(route, path, pattern.callback)


def _filled(pattern: URLPattern | URLResolver) -> str:
    text = str(pattern.pattern)
    for name, converter in pattern.pattern.converters.items():
        value = (
            "1"
            if isinstance(converter, IntConverter)
            else A_UUID
            if isinstance(converter, UUIDConverter)
            else "x"
        )
        start = text.index("<")
        end = text.index(">", start)
        assert text[start:end].endswith(name)
        text = text[:start] + value + text[end + 1 :]
    return text


EVERY = list(addresses())
PAGES = [one for one in EVERY if not one.route.startswith(API)]
DECLARED = [one for one in PAGES if access_of(one.view)]


def declared(address: Address) -> Access:
    access = access_of(address.view)
    assert access is not None
    return access


def ask(client: Client, address: Address, method: str) -> Any:
    return client.generic(method, address.path, content_type="application/x-www-form-urlencoded")


def test_the_walk_finds_the_pages() -> None:
    assert {"", "services/", "audit/", "actions/<str:name>/", "sign-in/", "-/healthz"} <= {
        one.route for one in PAGES
    }


@pytest.mark.parametrize("address", PAGES, ids=str)
def test_every_page_declares_who_may_open_it(address: Address) -> None:
    assert access_of(address.view), f"{address.view.__module__}.{address.view.__name__} has no @page(…)"


@pytest.mark.parametrize("address", DECLARED, ids=str)
def test_a_page_asks_for_a_permission_that_a_room_declares(address: Address) -> None:
    access = declared(address)
    assert access.permission in permissions() or not access.permission


@pytest.mark.parametrize("address", EVERY, ids=str)
def test_no_address_is_hidden_by_another(address: Address) -> None:
    assert resolve(address.path).route == address.route


@pytest.mark.parametrize("address", DECLARED, ids=str)
def test_who_is_not_signed_in_is_sent_to_the_sign_in_and_back(db: None, address: Address) -> None:
    access = declared(address)
    for method in {"GET", *access.methods}:
        response = ask(Client(), address, method)
        is_sent = response.status_code == 302 and response.headers["Location"].startswith(f"{SIGN_IN}?next=/")
        assert is_sent is not access.is_public
        assert response.status_code < 500


@pytest.mark.parametrize("role", ROLES)
def test_each_role_opens_what_it_may_and_nothing_else(db: None, role: str) -> None:
    client = client_of(role)
    for address in DECLARED:
        access = declared(address)
        if access.is_public:
            continue
        may = not access.permission or role in permissions()[access.permission]
        for method in access.methods:
            response = ask(client, address, method)
            where = f"{method} {address.path} as {role}: {response.status_code}"
            assert (response.status_code == 403) is not may, where
            assert response.status_code < 500, where
            assert not response.headers.get("Location", "").startswith(SIGN_IN), where
            assert response.status_code >= 400 or "no-store" in response.headers["Cache-Control"], where


@pytest.mark.parametrize("address", DECLARED, ids=str)
def test_a_page_answers_the_methods_that_it_declares(db: None, address: Address) -> None:
    client, access = client_of("sre_admin"), declared(address)
    for method in {"GET", "HEAD", "POST", "PUT", "DELETE"} - set(access.methods):
        assert ask(client, address, method).status_code == 405, method


@pytest.mark.parametrize(
    "given", [{}, {"permission": "slos.view", "public": True}, {"public": True, "signed_in": True}]
)
def test_a_page_is_declared_in_exactly_one_way(given: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match="one of the three"):
        page(**given)


def test_the_api_lets_nobody_in_who_is_not_known_except_to_its_health(db: None, client: Client) -> None:
    document = client.get(f"/{API}openapi.json").json()
    for route, operations in document["paths"].items():
        for method in operations:
            response = client.generic(method.upper(), re.sub(r"\{\w+\}", A_UUID, route))
            assert (response.status_code == 401) is ("/health" not in route), f"{method} {route}"
