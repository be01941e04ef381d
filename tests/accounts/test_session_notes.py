"""A session is noted while it is used: by whom, from where, and when last, to the minute."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.sessions.models import Session
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.accounts import middleware, sessions
from apps.accounts.formatting import browser_words
from apps.accounts.models import UserSession
from tests.accounts.conftest import key_of, person, signed_in

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("quick_passwords")]
PAGE = "/account/password/"


@pytest.fixture(autouse=True)
def _nothing_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(middleware, "recently", sessions.Recently())


def test_signing_in_notes_whose_it_is_and_from_where() -> None:
    grace = person("grace")
    signed_in("grace", headers={"User-Agent": "curl/8.5.0"}, REMOTE_ADDR="192.0.2.9")
    one = UserSession.objects.get()
    assert (one.user, one.ip, one.user_agent) == (grace, "192.0.2.9", "curl/8.5.0")


def test_a_session_from_before_is_noted_when_it_is_used() -> None:
    browser = Client()
    browser.force_login(person("grace"))
    browser.get(PAGE)
    assert UserSession.objects.get().user.username == "grace"


def test_it_is_written_at_most_once_a_minute() -> None:
    person("grace")
    browser = signed_in("grace")
    UserSession.objects.update(last_seen_at=timezone.now() - timedelta(seconds=50))
    before = UserSession.objects.get().last_seen_at
    middleware.recently.forget(str(browser.session.session_key))
    browser.get(PAGE)
    assert UserSession.objects.get().last_seen_at == before
    UserSession.objects.update(last_seen_at=timezone.now() - timedelta(seconds=70))
    middleware.recently.forget(str(browser.session.session_key))
    browser.get(PAGE)
    assert UserSession.objects.get().last_seen_at > before


def test_a_second_request_costs_no_further_statement() -> None:
    person("grace")
    browser = signed_in("grace")
    browser.get(PAGE)
    with CaptureQueriesContext(connection) as queries:
        browser.get(PAGE)
    assert not [query for query in queries if "usersession" in query["sql"].lower()]


def test_a_program_has_no_session() -> None:
    program = Client(headers={"X-API-Key": key_of(person("grace"))})
    assert program.get("/api/v1/actions").status_code == 200
    assert not UserSession.objects.exists()


def test_what_is_remembered_is_bounded() -> None:
    seen = sessions.Recently(seconds=3600, capacity=3)
    assert [seen.first(str(number)) for number in (1, 1, 2, 3, 4, 1)] == [True, False, True, True, True, True]


def test_what_is_long_over_is_deleted() -> None:
    person("grace")
    signed_in("grace")
    signed_in("grace")
    now = timezone.now()
    assert sessions.purge(now) == 0
    Session.objects.update(expire_date=now - timedelta(minutes=1))
    assert sessions.purge(now) == 2
    UserSession.objects.update(expires_at=now - sessions.KEPT - timedelta(minutes=1))
    assert sessions.purge(now) == 2
    assert not UserSession.objects.exists()


FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0"
CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 "
    "Safari/537.36"
)
SAFARI = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/18.1 Mobile/15E148 Safari/604.1"
)


@pytest.mark.parametrize(
    ("agent", "words"),
    [
        (FIREFOX, "Firefox 133 on Linux"),
        (CHROME, "Chrome 131 on Windows"),
        (f"{CHROME} Edg/131.0.0.0", "Edge 131 on Windows"),
        (SAFARI, "Safari 18 on iOS"),
        ("curl/8.5.0", "curl 8"),
        ("something of their own", "something of their own"),
        ("x" * 200, "x" * 40),
        ("", "unknown browser"),
    ],
)
def test_a_browser_is_called_by_its_name(agent: str, words: str) -> None:
    assert browser_words(agent) == words
