"""Redis is stopped with SIGSTOP. Everything that PostgreSQL holds can still be read and changed, and pages say so."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing

import httpx
import pytest

from tests.faults.frozen_house import House
from tests.house.waiting import until

NOTE = "Redis does not answer"

KINDS: dict[str, Callable[[House, httpx.Client], httpx.Response]] = {
    "page": lambda _, browser: browser.get("/services/"),
    "fragment": lambda _, browser: browser.get("/services/", headers={"HX-Request": "true"}),
    "API read": lambda _, browser: browser.get("/api/v1/actions"),
    "API write": lambda _, browser: browser.post(
        "/api/v1/actions/accounts.create_api_key", json={"name": "one"}
    ),
    "action with work for a worker": lambda _, browser: browser.post(
        "/api/v1/actions/slos.refresh_recommendations", json={}
    ),
    "sign-in": lambda house, browser: house.sign_in(browser),
    "export": lambda _, browser: browser.get("/services.csv"),
}


@pytest.fixture
def browser(house: House) -> Iterator[httpx.Client]:
    with closing(house.signed_in()) as browser:
        until(lambda: NOTE not in browser.get("/services/").text, "Redis answers before the test")
        yield browser


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_request_is_answered_as_with_redis(
    house: House, browser: httpx.Client, kind: str
) -> None:
    expected = KINDS[kind](house, browser).status_code
    with house.frozen("redis"):
        answers = [KINDS[kind](house, browser) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [expected, expected]


def says_so(browser: httpx.Client) -> bool:
    """Whether a page tells of Redis. It is missed by what needs it, such as the limit of the API."""
    browser.get("/api/v1/actions")
    return NOTE in browser.get("/services/").text


def test_pages_and_readiness_say_it_until_redis_is_back(house: House, browser: httpx.Client) -> None:
    with house.frozen("redis"):
        until(lambda: says_so(browser), "a page says that Redis does not answer")
        until(lambda: browser.get("/-/ready").json()["status"] == "degraded", "readiness notices it")
        ready = browser.get("/-/ready")
        alive = browser.get("/-/healthz")
    assert alive.status_code == 200
    assert ready.status_code == 200
    assert ready.json()["checks"]["redis"] == "does not answer"
    until(lambda: NOTE not in browser.get("/services/").text, "pages go on as before")
    until(lambda: browser.get("/-/ready").json()["checks"]["redis"] == "ok", "readiness sees Redis again")


def test_the_rate_limit_goes_on_in_each_process(house: House, browser: httpx.Client) -> None:
    with house.frozen("redis"):
        answer = browser.get("/api/v1/actions")
    assert int(answer.headers["RateLimit-Remaining"]) < int(answer.headers["RateLimit-Limit"])
