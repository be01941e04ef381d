"""Deactivating ends sessions and keys at once, keeps what the person did, and never leaves nobody in charge."""

from __future__ import annotations

import threading

import pytest
from django.db import connection
from django.test import Client

from apps.accounts.models import ApiKey, Team, User
from apps.catalog.models import Service
from apps.core.dispatcher import dispatch, preview
from apps.core.errors import BallastError, Conflict, InvalidInput, NotAllowed, NotFound
from apps.core.models import AuditEntry, OutboxEvent
from tests.accounts.conftest import acting, entries, is_signed_in, key_of, person, signed_in
from tests.pages import ROLES, client_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("quick_passwords")]
DEACTIVATE = "accounts.deactivate"
GRACE = {"username": "grace", "rationale": "left the company"}


@pytest.fixture
def root() -> User:
    return person("root", "sre_admin")


def test_every_session_ends_at_once(root: User) -> None:
    person("grace")
    browsers = [signed_in("grace"), signed_in("grace")]
    result = dispatch(DEACTIVATE, GRACE, actor=acting(root)).value
    assert result["sessions_ended"] == 2
    assert not any(is_signed_in(browser) for browser in browsers)


def test_a_session_that_nobody_noted_ends_as_well(root: User) -> None:
    browser = Client()
    browser.force_login(person("grace"))
    dispatch(DEACTIVATE, GRACE, actor=acting(root))
    dispatch("accounts.reactivate", GRACE, actor=acting(root))
    assert not is_signed_in(browser)


def test_nobody_elses_session_ends(root: User) -> None:
    person("grace")
    person("ada")
    theirs = signed_in("ada")
    dispatch(DEACTIVATE, GRACE, actor=acting(root))
    assert is_signed_in(theirs)


def test_keys_answer_401_and_are_revoked(root: User) -> None:
    raw = key_of(person("grace"))
    program = Client(headers={"X-API-Key": raw})
    assert program.get("/api/v1/actions").status_code == 200
    dispatch(DEACTIVATE, GRACE, actor=acting(root))
    assert program.get("/api/v1/actions").status_code == 401
    assert ApiKey.objects.get().revoked_at is not None


def test_nobody_signs_in_again(root: User) -> None:
    person("grace")
    dispatch(DEACTIVATE, GRACE, actor=acting(root))
    answer = Client().post("/sign-in/", {"username": "grace", "password": "correct horse battery"})
    assert answer.status_code == 200
    assert b"form-errors" in answer.content


def test_what_they_did_and_who_they_were_stays(root: User) -> None:
    grace = person("grace", "service_owner")
    grace.teams.add(Team.objects.create(name="payments"))
    dispatch("accounts.create_api_key", {"name": "mine"}, actor=acting(grace))
    dispatch(DEACTIVATE, GRACE, actor=acting(root))
    grace.refresh_from_db()
    assert (grace.role, grace.teams.get().name, grace.is_active) == ("service_owner", "payments", False)
    assert entries("accounts.create_api_key")[0].actor == grace


def test_the_entry_says_why_and_the_event_tells_of_it(root: User) -> None:
    grace = person("grace")
    signed_in("grace")
    dispatch(DEACTIVATE, GRACE, actor=acting(root))
    (entry,) = entries(DEACTIVATE)
    assert (entry.actor, entry.object_id, entry.rationale) == (root, str(grace.pk), "left the company")
    assert entry.before["is_active"] is True  # type: ignore[index]
    assert entry.after["is_active"] is False  # type: ignore[index]
    assert entry.after["sessions_ended"] == 1  # type: ignore[index]
    event = OutboxEvent.objects.get(topic="accounts.user_deactivated")
    assert event.payload == {"user_id": grace.pk, "sessions_ended": 1, "keys_revoked": 0}


def test_the_preview_counts_what_ends_and_names_services_left_alone(root: User) -> None:
    grace, ada = person("grace", "service_owner"), person("ada", "service_owner")
    payments, shop = Team.objects.create(name="payments"), Team.objects.create(name="shop")
    grace.teams.add(payments, shop)
    ada.teams.add(shop)
    for service_id, team in (("ledger", payments), ("cart", shop)):
        Service.objects.create(service_id=service_id, team=team)
    signed_in(
        "grace",
        headers={"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0"},
    )
    key_of(grace, "backstage")
    shown = preview(DEACTIVATE, GRACE, actor=acting(root))
    found = [(touch.count, touch.label, list(touch.names)) for touch in shown.touches]
    assert found == [
        (1, "session that ends", ["Firefox 133 on Linux, 127.0.0.1"]),
        (1, "key that is revoked", ["backstage"]),
        (1, "service that has no other owner", ["ledger"]),
    ]
    assert "team payments" in shown.warnings[0]
    assert User.objects.get(username="grace").is_active


def test_nobody_deactivates_themselves(root: User) -> None:
    person("second", "sre_admin")
    with pytest.raises(Conflict, match="yourself"):
        dispatch(DEACTIVATE, {"username": "root", "rationale": "tired"}, actor=acting(root))


def test_the_last_admin_stays(root: User) -> None:
    from apps.core.actions import Actor

    with pytest.raises(InvalidInput, match="last SRE admin"):
        dispatch(DEACTIVATE, {"username": "root", "rationale": "x"}, actor=Actor.system("tests"))
    assert User.objects.get(username="root").is_active


def test_a_deactivated_admin_does_not_count_as_one(root: User) -> None:
    person("second", "sre_admin")
    dispatch(DEACTIVATE, {"username": "second", "rationale": "x"}, actor=acting(root))
    with pytest.raises(InvalidInput, match="last SRE admin"):
        dispatch("accounts.set_role", {"username": "root", "role": "viewer"}, actor=acting(root))


def test_who_is_deactivated_already_or_unknown_is_said(root: User) -> None:
    person("grace")
    dispatch(DEACTIVATE, GRACE, actor=acting(root))
    with pytest.raises(Conflict, match="already"):
        dispatch(DEACTIVATE, GRACE, actor=acting(root))
    with pytest.raises(NotFound):
        dispatch(DEACTIVATE, {"username": "nobody", "rationale": "x"}, actor=acting(root))


def test_a_reason_is_needed(root: User) -> None:
    person("grace")
    with pytest.raises(InvalidInput) as refusal:
        dispatch(DEACTIVATE, {"username": "grace"}, actor=acting(root))
    assert [problem.path for problem in refusal.value.fields] == ["rationale"]


@pytest.mark.parametrize("role", [role for role in ROLES if role != "sre_admin"])
def test_it_rejects_everybody_but_an_admin(root: User, role: str) -> None:
    person("grace")
    with pytest.raises(NotAllowed):
        dispatch(DEACTIVATE, GRACE, actor=acting(person("bob", role)))
    answer = client_of(role).post("/actions/accounts.deactivate/", GRACE)
    assert answer.status_code == 403
    assert User.objects.get(username="grace").is_active


def test_a_key_cannot_however_mighty_its_owner(root: User) -> None:
    person("grace")
    with pytest.raises(NotAllowed, match="key"):
        dispatch(DEACTIVATE, GRACE, actor=acting(root, api_key_prefix="blst_abc"))


@pytest.mark.django_db(transaction=True)
def test_two_admins_who_deactivate_and_demote_each_other_at_once_leave_one() -> None:
    admins = {name: person(name, "sre_admin") for name in ("ada", "grace")}
    barrier = threading.Barrier(2)
    refused: list[str] = []

    def act(by: str, action: str, data: dict[str, str]) -> None:
        try:
            barrier.wait(timeout=20)
            dispatch(action, data, actor=acting(admins[by]))
        except BallastError as error:
            refused.append(error.slug)
        finally:
            connection.close()

    moves = [
        ("ada", DEACTIVATE, {"username": "grace", "rationale": "x"}),
        ("grace", "accounts.set_role", {"username": "ada", "role": "viewer"}),
    ]
    threads = [threading.Thread(target=act, args=move) for move in moves]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert len(refused) == 1
    assert User.objects.filter(role="sre_admin", is_active=True).count() == 1
    assert AuditEntry.objects.count() == 1
