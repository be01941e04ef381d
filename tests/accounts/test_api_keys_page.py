"""The page of one's own keys: make, see once, revoke."""

from __future__ import annotations

import re

import pytest
from django.test import Client
from django.urls import reverse

from apps.accounts import api_keys
from apps.accounts.models import ApiKey, User

pytestmark = pytest.mark.django_db
PAGE = "/api-keys/"
MAKE = "/api-keys/make/"
HTMX = {"HX-Request": "true"}


@pytest.fixture
def signed_in(client: Client) -> Client:
    client.force_login(User.objects.create_user("ada", role="viewer"))
    return client


def key_in(html: str) -> str | None:
    found = re.search(r"blst_[\w-]{43}", html)
    return found[0] if found else None


def test_a_stranger_is_sent_to_sign_in(client: Client) -> None:
    for path in (PAGE, "/api-keys/1/revoke/"):
        response = client.get(path)
        assert response.status_code == 302
        assert response["Location"].startswith(reverse("login"))


def test_a_key_is_shown_once(signed_in: Client) -> None:
    shown = signed_in.post(MAKE, {"name": "backstage"}).content.decode()
    raw = key_in(shown)
    assert raw is not None
    assert api_keys.find(raw) is not None
    later = signed_in.get(PAGE).content.decode()
    assert key_in(later) is None
    assert "backstage" in later
    assert raw[:11] in later


def test_sending_the_form_again_makes_no_second_key(signed_in: Client) -> None:
    form = {"name": "backstage", "idempotency_key": "abc"}
    signed_in.post(MAKE, form)
    again = signed_in.post(MAKE, form).content.decode()
    assert key_in(again) is None
    assert ApiKey.objects.count() == 1


def test_htmx_gets_the_fragment(signed_in: Client) -> None:
    made = signed_in.post(MAKE, {"name": "backstage"}, headers=HTMX).content.decode()
    assert "<html" not in made
    assert key_in(made)


def test_a_form_that_cannot_be_taken_comes_back_with_its_errors(signed_in: Client) -> None:
    response = signed_in.post(MAKE, {"name": "", "expires_in_days": "0"})
    assert response.status_code == 422
    assert 'value="0"' in response.content.decode()
    assert not ApiKey.objects.exists()


def test_making_a_key_takes_no_get(signed_in: Client) -> None:
    assert signed_in.get(MAKE).status_code == 405


def test_only_own_keys_are_listed(signed_in: Client) -> None:
    other = User.objects.create_user("eve")
    ApiKey.objects.create(user=other, name="of eve", prefix="blst_evevev", key_hash="x")
    assert "of eve" not in signed_in.get(PAGE).content.decode()


def test_revoking_asks_first_and_then_does_it(signed_in: Client) -> None:
    signed_in.post(MAKE, {"name": "backstage"})
    path = f"/api-keys/{ApiKey.objects.get().pk}/revoke/"
    question = signed_in.get(path).content.decode()
    assert "stops working at once" in question
    assert ApiKey.objects.get().revoked_at is None
    assert signed_in.post(path).status_code == 302
    assert ApiKey.objects.get().revoked_at is not None
    assert "revoked" in signed_in.get(PAGE).content.decode()


def test_htmx_is_sent_back_to_the_page_after_revoking(signed_in: Client) -> None:
    signed_in.post(MAKE, {"name": "backstage"})
    path = f"/api-keys/{ApiKey.objects.get().pk}/revoke/"
    assert "<html" not in signed_in.get(path, headers=HTMX).content.decode()
    assert signed_in.post(path, headers=HTMX)["HX-Redirect"] == PAGE


def test_anothers_key_cannot_be_revoked(signed_in: Client) -> None:
    other = User.objects.create_user("eve")
    key = ApiKey.objects.create(user=other, name="of eve", prefix="blst_evevev", key_hash="x")
    for response in (
        signed_in.get(f"/api-keys/{key.pk}/revoke/"),
        signed_in.post(f"/api-keys/{key.pk}/revoke/"),
    ):
        assert response.status_code == 404
        assert "of eve" not in response.content.decode()
    key.refresh_from_db()
    assert key.revoked_at is None
