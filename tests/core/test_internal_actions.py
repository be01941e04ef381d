"""What only the code itself does is reached by no door, whoever asks."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from apps.accounts.models import User
from apps.core import actions
from apps.core.actions import Actor, all_actions, offered_actions
from apps.core.dispatcher import dispatch, preview, record
from apps.core.errors import NotFound
from apps.core.models import AuditEntry, OutboxEvent

pytestmark = pytest.mark.django_db
INTERNAL = [action.name for action in all_actions() if action.is_internal]
JSON = "application/json"


@pytest.fixture
def root() -> User:
    return User.objects.create_user("root", role="sre_admin")


@pytest.fixture
def browser(root: User) -> Client:
    client = Client()
    client.force_login(root)
    return client


def test_there_are_some() -> None:
    assert {"accounts.sign_in", "accounts.sign_in_failed", "accounts.sign_in_locked"} <= set(INTERNAL)


@pytest.mark.parametrize("name", INTERNAL)
def test_it_is_not_there_for_anybody(browser: Client, root: User, name: str) -> None:
    for actor in (Actor.person(root, AuditEntry.Source.API), Actor.system("anything")):
        for ask in (dispatch, preview):
            with pytest.raises(NotFound):
                ask(name, {}, actor=actor)
    for address in (f"/api/v1/actions/{name}", f"/api/v1/actions/{name}/preview"):
        assert browser.post(address, {}, content_type=JSON).status_code == 404
    assert browser.get(f"/actions/{name}/").status_code == 404
    assert browser.post(f"/actions/{name}/").status_code == 404
    assert browser.post(f"/actions/{name}/preview/").status_code == 404
    for options in ({}, {"preview": True}):
        with pytest.raises(CommandError, match="no action"):
            call_command("act", name, username="root", **options)
    assert not AuditEntry.objects.exists()


def test_no_list_and_no_document_names_it(browser: Client) -> None:
    listed = {item["name"] for item in browser.get("/api/v1/actions").json()["items"]}
    assert listed == {action.name for action in offered_actions()}
    assert not listed & set(INTERNAL)
    paths = browser.get("/api/v1/openapi.json").json()["paths"]
    assert not [path for path in paths if path.removesuffix("/preview").rpartition("/")[2] in INTERNAL]


def test_the_code_itself_records_it_with_entry_and_event(root: User) -> None:
    record("accounts.sign_out", {}, actor=Actor.person(root, AuditEntry.Source.WEB))
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.actor) == ("accounts.sign_out", root)
    assert OutboxEvent.objects.get().topic == "accounts.signed_out"


def test_what_people_may_ask_for_is_not_recorded_past_them(lever: str) -> None:
    with pytest.raises(RuntimeError, match="use dispatch"):
        record(lever, {"name": "x"}, actor=Actor.system("tests"))
    assert not AuditEntry.objects.exists()


def test_an_action_made_internal_is_gone_from_every_list(lever: str, monkeypatch: Any) -> None:
    monkeypatch.setattr(actions.get(lever), "is_internal", True)
    assert lever not in {action.name for action in offered_actions()}
    with pytest.raises(NotFound):
        dispatch(lever, {"name": "x"}, actor=Actor.system("tests"))
