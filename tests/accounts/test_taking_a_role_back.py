"""Undo of a change of role: it gives back what that change took, and never takes what somebody else did since."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client

from apps.accounts.models import User
from apps.core.dispatcher import dispatch
from apps.core.errors import Conflict, InvalidInput
from apps.core.models import AuditEntry
from tests.accounts.conftest import acting, entries, person
from tests.pages import HTMX, client_of, filled, text_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("quick_passwords")]
SET_ROLE = "accounts.set_role"
DIALOG = f"/actions/{SET_ROLE}/"


@pytest.fixture
def admin() -> Client:
    return client_of("sre_admin")


@pytest.fixture
def root() -> User:
    return person("root", "sre_admin")


def state(user: User) -> tuple[str, list[str]]:
    user.refresh_from_db()
    return user.role, sorted(user.teams.values_list("name", flat=True))


def teamed(user: User, *names: str) -> User:
    user.teams.set([user.teams.model.objects.get_or_create(name=name)[0] for name in names])
    return user


def changed(client: Client, **values: str) -> dict[str, Any]:
    """Change grace in the dialog; return the call that takes it back."""
    response = client.post(DIALOG, filled(client, DIALOG, username="grace", **values), headers=HTMX)
    assert response.status_code == 204, text_of(response)
    undo: dict[str, Any] = json.loads(response["HX-Trigger"])["ballast:done"]["undo"]
    return undo


@pytest.mark.parametrize("before", [(), ("shop",), ("ledger", "shop")])
@pytest.mark.parametrize("teams", ["", "shop", "shop\npayments", "[]"])
@pytest.mark.parametrize("role", ["viewer", "service_owner"])
def test_whatever_was_changed_comes_back(
    admin: Client, before: tuple[str, ...], teams: str, role: str
) -> None:
    grace = teamed(person("grace"), *before)
    assert state(grace) == ("viewer", list(before))
    undo = changed(admin, role=role, teams=teams)
    assert admin.post(undo["url"], undo["values"], headers=HTMX).status_code == 204
    assert state(grace) == ("viewer", list(before))


def test_all_teams_can_be_taken_away_in_the_dialog(admin: Client) -> None:
    grace = teamed(person("grace"), "shop")
    changed(admin, role="viewer", teams="[]")
    assert state(grace) == ("viewer", [])


@pytest.mark.parametrize("meanwhile", [{"role": "auditor"}, {"role": "service_owner", "teams": ["payments"]}])
def test_what_somebody_else_did_since_stays(admin: Client, root: User, meanwhile: dict[str, Any]) -> None:
    grace = teamed(person("grace"), "shop")
    undo = changed(admin, role="service_owner")
    dispatch(SET_ROLE, {"username": "grace"} | meanwhile, actor=acting(root))
    since = state(grace)
    response = admin.post(undo["url"], undo["values"], headers=HTMX)
    assert response.status_code == 409
    assert "Somebody changed the role or the teams of grace since" in text_of(response)
    assert state(grace) == since


def test_it_touches_no_teams_where_only_the_role_was_changed(admin: Client) -> None:
    teamed(person("grace"), "shop")
    assert "teams" not in changed(admin, role="auditor")["values"]


def test_it_is_done_once(admin: Client) -> None:
    person("grace")
    undo = changed(admin, role="auditor")
    statuses = [admin.post(undo["url"], undo["values"], headers=HTMX).status_code for _ in range(2)]
    assert statuses == [204, 409]
    assert len(entries(SET_ROLE)) == 2


def test_a_change_of_somebody_else_or_none_cannot_be_named(root: User) -> None:
    person("grace")
    person("ada")
    dispatch(SET_ROLE, {"username": "ada", "role": "auditor"}, actor=acting(root))
    for entry_id in (AuditEntry.objects.get().pk, uuid4()):
        with pytest.raises(InvalidInput) as refusal:
            dispatch(
                SET_ROLE, {"username": "grace", "role": "viewer", "undoes": entry_id}, actor=acting(root)
            )
        assert [problem.path for problem in refusal.value.fields] == ["undoes"]


def test_the_api_names_what_holds_now(root: User) -> None:
    teamed(person("grace"), "shop")
    dispatch(SET_ROLE, {"username": "grace", "role": "auditor"}, actor=acting(root))
    (entry,) = entries(SET_ROLE)
    dispatch(SET_ROLE, {"username": "grace", "role": "auditor", "teams": []}, actor=acting(root))
    with pytest.raises(Conflict) as refusal:
        dispatch(SET_ROLE, {"username": "grace", "role": "viewer", "undoes": entry.pk}, actor=acting(root))
    assert refusal.value.extra["difference"] == [
        {"label": "Role", "before": "auditor", "after": "auditor"},
        {"label": "Teams", "before": "shop", "after": "none"},
    ]
