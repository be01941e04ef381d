"""Every sign-in, failed sign-in, lock and sign-out stands in the audit trail and leaves as an event, and no name that
somebody only typed is kept."""

from __future__ import annotations

import pytest
from django.contrib.sessions.models import Session
from django.test import Client
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from apps.accounts.models import SignInCount, User, UserSession
from apps.accounts.views import signing_in
from apps.core.errors import NotSignedIn
from apps.core.models import AuditEntry, OutboxEvent
from tests.accounts.conftest import PASSWORD, entries, is_signed_in, person, signed_in

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("quick_passwords")]


def topics() -> list[str]:
    return list(OutboxEvent.objects.order_by("id").values_list("topic", flat=True))


def test_a_sign_in_and_a_sign_out() -> None:
    grace = person("grace")
    browser = signed_in("grace", headers={"User-Agent": "curl/8.5.0"}, REMOTE_ADDR="192.0.2.9")
    browser.post("/sign-out/")
    signed, out = AuditEntry.objects.order_by("created_at", "id")
    assert (signed.action, signed.actor, signed.ip, signed.source) == (
        "accounts.sign_in",
        grace,
        "192.0.2.9",
        "web",
    )
    assert signed.after == {"browser": "curl 8"}
    assert signed.request_id
    assert (out.action, out.actor) == ("accounts.sign_out", grace)
    assert topics() == ["accounts.signed_in", "accounts.signed_out"]
    assert UserSession.objects.get().ended_at is not None
    assert not is_signed_in(browser)


def test_a_wrong_password_names_whose_it_would_have_been_but_not_as_the_actor() -> None:
    grace = person("grace")
    Client().post("/sign-in/", {"username": "GRACE", "password": "wrong"}, REMOTE_ADDR="192.0.2.9")
    (entry,) = entries("accounts.sign_in_failed")
    assert (entry.actor, entry.actor_name) == (None, "system: sign-in")
    assert (entry.object_type, entry.object_id, entry.object_label) == ("user", str(grace.pk), "grace")
    assert (entry.ip, entry.source) == ("192.0.2.9", "web")
    assert OutboxEvent.objects.get().payload == {"user_id": grace.pk, "ip": "192.0.2.9"}


def test_a_deactivated_person_fails_like_anybody() -> None:
    User.objects.filter(pk=person("grace").pk).update(is_active=False)
    answer = Client().post("/sign-in/", {"username": "grace", "password": PASSWORD})
    assert answer.status_code == 200
    assert entries("accounts.sign_in_failed")[0].object_label == "grace"


def test_a_form_without_a_name_or_a_password_is_an_attempt_too() -> None:
    person("grace")
    for form in ({}, {"username": "grace"}, {"password": PASSWORD}):
        assert Client().post("/sign-in/", form).status_code == 200
    assert len(entries("accounts.sign_in_failed")) == 3


# A sign that no row of ours has stands in the middle: else what was typed may be a word that the trail says anyway.
NAMES = st.builds(
    "{}\N{RUNIC LETTER ALGIZ EOLHX}{}".format,
    *[st.text(st.characters(exclude_categories=["Cs"]), min_size=3, max_size=20)] * 2,
)


@settings(max_examples=25, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
@given(typed=NAMES)
def test_what_was_typed_as_a_name_that_nobody_has_is_never_kept(typed: str) -> None:
    """People type their password into the wrong field."""
    SignInCount.objects.all().delete()
    before = AuditEntry.objects.count()
    Client().post("/sign-in/", {"username": typed, "password": "wrong"})
    assert AuditEntry.objects.count() == before + 1
    entry = AuditEntry.objects.latest("created_at", "id")
    kept = [
        *AuditEntry.objects.filter(pk=entry.pk).values(),
        *OutboxEvent.objects.values(),
        *SignInCount.objects.values(),
    ]
    said = [text for row in kept for text in map(str, row.values())]
    forms = {typed, typed.strip(), typed.strip().lower()}
    assert not [text for text in said for form in forms if form in text]
    assert entry.object_label == "unknown name"


def test_the_same_unknown_name_is_told_by_the_same_digest_and_another_by_another() -> None:
    for name in ("mallory", "Mallory ", "trudy"):
        Client().post("/sign-in/", {"username": name, "password": "wrong"})
    first, second, third = (entry.object_id for entry in entries("accounts.sign_in_failed"))
    assert first == second != third


def test_a_sign_in_that_cannot_be_written_down_did_not_happen(monkeypatch: pytest.MonkeyPatch) -> None:
    person("grace")

    def fail(*_: object, **__: object) -> None:
        raise NotSignedIn("not now")

    monkeypatch.setattr(signing_in, "record", fail)
    browser = Client()
    answer = browser.post("/sign-in/", {"username": "grace", "password": PASSWORD})
    assert answer.status_code == 401
    assert not is_signed_in(browser)
    assert not UserSession.objects.exists()
    assert not [one for one in Session.objects.all() if "_auth_user_id" in one.get_decoded()]


def test_who_is_deactivated_between_the_password_and_the_session_gets_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    grace = person("grace")
    real = signing_in.login  # type: ignore[attr-defined]

    def login(request: object, user: User) -> None:
        real(request, user)  # type: ignore[arg-type]
        User.objects.filter(pk=grace.pk).update(is_active=False)

    monkeypatch.setattr(signing_in, "login", login)
    browser = Client()
    assert browser.post("/sign-in/", {"username": "grace", "password": PASSWORD}).status_code == 401
    monkeypatch.undo()
    User.objects.update(is_active=True)
    assert not is_signed_in(browser)
    assert not entries("accounts.sign_in")
