"""Changing one's own password needs the present one, and signs every other browser out."""

from __future__ import annotations

import pytest
from django.test import Client

from apps.accounts.models import User
from apps.core.actions import Actor
from apps.core.dispatcher import dispatch, preview
from apps.core.errors import BadRequest, InvalidInput, NotAllowed
from apps.core.models import AuditEntry, IdempotencyKey, OutboxEvent
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

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("quick_passwords")]
CHANGE = "accounts.change_password"
GIVEN = {"current_password": PASSWORD, "new_password": OTHER_PASSWORD}
FORM = GIVEN | {"again": OTHER_PASSWORD}
PAGE = "/account/password/"


def test_this_browser_stays_signed_in_and_the_others_do_not() -> None:
    person("grace")
    here, there = signed_in("grace"), signed_in("grace")
    assert here.post(PAGE, FORM).status_code == 302
    assert is_signed_in(here)
    assert not is_signed_in(there)
    assert is_signed_in(signed_in("grace", OTHER_PASSWORD))
    assert Client().post("/sign-in/", {"username": "grace", "password": PASSWORD}).status_code == 200


def test_the_account_page_then_shows_this_browser_alone_as_open() -> None:
    grace = person("grace")
    here = signed_in("grace")
    signed_in("grace")
    here.post(PAGE, FORM)
    page = here.get("/account/").content.decode()
    assert page.count("this browser") == 1
    assert grace.sessions.filter(ended_at=None).count() == 1


def test_keys_stay_as_they_are() -> None:
    grace = person("grace")
    raw = key_of(grace)
    signed_in("grace").post(PAGE, FORM)
    assert Client(headers={"X-API-Key": raw}).get("/api/v1/actions").status_code == 200


def test_no_password_is_kept_anywhere_but_hashed() -> None:
    grace = person("grace")
    dispatch(CHANGE, GIVEN, actor=acting(grace), idempotency_key="a")
    kept = str(
        [*AuditEntry.objects.values(), *OutboxEvent.objects.values(), *IdempotencyKey.objects.values()]
    )
    assert PASSWORD not in kept
    assert OTHER_PASSWORD not in kept
    (entry,) = entries(CHANGE)
    assert (entry.actor, entry.object_label, entry.before) == (grace, "grace", None)


def test_blanks_at_the_ends_belong_to_a_password() -> None:
    person("grace")
    here = signed_in("grace")
    assert (
        here.post(
            PAGE, GIVEN | {"new_password": "  stable blanks  ", "again": "  stable blanks  "}
        ).status_code
        == 302
    )
    assert is_signed_in(signed_in("grace", "  stable blanks  "))


@pytest.mark.parametrize(
    ("given", "field", "words"),
    [
        ({"current_password": "wrong"}, "current_password", "not your present"),
        ({"new_password": "short"}, "new_password", "too short"),
        ({"new_password": "password1234"}, "new_password", "common"),
        ({"new_password": "grace-hopper-1906"}, "new_password", "similar"),
        ({"new_password": PASSWORD}, "new_password", "present one"),
        ({"new_password": "x" * 1001}, "new_password", "1,000 characters"),
    ],
)
def test_what_cannot_be_taken_is_named_and_nothing_changes(
    given: dict[str, str], field: str, words: str
) -> None:
    grace = person("grace-hopper")
    with pytest.raises(InvalidInput) as refusal:
        dispatch(CHANGE, GIVEN | given, actor=acting(grace))
    assert refusal.value.fields[0].path == field
    assert words in refusal.value.fields[0].message
    assert User.objects.get().check_password(PASSWORD)
    assert not AuditEntry.objects.exists()


def test_the_page_says_what_is_wrong_and_sends_no_password_back() -> None:
    person("grace")
    here = signed_in("grace")
    for form in (FORM | {"current_password": "wrong wrong"}, FORM | {"again": "another one"}, {}):
        answer = here.post(PAGE, form)
        assert answer.status_code == 422
        page = answer.content.decode()
        assert 'class="errors"' in page
        assert not any(word in page for word in (OTHER_PASSWORD, "wrong wrong", "another one"))
    assert is_signed_in(here)


def test_a_key_cannot_change_the_password_of_its_owner() -> None:
    grace = person("grace")
    raw = key_of(grace)
    answer = Client(headers={"X-API-Key": raw}).post(
        f"/api/v1/actions/{CHANGE}", GIVEN, content_type="application/json"
    )
    assert answer.status_code == 403
    with pytest.raises(NotAllowed):
        dispatch(CHANGE, GIVEN, actor=acting(grace, api_key_prefix="blst_abc"))
    assert User.objects.get().check_password(PASSWORD)


def test_the_system_has_no_password() -> None:
    with pytest.raises(BadRequest):
        dispatch(CHANGE, GIVEN, actor=Actor.system("tests"))


def test_who_is_not_signed_in_is_sent_to_sign_in(client: Client) -> None:
    assert client.get(PAGE).status_code == 302
    assert client.post(PAGE, FORM).status_code == 302


def test_the_preview_asks_for_no_password_to_be_right_and_counts_sessions() -> None:
    grace = person("grace")
    signed_in("grace")
    shown = preview(CHANGE, GIVEN | {"current_password": "wrong"}, actor=acting(grace))
    assert [touch.count for touch in shown.touches] == [1]
