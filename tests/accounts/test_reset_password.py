"""A reset gives a password that is shown once, opens one page only, and ends what the old one opened."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client

from apps.accounts.models import User
from apps.core.dispatcher import dispatch
from apps.core.errors import Conflict, NotAllowed
from apps.core.models import AuditEntry
from tests.accounts.conftest import (
    OTHER_PASSWORD,
    PASSWORD,
    acting,
    entries,
    is_signed_in,
    key_of,
    person,
    signed_in,
)
from tests.pages import HTMX, ROLES, client_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("quick_passwords")]
RESET = "accounts.reset_password"
GRACE = {"username": "grace", "rationale": "forgot it"}
PAGE = "/people/grace/reset-password/"


@pytest.fixture
def root() -> User:
    return person("root", "sre_admin")


def reset(root: User) -> str:
    return str(dispatch(RESET, GRACE, actor=acting(root)).value["password"])


def test_the_old_password_and_every_session_end(root: User) -> None:
    person("grace")
    browser = signed_in("grace")
    reset(root)
    assert not is_signed_in(browser)
    assert Client().post("/sign-in/", {"username": "grace", "password": PASSWORD}).status_code == 200


def test_nothing_opens_before_it_is_changed_and_then_everything(root: User) -> None:
    person("grace", "sre_admin")
    once = reset(root)
    browser = signed_in("grace", once)
    for address in ("/", "/account/", "/people/", "/services/"):
        assert browser.get(address)["Location"] == "/account/password/"
    assert browser.get("/", headers=HTMX)["HX-Redirect"] == "/account/password/"
    refused = browser.get("/api/v1/actions")
    assert refused.status_code == 403
    assert "Change your password" in refused.json()["detail"]
    browser.post(
        "/account/password/",
        {"current_password": once, "new_password": OTHER_PASSWORD, "again": OTHER_PASSWORD},
    )
    assert browser.get("/account/").status_code == 200
    assert browser.get("/api/v1/actions").status_code == 200


@pytest.mark.parametrize("key", [None, "", " ", ",", "blst_", "blst_not-a-key", "Bearer x"])
@pytest.mark.parametrize("without_the_middleware", [False, True])
def test_no_header_stands_in_for_a_key_that_is_accepted(
    root: User, key: str | None, without_the_middleware: bool, settings: Any
) -> None:
    person("grace", "sre_admin")
    if without_the_middleware:
        settings.MIDDLEWARE = [name for name in settings.MIDDLEWARE if "SessionNoteMiddleware" not in name]
    browser = signed_in("grace", reset(root))
    headers = {} if key is None else {"X-API-Key": key}
    before = AuditEntry.objects.count()
    for answer in (
        browser.get("/api/v1/actions", headers=headers),
        browser.get("/api/v1/services", headers=headers),
        browser.post("/api/v1/actions/accounts.deactivate", {}, "application/json", headers=headers),
    ):
        assert answer.status_code in {401, 403}
    assert AuditEntry.objects.count() == before


def test_their_programs_go_on(root: User) -> None:
    raw = key_of(person("grace", "sre_admin"))
    browser = signed_in("grace", reset(root))
    assert browser.get("/api/v1/actions", headers={"X-API-Key": raw}).status_code == 200


def test_they_may_sign_out_instead(root: User) -> None:
    person("grace")
    browser = signed_in("grace", reset(root))
    assert browser.post("/sign-out/").status_code == 302
    assert not is_signed_in(browser)


def test_the_page_shows_it_once(root: User) -> None:
    person("grace")
    admin = Client()
    admin.force_login(root)
    form = admin.get(PAGE).content.decode()
    found = re.search(r'name="idempotency_key" value="(\w+)"', form)
    assert found
    given = {"idempotency_key": found[1], "rationale": "forgot it"}
    first, second = (admin.post(PAGE, given).content.decode() for _ in range(2))
    shown = re.search(r'id="made-password" class="mono" value="([^"]+)"', first)
    assert shown
    assert User.objects.get(username="grace").check_password(shown[1])
    assert shown[1] not in second
    assert "already shown" in second
    assert shown[1] not in str(AuditEntry.objects.values())
    assert len(entries(RESET)) == 1


def test_the_page_needs_a_reason(root: User) -> None:
    person("grace")
    admin = Client()
    admin.force_login(root)
    answer = admin.post(PAGE, {})
    assert answer.status_code == 422
    assert b"This is needed." in answer.content
    assert User.objects.get(username="grace").check_password(PASSWORD)


def test_a_locked_name_is_unlocked(root: User) -> None:
    person("grace")
    for _ in range(11):
        locked = Client().post("/sign-in/", {"username": "grace", "password": "wrong"})
    assert locked.status_code == 429
    signed_in("grace", reset(root))


def test_ones_own_is_changed_not_reset(root: User) -> None:
    with pytest.raises(Conflict, match="page Account"):
        dispatch(RESET, {"username": "root", "rationale": "x"}, actor=acting(root))


def test_a_deactivated_person_gets_none(root: User) -> None:
    person("grace")
    dispatch("accounts.deactivate", GRACE, actor=acting(root))
    with pytest.raises(Conflict, match="deactivated"):
        reset(root)


@pytest.mark.parametrize("role", [role for role in ROLES if role != "sre_admin"])
def test_it_rejects_everybody_but_an_admin(root: User, role: str) -> None:
    person("grace")
    with pytest.raises(NotAllowed):
        dispatch(RESET, GRACE, actor=acting(person("bob", role)))
    with pytest.raises(NotAllowed, match="key"):
        dispatch(RESET, GRACE, actor=acting(root, api_key_prefix="blst_abc"))
    for method in ("get", "post"):
        assert getattr(client_of(role), method)(PAGE).status_code == 403
    assert User.objects.get(username="grace").check_password(PASSWORD)
