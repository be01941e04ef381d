"""Accounts and roles: made and changed by SRE admins alone, and never so that nobody is one."""

from __future__ import annotations

import io
import threading
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client

from apps.accounts.models import Team, User
from apps.core.actions import Actor
from apps.core.dispatcher import dispatch, preview
from apps.core.errors import BallastError, Conflict, InvalidInput, NotAllowed, NotFound
from apps.core.models import AuditEntry

pytestmark = pytest.mark.django_db
CREATE = "accounts.create_user"
SET_ROLE = "accounts.set_role"


def actor(name: str = "root", role: str = "sre_admin") -> Actor:
    user, _ = User.objects.get_or_create(username=name, defaults={"role": role})
    return Actor.person(user, AuditEntry.Source.WEB)


def test_a_new_user_can_sign_in_with_the_password_shown() -> None:
    data = {
        "username": "grace",
        "email": "g@example.org",
        "role": "service_owner",
        "teams": ["payments", "shop"],
    }
    password = dispatch(CREATE, data, actor=actor()).value["password"]
    grace = User.objects.get(username="grace")
    assert (grace.role, grace.email) == ("service_owner", "g@example.org")
    assert set(grace.teams.values_list("name", flat=True)) == {"payments", "shop"}
    assert Client().login(username="grace", password=password)
    assert password not in str(AuditEntry.objects.values())


def test_a_name_is_taken_in_any_case() -> None:
    dispatch(CREATE, {"username": "grace"}, actor=actor())
    with pytest.raises(Conflict, match="already a user"):
        dispatch(CREATE, {"username": "GRACE"}, actor=actor())


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ({"username": "two words"}, "username"),
        ({"username": ""}, "username"),
        ({"username": ".."}, "username"),
        ({"username": "grace", "email": "nowhere"}, "email"),
        ({"username": "grace", "role": "king"}, "role"),
    ],
)
def test_what_cannot_be_taken_is_named(data: dict[str, str], field: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        dispatch(CREATE, data, actor=actor())
    assert [problem.path for problem in refusal.value.fields] == [field]


@pytest.mark.parametrize("role", ["service_owner", "auditor", "viewer"])
def test_it_rejects_everybody_but_an_admin(role: str) -> None:
    actor()
    for name, data in ((CREATE, {"username": "x"}), (SET_ROLE, {"username": "root", "role": "viewer"})):
        with pytest.raises(NotAllowed):
            dispatch(name, data, actor=actor("bob", role))
    assert User.objects.get(username="root").role == "sre_admin"


def test_a_role_is_changed_and_the_change_is_kept() -> None:
    dispatch(CREATE, {"username": "grace", "teams": ["payments"]}, actor=actor())
    dispatch(SET_ROLE, {"username": "grace", "role": "auditor"}, actor=actor())
    grace = User.objects.get(username="grace")
    assert grace.role == "auditor"
    assert list(grace.teams.values_list("name", flat=True)) == ["payments"]
    entry = AuditEntry.objects.get(action=SET_ROLE)
    assert (entry.before["role"], entry.after["role"]) == ("viewer", "auditor")  # type: ignore[index]


def test_teams_are_replaced_where_they_are_given() -> None:
    dispatch(CREATE, {"username": "grace", "teams": ["payments"]}, actor=actor())
    data = {"username": "grace", "role": "service_owner", "teams": ["shop"]}
    shown = preview(SET_ROLE, data, actor=actor())
    assert [(change.before, change.after) for change in shown.changes] == [
        ("viewer", "service owner"),
        ("payments", "shop"),
    ]
    dispatch(SET_ROLE, data, actor=actor())
    assert list(User.objects.get(username="grace").teams.values_list("name", flat=True)) == ["shop"]
    assert Team.objects.count() == 2


def test_the_last_admin_stays_one() -> None:
    with pytest.raises(InvalidInput, match="last SRE admin"):
        dispatch(SET_ROLE, {"username": "root", "role": "viewer"}, actor=actor())
    actor("second")
    dispatch(SET_ROLE, {"username": "root", "role": "viewer"}, actor=actor())
    assert User.objects.get(username="root").role == "viewer"


@pytest.mark.django_db(transaction=True)
def test_two_admins_who_demote_each_other_at_once_leave_one() -> None:
    admins = {name: actor(name) for name in ("ada", "grace")}
    barrier = threading.Barrier(2)
    refused: list[str] = []

    def demote(by: str, whom: str) -> None:
        try:
            barrier.wait(timeout=20)
            dispatch(SET_ROLE, {"username": whom, "role": "viewer"}, actor=admins[by])
        except BallastError as error:
            refused.append(error.slug)
        finally:
            connection.close()

    threads = [threading.Thread(target=demote, args=pair) for pair in (("ada", "grace"), ("grace", "ada"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert len(refused) == 1
    assert User.objects.filter(role="sre_admin").count() == 1


def test_an_unknown_user_is_not_found() -> None:
    with pytest.raises(NotFound):
        dispatch(SET_ROLE, {"username": "nobody", "role": "viewer"}, actor=actor())


@pytest.mark.parametrize("ask", [dispatch, preview])
def test_who_may_not_change_anybody_does_not_learn_who_exists(ask: Any) -> None:
    actor()
    for name in ("root", "nobody"):
        with pytest.raises(NotAllowed, match="only an SRE admin"):
            ask(SET_ROLE, {"username": name, "role": "viewer"}, actor=actor("bob", "viewer"))


def create_admin(monkeypatch: pytest.MonkeyPatch, password: str, *arguments: str) -> str:
    out = io.StringIO()
    monkeypatch.setattr("sys.stdin", io.StringIO(password))
    call_command("create_admin", *arguments, stdout=out, stderr=io.StringIO())
    return out.getvalue().strip()


def test_the_first_admin_gets_a_password_that_is_printed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    printed = create_admin(monkeypatch, "", "--username", "ada", "--email", "ada@example.org")
    assert User.objects.get().role == "sre_admin"
    assert Client().login(username="ada", password=printed)
    entry = AuditEntry.objects.get()
    assert (entry.actor, entry.actor_name, entry.source) == (None, "system: create_admin", "command")


def test_the_first_admin_may_bring_a_password(monkeypatch: pytest.MonkeyPatch) -> None:
    assert create_admin(monkeypatch, "correct horse battery\n", "--username", "ada") == ""
    assert Client().login(username="ada", password="correct horse battery")


@pytest.mark.parametrize(
    ("password", "arguments", "complaint"),
    [
        ("short\n", ("--username", "ada"), "too short"),
        ("", (), "--username"),
        ("", ("--username", "not a name"), "username"),
    ],
)
def test_it_says_what_is_wrong_and_makes_nobody(
    monkeypatch: pytest.MonkeyPatch, password: str, arguments: tuple[str, ...], complaint: str
) -> None:
    with pytest.raises(CommandError, match=complaint):
        create_admin(monkeypatch, password, *arguments)
    assert not User.objects.exists()


@pytest.mark.parametrize(
    ("action", "data"),
    [
        (CREATE, {"username": "mallory", "role": "sre_admin"}),
        (SET_ROLE, {"username": "root", "role": "viewer"}),
    ],
)
def test_a_key_cannot_manage_users_however_mighty_its_owner(action: str, data: dict[str, str]) -> None:
    admin = actor().user
    assert admin is not None
    by_key = Actor.person(admin, AuditEntry.Source.API, api_key_prefix="blst_abc")
    with pytest.raises(NotAllowed, match="key"):
        dispatch(action, data, actor=by_key)
    assert not User.objects.filter(username="mallory").exists()
