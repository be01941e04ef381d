"""Signing in rotates the session, tells nothing about names, and cannot be tried without end."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client, override_settings
from django.urls import reverse

from apps.accounts.models import User
from apps.core.redis.rate_limit import Limit

pytestmark = pytest.mark.django_db
PASSWORD = "correct horse battery"
SIGN_IN = "/sign-in/"
AFTER = {"next": "/api-keys/"}


@pytest.fixture(autouse=True)
def _ada(settings: Any) -> None:
    # What a password costs to check is Django's to test; here a slow machine would win back tries meanwhile.
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    User.objects.create_user("ada", password=PASSWORD)


def test_the_right_password_leads_to_where_one_was_heading(client: Client) -> None:
    response = client.post(SIGN_IN, {"username": "ada", "password": PASSWORD, **AFTER})
    assert response.status_code == 302
    assert response["Location"] == AFTER["next"]
    assert client.get("/api-keys/").status_code == 200


def test_the_session_is_another_after_signing_in(client: Client) -> None:
    session = client.session
    session["seen"] = True
    session.save()
    before = session.session_key
    client.post(SIGN_IN, {"username": "ada", "password": PASSWORD, **AFTER})
    assert client.session.session_key != before


def test_the_session_cookie_is_out_of_reach_for_scripts(client: Client) -> None:
    client.post(SIGN_IN, {"username": "ada", "password": PASSWORD, **AFTER})
    cookie = client.cookies["ballast_session"]
    assert cookie["httponly"]
    assert cookie["samesite"] == "Lax"


def test_an_unknown_name_and_a_wrong_password_get_the_same_answer(client: Client) -> None:
    answers = set()
    for name in ("ada", "eva"):
        page = client.post(SIGN_IN, {"username": name, "password": "wrong"}).content.decode()
        answers.add(page.split("form-errors")[1].split("</ul>")[0])
    assert len(answers) == 1
    assert client.get("/api-keys/").status_code == 302


def test_nobody_is_sent_to_another_site(client: Client) -> None:
    form = {"username": "ada", "password": PASSWORD, "next": "https://evil.example/"}
    with override_settings(LOGIN_REDIRECT_URL="/api-keys/"):
        assert client.post(SIGN_IN, form)["Location"] == "/api-keys/"


def test_after_ten_wrong_passwords_one_has_to_wait(client: Client) -> None:
    statuses = [client.post(SIGN_IN, {"username": "ada", "password": "wrong"}).status_code for _ in range(11)]
    assert statuses == [200] * 10 + [429]
    waiting = client.post(SIGN_IN, {"username": "ada", "password": PASSWORD})
    assert waiting.status_code == 429
    assert int(waiting["Retry-After"]) > 0
    elsewhere = {"username": "ada", "password": PASSWORD, **AFTER}
    assert client.post(SIGN_IN, elsewhere, REMOTE_ADDR="192.0.2.9").status_code == 302


def test_signing_out_takes_a_post_and_ends_the_session(client: Client) -> None:
    client.post(SIGN_IN, {"username": "ada", "password": PASSWORD, **AFTER})
    assert client.get(reverse("logout")).status_code == 405
    client.post(reverse("logout"))
    assert client.get("/api-keys/").status_code == 302


@pytest.mark.parametrize("name", ["ａda", "a\uff44a", " ADA "])
def test_another_way_to_write_a_name_gives_no_further_tries(client: Client, name: str) -> None:
    for _ in range(10):
        client.post(SIGN_IN, {"username": "ada", "password": "wrong"})
    assert client.post(SIGN_IN, {"username": name, "password": "wrong"}).status_code == 429


def test_one_address_cannot_try_names_without_end(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("apps.accounts.views.signing_in.ADDRESS_LIMIT", Limit(burst=3, per_minute=1))
    tried = [client.post(SIGN_IN, {"username": f"n{n}", "password": PASSWORD}).status_code for n in range(4)]
    assert tried == [200, 200, 200, 429]
    elsewhere = {"username": "ada", "password": PASSWORD, **AFTER}
    assert client.post(SIGN_IN, elsewhere, REMOTE_ADDR="192.0.2.9").status_code == 302
