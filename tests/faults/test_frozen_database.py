"""PostgreSQL is stopped with SIGSTOP: it keeps its sockets, and nothing comes any more. Everybody is told in words."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import Any

import httpx
import pytest

from tests.faults.frozen_house import HANGS_S, House
from tests.house.waiting import until

type Ask = Callable[[House, httpx.Client], httpx.Response]

FRAGMENT = {"HX-Request": "true"}


def make_user(_: House, browser: httpx.Client, **headers: str) -> httpx.Response:
    data = {"username": f"u{uuid.uuid4().hex[:12]}"}
    return browser.post("/api/v1/actions/accounts.create_user", json=data, headers=headers)


KINDS: dict[str, Ask] = {
    "page": lambda _, browser: browser.get("/audit/"),
    "fragment": lambda _, browser: browser.get("/audit/", headers=FRAGMENT),
    "API read": lambda _, browser: browser.get("/api/v1/actions"),
    "API write": make_user,
    "sign-in": lambda house, browser: house.sign_in(browser),
    "export": lambda _, browser: browser.get("/audit/export.csv"),
}


@pytest.fixture
def browser(house: House) -> Iterator[httpx.Client]:
    with house.browser() as plain:
        until(lambda: plain.get("/-/ready").status_code == 200, "it is ready before the test")
    with closing(house.signed_in()) as browser:
        yield browser


@contextmanager
def held(house: House, table: str) -> Iterator[None]:
    """Keep everybody else from a table, so that a request stands in the middle of what it does."""
    with house.owner() as connection, connection.transaction():
        connection.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        yield


def until_somebody(house: House, is_at: str) -> None:
    """Wait until a connection of the application waits as ``is_at`` says of ``pg_stat_activity``."""
    with house.superuser() as connection:
        query = f"SELECT count(*) FROM pg_stat_activity WHERE usename = 'ballast_app' AND {is_at}"
        until(
            lambda: (connection.execute(query).fetchone() or [0])[0], f"somebody is at {is_at}", deadline_s=15
        )


def told(answer: httpx.Response, kind: str) -> str:
    """What an answer says, whose form must be right for who asked."""
    assert answer.status_code == 503, answer.text[:500]
    assert int(answer.headers["Retry-After"]) > 0
    if kind.startswith("API"):
        assert answer.headers["Content-Type"] == "application/problem+json"
        document: dict[str, Any] = answer.json()
        assert document["request_id"]
        return str(document["detail"])
    assert answer.headers["Content-Type"].startswith("text/html")
    assert ("<html" in answer.text) == (kind != "fragment")
    return answer.text


@pytest.mark.parametrize("kind", KINDS)
def test_before_it_has_a_connection_a_request_is_told_that_the_database_does_not_answer(
    house: House, browser: httpx.Client, kind: str
) -> None:
    assert KINDS[kind](house, browser).status_code < 400
    with house.frozen("postgres"):
        first, second = (KINDS[kind](house, browser) for _ in range(2))
    assert "The database does not answer" in told(first, kind)
    assert "The database does not answer" in told(second, kind)
    house.await_well(browser)
    assert KINDS[kind](house, browser).status_code < 400


@pytest.mark.parametrize(
    ("kind", "table"),
    [
        ("page", "core_auditentry"),
        ("fragment", "core_auditentry"),
        ("API read", "django_session"),
        ("API write", "core_auditentry"),
        ("sign-in", "django_session"),
        ("export", "accounts_user"),
    ],
)
def test_in_the_middle_of_a_query_a_request_is_told_and_nothing_is_changed(
    house: House, browser: httpx.Client, kind: str, table: str
) -> None:
    with house.owner() as owner:
        before = owner.execute("SELECT count(*) FROM accounts_user").fetchone()
    with ThreadPoolExecutor(1) as pool:
        with held(house, table):
            asked = pool.submit(KINDS[kind], house, browser)
            until_somebody(house, "wait_event_type = 'Lock'")
            with house.frozen("postgres"):
                answer = asked.result(timeout=HANGS_S)
        assert "The database does not answer" in told(answer, kind)
    house.await_well(browser)
    with house.owner() as owner:
        assert owner.execute("SELECT count(*) FROM accounts_user").fetchone() == before


@pytest.fixture
def slow_commit(house: House) -> Iterator[None]:
    """Let each COMMIT of a change take its time, so that there is time to stop the server in it."""
    with house.owner() as owner:
        owner.execute(
            "CREATE FUNCTION pause_at_commit() RETURNS trigger LANGUAGE plpgsql AS"
            " 'BEGIN PERFORM pg_sleep(1); RETURN NULL; END'"
        )
        owner.execute(
            "CREATE CONSTRAINT TRIGGER pause AFTER INSERT ON core_auditentry"
            " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION pause_at_commit()"
        )
    yield
    with house.owner() as owner:
        owner.execute("DROP FUNCTION pause_at_commit() CASCADE")


@pytest.mark.usefixtures("slow_commit")
def test_in_the_middle_of_a_commit_the_outcome_is_unknown_and_the_same_key_makes_it_safe(
    house: House, browser: httpx.Client
) -> None:
    name, key = f"u{uuid.uuid4().hex[:12]}", uuid.uuid4().hex

    def ask() -> httpx.Response:
        return browser.post(
            "/api/v1/actions/accounts.create_user", json={"username": name}, headers={"Idempotency-Key": key}
        )

    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(ask)
        until_somebody(house, "wait_event = 'PgSleep'")
        with house.frozen("postgres"):
            answer = asked.result(timeout=HANGS_S)
    assert "may or may not be stored" in told(answer, "API write")
    assert answer.json()["type"].endswith("#outcome-unknown")
    house.await_well(browser)
    again = ask()
    assert again.status_code == 201
    with house.owner() as owner:
        made = owner.execute("SELECT count(*) FROM accounts_user WHERE username = %s", [name]).fetchone()
        audited = owner.execute(
            "SELECT count(*) FROM core_auditentry WHERE object_label = %s", [name]
        ).fetchone()
    assert made == (1,)
    assert audited == (1,)


@pytest.mark.usefixtures("slow_commit")
def test_a_form_whose_commit_was_lost_says_so_and_not_that_nothing_was_changed(
    house: House, browser: httpx.Client
) -> None:
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(browser.post, "/api-keys/make/", data={"name": "lost"})
        until_somebody(house, "wait_event = 'PgSleep'")
        with house.frozen("postgres"):
            answer = asked.result(timeout=HANGS_S)
    said = told(answer, "page")
    assert "may or may not be stored" in said
    assert "nothing was changed" not in said
    house.await_well(browser)


def test_the_probes_answer_while_sixteen_wait_and_readiness_says_why(
    house: House, browser: httpx.Client
) -> None:
    with house.browser() as prober, ThreadPoolExecutor(16) as pool, house.frozen("postgres"):
        asked = [pool.submit(browser.get, "/services/") for _ in range(16)]
        alive = prober.get("/-/healthz")
        until(lambda: prober.get("/-/ready").status_code == 503, "readiness notices it")
        ready = prober.get("/-/ready")
        answers = [one.result(timeout=HANGS_S) for one in asked]
    assert alive.status_code == 200
    assert "answer" in ready.json()["checks"]["postgresql"]
    assert {answer.status_code for answer in answers} == {503}
    house.await_well(browser)


def test_a_slow_query_is_no_frozen_database(house: House, browser: httpx.Client) -> None:
    """A page that waits for longer than the patience, on a server that lives, is served in the end."""
    with ThreadPoolExecutor(1) as pool:
        with held(house, "core_auditentry"):
            asked = pool.submit(browser.get, "/audit/")
            until_somebody(house, "wait_event_type = 'Lock' AND now() - query_start > '3 seconds'")
            with house.browser() as other:
                assert other.get("/-/ready").json()["checks"]["postgresql"] == "ok"
        assert asked.result(timeout=HANGS_S).status_code == 200
