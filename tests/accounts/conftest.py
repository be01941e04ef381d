"""People with a password, browsers in which they are signed in, and who does what to them."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from apps.accounts import api_keys
from apps.accounts.models import ApiKey, User
from apps.core.actions import Actor
from apps.core.models import AuditEntry

PASSWORD = "correct horse battery"
OTHER_PASSWORD = "staple of the second stable"


@pytest.fixture
def quick_passwords(settings: Any) -> None:
    """What a password costs to check is Django's to test; here it would only make the tests slow."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


def person(name: str, role: str = "viewer") -> User:
    """Somebody who can sign in."""
    return User.objects.create_user(name, password=PASSWORD, role=role)


def acting(user: User, **where: Any) -> Actor:
    """That person at the pages, or with ``api_key_prefix`` a program of theirs."""
    return Actor.person(user, AuditEntry.Source.WEB, **where)


def signed_in(name: str, password: str = PASSWORD, **where: Any) -> Client:
    """A browser in which somebody signed in by the form."""
    client = Client()
    answer = client.post("/sign-in/", {"username": name, "password": password, "next": "/account/"}, **where)
    assert answer.status_code == 302, answer.content
    return client


def is_signed_in(client: Client) -> bool:
    """Whether a browser is let in, with whatever it has."""
    return bool(client.get("/account/password/").status_code == 200)


def key_of(user: User, name: str = "program") -> str:
    """A new key, raw."""
    made = api_keys.make()
    ApiKey.objects.create(user=user, name=name, prefix=made.prefix, key_hash=made.key_hash)
    return made.raw


def entries(action: str) -> list[AuditEntry]:
    """The audit entries of one action, oldest first."""
    return list(AuditEntry.objects.filter(action=action).order_by("created_at", "id"))
