"""Nobody locks a person out of a browser where they signed in, and that browser has no tries without end."""

from __future__ import annotations

from random import Random

import pytest
from django.core import signing
from django.test import Client

from apps.accounts import devices
from apps.accounts.models import User
from apps.accounts.sign_ins import ADDRESS, DEVICE, PAIR
from apps.core.dispatcher import dispatch
from apps.core.redis.rate_limit import Limit
from tests.accounts.conftest import OTHER_PASSWORD, PASSWORD, acting, person, signed_in
from tests.accounts.test_sign_in_locks import flooded

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("quick_passwords")]
HERE = "192.0.2.1"
ELSEWHERE = "198.51.100.9"
GATE = "apps.accounts.views.signing_in.ADDRESS_LIMIT"


@pytest.fixture(autouse=True)
def _no_flood_gate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(GATE, Limit(burst=10**6, per_minute=10**6))


def tries(browser: Client, password: str, ip: str = HERE, name: str = "grace") -> int:
    return browser.post("/sign-in/", {"username": name, "password": password}, REMOTE_ADDR=ip).status_code


@pytest.mark.parametrize("seed", range(6))
def test_whatever_others_try_a_browser_that_was_signed_in_there_gets_in(seed: int) -> None:
    """Others guess this name and many more, from this address and elsewhere, in any order."""
    random = Random(seed)
    person("grace")
    known = [person(f"known-{number}").username for number in range(3)]
    browser = signed_in("grace", REMOTE_ADDR=HERE)
    for _ in range(160):
        name = random.choice(["grace", "grace", *known, f"made-up-{random.randrange(80)}"])
        flooded(name, random.choice([HERE, HERE, HERE, ELSEWHERE]))
        if random.random() < 0.05:
            assert tries(browser, "a slip") == 200
            assert tries(browser, PASSWORD) == 302
    assert tries(browser, PASSWORD) == 302
    assert tries(browser, PASSWORD, ip="203.0.113.77") == 302


def test_names_that_are_tried_from_an_address_do_not_lock_out_those_known_there() -> None:
    person("grace")
    person("eve")
    signed_in("grace", REMOTE_ADDR=HERE)
    for number in range(ADDRESS.limit + 5):
        flooded(f"made-up-{number}", HERE)
    assert tries(Client(), PASSWORD, name="eve") == 429
    assert tries(Client(), PASSWORD) == 302


def test_the_browser_has_ten_tries_of_its_own() -> None:
    person("grace")
    browser = signed_in("grace", REMOTE_ADDR=HERE)
    answers = [tries(browser, "wrong", ip=f"203.0.113.{number}") for number in range(DEVICE.limit + 1)]
    assert answers == [200] * DEVICE.limit + [429]
    assert tries(browser, PASSWORD) == 429
    assert tries(signed_in("grace", REMOTE_ADDR=HERE), PASSWORD) == 302


def test_the_gate_in_front_counts_that_browser_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    person("grace")
    browser = signed_in("grace", REMOTE_ADDR=HERE)
    monkeypatch.setattr(GATE, Limit(burst=3, per_minute=1))
    assert [tries(Client(), "wrong", name=f"made-up-{number}") for number in range(4)][-1] == 429
    assert tries(browser, PASSWORD) == 302


def locked_here() -> None:
    for _ in range(PAIR.limit + 1):
        flooded("grace", HERE)


def forged(grace: User) -> str:
    return signing.dumps(
        [grace.pk, "0" * 32, grace.get_session_auth_hash()[:32]], key="other", salt=devices.SALT
    )


def of_another(grace: User) -> str:
    person("eve")
    return signed_in("eve", REMOTE_ADDR=HERE).cookies[devices.COOKIE].value


def of_an_old_password(grace: User) -> str:
    value = signed_in("grace", REMOTE_ADDR=HERE).cookies[devices.COOKIE].value
    given = {"current_password": PASSWORD, "new_password": OTHER_PASSWORD}
    dispatch("accounts.change_password", given, actor=acting(User.objects.get(pk=grace.pk)))
    return value


@pytest.mark.parametrize("made", [forged, of_another, of_an_old_password, lambda _: "", lambda _: "a:b:c"])
def test_a_cookie_that_is_not_of_this_person_and_password_gives_no_tries(made: object) -> None:
    grace = person("grace")
    browser = Client()
    browser.cookies[devices.COOKIE] = made(grace)  # type: ignore[operator]
    locked_here()
    assert tries(browser, "wrong") == 429


def test_the_browser_in_which_the_password_is_changed_is_still_known() -> None:
    person("grace")
    browser = signed_in("grace", REMOTE_ADDR=HERE)
    form = {"current_password": PASSWORD, "new_password": OTHER_PASSWORD, "again": OTHER_PASSWORD}
    assert browser.post("/account/password/", form).status_code == 302
    locked_here()
    assert tries(browser, OTHER_PASSWORD) == 302


def test_a_reset_by_an_admin_unlocks_the_name_in_every_browser() -> None:
    person("grace")
    browser = signed_in("grace", REMOTE_ADDR=HERE)
    for _ in range(DEVICE.limit + 1):
        tries(browser, "wrong")
    given = {"username": "grace", "rationale": "locked"}
    root = person("root", "sre_admin")
    once = dispatch("accounts.reset_password", given, actor=acting(root)).value["password"]
    assert tries(browser, once) == 302


def test_the_cookie_opens_nothing_and_is_out_of_reach_for_scripts() -> None:
    person("grace")
    cookie = signed_in("grace", REMOTE_ADDR=HERE).cookies[devices.COOKIE]
    assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "Lax", "/sign-in/")
    stranger = Client()
    stranger.cookies[devices.COOKIE] = cookie.value
    assert stranger.get("/account/").status_code == 302
