"""The demo's users and their passwords."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from apps.accounts.models import Team, User
from apps.core.actions import Actor
from apps.core.dispatcher import dispatch
from apps.core.models import AuditEntry
from apps.demo import signins

pytestmark = pytest.mark.django_db


def test_each_role_has_a_user_who_can_sign_in(passwords: Path) -> None:
    found = {each.username: each.password for each in signins.ensure()}
    assert list(found) == ["sre", "owner", "auditor", "viewer"]
    roles = dict(User.objects.values_list("username", "role"))
    assert roles == {"sre": "sre_admin", "owner": "service_owner", "auditor": "auditor", "viewer": "viewer"}
    assert User.objects.get(username="owner").check_password(found["owner"])


def test_the_owner_belongs_to_team_payments_once_there_is_one(passwords: Path) -> None:
    signins.ensure()
    team = Team.objects.create(name="payments", origin="demo")
    signins.ensure()
    assert list(User.objects.get(username="owner").teams.all()) == [team]


def test_passwords_are_kept_for_the_owner_of_the_folder_only(passwords: Path) -> None:
    found = signins.ensure()
    assert stat.S_IMODE(passwords.stat().st_mode) == 0o600
    assert json.loads(passwords.read_text()) == {each.username: each.password for each in found}


def test_they_stay_the_same(passwords: Path) -> None:
    assert signins.ensure() == signins.ensure()


@pytest.mark.parametrize("damage", ["", "not json", "[1, 2]"])
def test_new_ones_are_made_where_the_file_is_lost_or_broken(passwords: Path, damage: str) -> None:
    before = signins.ensure()
    passwords.unlink() if not damage else passwords.write_text(damage)
    after = signins.ensure()
    assert {each.password for each in before}.isdisjoint(each.password for each in after)
    assert User.objects.get(username="sre").check_password(after[0].password)


def test_a_reset_gives_everybody_a_new_one(passwords: Path) -> None:
    before = signins.ensure()
    after = signins.ensure(reset=True)
    assert {each.password for each in before}.isdisjoint(each.password for each in after)
    assert User.objects.get(username="viewer").check_password(after[-1].password)


def test_passwords_differ_and_are_long() -> None:
    drawn = {signins.new_password() for _ in range(50)}
    assert len(drawn) == 50
    assert all(len(password) >= 20 for password in drawn)


def test_who_was_deactivated_is_not_let_in_again(passwords: Path) -> None:
    signins.ensure()
    root = User.objects.get(username="sre")
    actor = Actor.person(root, AuditEntry.Source.WEB)
    dispatch("accounts.deactivate", {"username": "viewer", "rationale": "not needed"}, actor=actor)
    assert "viewer" not in {each.username for each in signins.ensure()}
    signins.ensure(reset=True)
    assert not User.objects.get(username="viewer").is_active


def test_a_password_of_ones_own_is_neither_replaced_nor_told_wrongly(passwords: Path) -> None:
    given = {each.username: each.password for each in signins.ensure()}
    actor = Actor.person(User.objects.get(username="owner"), AuditEntry.Source.WEB)
    new = {"current_password": given["owner"], "new_password": "a word of their own choice"}
    dispatch("accounts.change_password", new, actor=actor)
    assert "owner" not in {each.username for each in signins.ensure()}
    assert User.objects.get(username="owner").check_password("a word of their own choice")
    again = {each.username: each.password for each in signins.ensure(reset=True)}
    assert User.objects.get(username="owner").check_password(again["owner"])
