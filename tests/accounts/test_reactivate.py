"""Reactivating lets a person in again, and brings back no session and no key."""

from __future__ import annotations

import pytest
from django.test import Client

from apps.accounts.models import User
from apps.core.dispatcher import dispatch
from apps.core.errors import Conflict, NotAllowed
from tests.accounts.conftest import acting, entries, is_signed_in, key_of, person, signed_in
from tests.pages import ROLES

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("quick_passwords")]
REACTIVATE = "accounts.reactivate"
GRACE = {"username": "grace", "rationale": "came back"}


@pytest.fixture
def root() -> User:
    return person("root", "sre_admin")


def test_they_sign_in_again_with_the_password_they_had(root: User) -> None:
    person("grace", "auditor")
    dispatch("accounts.deactivate", GRACE, actor=acting(root))
    dispatch(REACTIVATE, GRACE, actor=acting(root))
    assert is_signed_in(signed_in("grace"))
    assert User.objects.get(username="grace").role == "auditor"
    assert entries(REACTIVATE)[0].rationale == "came back"


def test_no_session_and_no_key_comes_back(root: User) -> None:
    raw = key_of(person("grace"))
    browser = signed_in("grace")
    dispatch("accounts.deactivate", GRACE, actor=acting(root))
    dispatch(REACTIVATE, GRACE, actor=acting(root))
    assert not is_signed_in(browser)
    assert Client(headers={"X-API-Key": raw}).get("/api/v1/actions").status_code == 401


def test_what_was_made_in_the_moment_of_the_deactivation_does_not_come_to_life(root: User) -> None:
    grace = person("grace")
    dispatch("accounts.deactivate", GRACE, actor=acting(root))
    raw = key_of(grace)
    late = Client()
    late.force_login(grace)
    dispatch(REACTIVATE, GRACE, actor=acting(root))
    assert not is_signed_in(late)
    assert Client(headers={"X-API-Key": raw}).get("/api/v1/actions").status_code == 401


def test_who_is_active_already_is_said(root: User) -> None:
    person("grace")
    with pytest.raises(Conflict, match="already"):
        dispatch(REACTIVATE, GRACE, actor=acting(root))


@pytest.mark.parametrize("role", [role for role in ROLES if role != "sre_admin"])
def test_it_rejects_everybody_but_an_admin(root: User, role: str) -> None:
    person("grace")
    dispatch("accounts.deactivate", GRACE, actor=acting(root))
    with pytest.raises(NotAllowed):
        dispatch(REACTIVATE, GRACE, actor=acting(person("bob", role)))
    with pytest.raises(NotAllowed, match="key"):
        dispatch(REACTIVATE, GRACE, actor=acting(root, api_key_prefix="blst_abc"))
    assert not User.objects.get(username="grace").is_active
