"""A session ends where its person, or an SRE admin, says so; and only then, and only that one."""

from __future__ import annotations

import pytest
from django.contrib.sessions.models import Session
from django.test import Client

from apps.accounts import sessions
from apps.accounts.models import User, UserSession
from apps.core.dispatcher import dispatch, preview
from apps.core.errors import Conflict, NotAllowed, NotFound
from apps.core.models import OutboxEvent
from tests.accounts.conftest import acting, entries, is_signed_in, person, signed_in
from tests.pages import ROLES

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("quick_passwords")]
END, END_ALL = "accounts.end_session", "accounts.end_sessions"


def session_of(browser: Client) -> UserSession:
    return UserSession.objects.get(key_digest=sessions.digest(str(browser.session.session_key)))


def test_one_of_ones_own_ends_and_the_others_go_on() -> None:
    grace = person("grace")
    here, there = signed_in("grace"), signed_in("grace")
    dispatch(END, {"session_id": session_of(there).pk}, actor=acting(grace))
    assert is_signed_in(here)
    assert not is_signed_in(there)
    (entry,) = entries(END)
    assert (entry.object_label, entry.before["ip"]) == ("grace", "127.0.0.1")  # type: ignore[index]
    assert OutboxEvent.objects.get(topic="accounts.sessions_ended").payload["user_id"] == grace.pk


def test_all_others_end() -> None:
    grace = person("grace")
    here, *others = (signed_in("grace") for _ in range(3))
    data = {"username": "grace", "keep_session_id": session_of(here).pk}
    assert preview(END_ALL, data, actor=acting(grace)).touches[0].count == 2
    assert dispatch(END_ALL, data, actor=acting(grace)).value["sessions_ended"] == 2
    assert is_signed_in(here)
    assert not any(is_signed_in(other) for other in others)


def test_a_session_of_somebody_else_is_not_kept() -> None:
    grace = person("grace")
    person("ada")
    with pytest.raises(Conflict, match="not open"):
        dispatch(
            END_ALL,
            {"username": "grace", "keep_session_id": session_of(signed_in("ada")).pk},
            actor=acting(grace),
        )


def test_an_admin_ends_anybodys() -> None:
    root = person("root", "sre_admin")
    person("grace")
    one, two = signed_in("grace"), signed_in("grace")
    dispatch(END, {"session_id": session_of(one).pk}, actor=acting(root))
    assert (is_signed_in(one), is_signed_in(two)) == (False, True)
    dispatch(END_ALL, {"username": "grace"}, actor=acting(root))
    assert not is_signed_in(two)


@pytest.mark.parametrize("role", [role for role in ROLES if role != "sre_admin"])
def test_others_do_not_even_learn_that_there_is_one(role: str) -> None:
    person("grace")
    browser = signed_in("grace")
    bob = person("bob", role)
    for refused in (
        lambda: dispatch(END, {"session_id": session_of(browser).pk}, actor=acting(bob)),
        lambda: dispatch(END, {"session_id": 10**9}, actor=acting(bob)),
        lambda: preview(END, {"session_id": session_of(browser).pk}, actor=acting(bob)),
        lambda: dispatch(END_ALL, {"username": "grace"}, actor=acting(bob)),
    ):
        with pytest.raises(NotFound):
            refused()
    assert is_signed_in(browser)


WHOLE: dict[str, str] = {}
FAULTY = {"keep_session_id": "x"}


@pytest.mark.parametrize("rest", [WHOLE, FAULTY], ids=["whole", "faulty"])
def test_the_dialog_answers_as_if_others_did_not_exist(rest: dict[str, str]) -> None:
    person("grace")
    person("bob")
    bob = signed_in("bob")
    address = f"/actions/{END_ALL}/"
    grace, nobody = {"username": "grace"} | rest, {"username": "nobody"} | rest
    for ask, where in ((bob.get, address), (bob.post, address), (bob.post, f"{address}preview/")):
        assert ask(where, grace).status_code == ask(where, nobody).status_code
    assert bob.get(address, {"username": "nobody"} | rest).status_code == (200 if rest else 404)


def test_an_admin_reads_that_there_is_no_such_person() -> None:
    person("root", "sre_admin")
    assert signed_in("root").get(f"/actions/{END_ALL}/", {"username": "nobody"}).status_code == 404


def test_a_key_ends_none() -> None:
    grace = person("grace")
    browser = signed_in("grace")
    for action, data in ((END, {"session_id": session_of(browser).pk}), (END_ALL, {"username": "grace"})):
        with pytest.raises(NotAllowed, match="key"):
            dispatch(action, data, actor=acting(grace, api_key_prefix="blst_abc"))
    assert is_signed_in(browser)


def test_ending_twice_is_as_ending_once() -> None:
    grace = person("grace")
    one = session_of(signed_in("grace"))
    for _ in range(2):
        dispatch(END, {"session_id": one.pk}, actor=acting(grace))
    assert dispatch(END_ALL, {"username": "grace"}, actor=acting(grace)).value["sessions_ended"] == 0


def test_the_table_holds_nothing_that_opens_a_session() -> None:
    person("grace")
    key = str(signed_in("grace").session.session_key)
    assert Session.objects.filter(session_key=key).exists()
    assert key not in str(UserSession.objects.values())


def test_a_request_that_was_under_way_brings_nothing_back() -> None:
    grace = person("grace")
    key = str(signed_in("grace").session.session_key)
    sessions.end_all(grace)
    sessions.note(grace, key, ip="192.0.2.1", user_agent="late")
    UserSession.objects.all().delete()
    sessions.note(grace, key, ip="192.0.2.1", user_agent="late")
    assert not UserSession.objects.exists()


def test_a_session_without_a_note_ends_with_all_others() -> None:
    grace: User = person("grace")
    browser = Client()
    browser.force_login(grace)
    assert not UserSession.objects.exists()
    dispatch(END_ALL, {"username": "grace"}, actor=acting(grace))
    assert not is_signed_in(browser)
