"""The present password cannot be guessed without end: tries are counted in PostgreSQL, as sign-ins are."""

from __future__ import annotations

import threading
from collections import Counter

import pytest
import redis
from django.db import connection
from django.db.models import F

from apps.accounts.models import SignInCount, User
from apps.accounts.sign_ins import LOCK
from apps.accounts.sign_ins import PASSWORD as SCOPE
from apps.accounts.tasks import tidy
from apps.core import idempotency
from apps.core.dispatcher import dispatch
from apps.core.errors import Conflict, InvalidInput, NotAllowed, RateLimited
from apps.core.redis import rate_limit
from apps.core.redis import watch as redis_watch
from apps.core.sentences import sentence
from tests.accounts.conftest import OTHER_PASSWORD, PASSWORD, acting, entries, key_of, person, signed_in
from tests.pages import filled

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("quick_passwords")]
CHANGE = "accounts.change_password"
GIVEN = {"current_password": PASSWORD, "new_password": OTHER_PASSWORD}
WRONG = GIVEN | {"current_password": "wrong"}


def tried(user: User, given: dict[str, str] = WRONG) -> str:
    """What comes of one try."""
    try:
        dispatch(CHANGE, given, actor=acting(user))
    except RateLimited:
        return "refused"
    except InvalidInput as error:
        return error.fields[0].path
    return "changed"


def use_up(user: User, tries: int = SCOPE.limit) -> None:
    assert {tried(user) for _ in range(tries)} == {"current_password"}


def let_time_pass() -> None:
    SignInCount.objects.update(ends_at=F("ends_at") - LOCK)


def test_after_ten_even_the_right_one_is_refused_until_the_lock_is_over() -> None:
    grace = person("grace")
    use_up(grace)
    with pytest.raises(RateLimited, match="given wrongly too often") as refusal:
        dispatch(CHANGE, GIVEN, actor=acting(grace))
    assert 0 < int(refusal.value.headers["Retry-After"]) <= LOCK.total_seconds()
    assert User.objects.get().check_password(PASSWORD)
    let_time_pass()
    assert tried(grace, GIVEN) == "changed"


def test_the_page_refuses_as_well_and_sign_ins_go_on() -> None:
    person("grace")
    here = signed_in("grace")
    form = {"again": OTHER_PASSWORD}
    for _ in range(SCOPE.limit):
        assert here.post("/account/password/", WRONG | form).status_code == 422
    assert here.post("/account/password/", GIVEN | form).status_code == 429
    assert signed_in("grace").get("/account/").status_code == 200


def test_losing_redis_opens_no_door(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: object, **__: object) -> None:
        raise redis.ConnectionError("gone")

    grace = person("grace")
    use_up(grace)
    monkeypatch.setattr(redis_watch, "breaker", redis_watch.new_breaker())
    monkeypatch.setattr(rate_limit, "_client", gone)
    rate_limit._local._held.clear()  # as in another process
    assert tried(grace, GIVEN) == "refused"


@pytest.mark.parametrize("new", [OTHER_PASSWORD, "short"])
def test_the_right_password_gives_the_tries_back_whatever_the_new_one_is(new: str) -> None:
    grace = person("grace")
    use_up(grace, SCOPE.limit - 1)
    assert tried(grace, GIVEN | {"new_password": new}) in ("changed", "new_password")
    assert not SignInCount.objects.exists()


def refused_by_its_key(user: User, key: str) -> None:
    with pytest.raises((InvalidInput, Conflict)) as refusal:
        dispatch(CHANGE, WRONG, actor=acting(user), idempotency_key=key)
    assert "current_password" not in [problem.path for problem in refusal.value.fields]


@pytest.mark.parametrize("key", ["a b", "", "used"])
def test_a_call_that_its_key_refuses_gives_no_tries_back(key: str) -> None:
    grace = person("grace")
    idempotency.claim(acting(grace).key, "used", CHANGE, {"another": "request"})
    use_up(grace, SCOPE.limit - 2)
    refused_by_its_key(grace, key)
    assert tried(grace) == "current_password"
    assert tried(grace, GIVEN) == "refused"


def test_a_call_that_its_key_refuses_does_not_hide_the_lock() -> None:
    grace = person("grace")
    use_up(grace, SCOPE.limit - 1)
    refused_by_its_key(grace, "a b")
    assert tried(grace, GIVEN) == "refused"
    assert len(entries("accounts.sign_in_locked")) == 1


def test_a_malformed_key_in_the_dialog_or_header_gives_no_tries_back() -> None:
    grace = person("grace")
    here = signed_in("grace")
    use_up(grace, SCOPE.limit - 2)
    address = f"/actions/{CHANGE}/"
    typed = filled(here, address, **WRONG) | {"idempotency_key": "a b"}
    assert here.post(address, typed).status_code == 422
    headers = {"Idempotency-Key": "a b"}
    asked = here.post(f"/api/v1/actions/{CHANGE}", WRONG, content_type="application/json", headers=headers)
    assert asked.status_code == 422
    assert tried(grace, GIVEN) == "refused"


def test_one_person_does_not_lock_another() -> None:
    grace, ada = person("grace"), person("ada")
    use_up(grace)
    assert tried(ada, GIVEN) == "changed"


def test_a_key_that_may_not_change_it_uses_up_no_tries() -> None:
    grace = person("grace")
    key_of(grace)
    for _ in range(SCOPE.limit + 1):
        with pytest.raises(NotAllowed):
            dispatch(CHANGE, WRONG, actor=acting(grace, api_key_prefix="blst_abc"))
    assert tried(grace, GIVEN) == "changed"


def test_a_password_that_an_admin_resets_lifts_the_lock() -> None:
    grace, admin = person("grace"), person("ada", role="sre_admin")
    use_up(grace)
    asked = {"username": "grace", "rationale": "locked out"}
    given = dispatch("accounts.reset_password", asked, actor=acting(admin)).value["password"]
    assert tried(grace, GIVEN | {"current_password": given}) == "changed"


def test_the_lock_and_what_it_refused_are_one_entry_each() -> None:
    grace = person("grace")
    use_up(grace)
    assert [tried(grace) for _ in range(7)] == ["refused"] * 7
    (entry,) = entries("accounts.sign_in_locked")
    assert (entry.actor, entry.object_label) == (grace, "grace")
    assert sentence(entry) == "Changes of the password of grace locked after 10 wrong passwords"
    let_time_pass()
    tidy()
    tidy()
    (entry,) = entries("accounts.sign_ins_counted")
    assert sentence(entry) == "7 tries to change the password of grace refused while locked"


@pytest.mark.django_db(transaction=True)
def test_many_at_once_have_no_more_tries_than_one_after_the_other() -> None:
    grace = person("grace")
    barrier = threading.Barrier(24)
    came: list[str] = []

    def run() -> None:
        try:
            barrier.wait(timeout=30)
            came.append(tried(grace))
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert Counter(came) == {"current_password": SCOPE.limit, "refused": 24 - SCOPE.limit}
