"""Sign-ins cannot be tried without end, with Redis or without, and a flood of them does not fill the audit trail."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from random import Random

import pytest
import redis
from django.db import connection
from django.db.models import F
from django.test import Client
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from apps.accounts import sign_ins
from apps.accounts.models import SignInCount
from apps.accounts.sign_ins import ADDRESS, NAME, PAIR, UNKNOWN
from apps.accounts.tasks import tidy
from apps.core.errors import RateLimited
from apps.core.models import AuditEntry, OutboxEvent
from apps.core.redis import rate_limit
from apps.core.redis import watch as redis_watch
from apps.core.redis.rate_limit import Limit
from tests.accounts.conftest import PASSWORD, entries, person, signed_in

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("quick_passwords")]


@pytest.fixture(autouse=True)
def _no_flood_gate(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is tested here is PostgreSQL's lock; the gate before it has tests of its own."""
    monkeypatch.setattr("apps.accounts.views.signing_in.ADDRESS_LIMIT", Limit(burst=10**6, per_minute=10**6))


def attempt(name: str = "grace", password: str = "wrong", ip: str = "192.0.2.1") -> int:
    return Client().post("/sign-in/", {"username": name, "password": password}, REMOTE_ADDR=ip).status_code


def flooded(name: str, ip: str) -> bool:
    """Whether an attempt with a wrong password is let through, without the page around it."""
    try:
        attempt = sign_ins.begin(name, ip)
    except RateLimited:
        return False
    sign_ins.fail(attempt, replace(sign_ins.nobody(), ip=ip))
    return True


def let_time_pass(by: timedelta = sign_ins.LOCK) -> None:
    SignInCount.objects.update(ends_at=F("ends_at") - by)


def test_after_ten_the_name_is_locked_there_even_for_the_right_password() -> None:
    person("grace")
    assert [attempt() for _ in range(PAIR.limit + 1)] == [200] * PAIR.limit + [429]
    answer = Client().post("/sign-in/", {"username": "grace", "password": PASSWORD}, REMOTE_ADDR="192.0.2.1")
    assert answer.status_code == 429
    assert 0 < int(answer["Retry-After"]) <= sign_ins.LOCK.total_seconds()
    assert attempt(password=PASSWORD, ip="192.0.2.2") == 302


def test_it_opens_again_when_the_lock_is_over() -> None:
    person("grace")
    for _ in range(PAIR.limit + 3):
        attempt()
    let_time_pass()
    assert attempt(password=PASSWORD) == 302


def test_the_right_password_gives_the_tries_back() -> None:
    person("grace")
    for _ in range(3):
        for _ in range(PAIR.limit - 1):
            assert attempt() == 200
        assert attempt(password=PASSWORD) == 302
    assert not SignInCount.objects.filter(scope="pair").exists()
    # Only the first round: from then on she is known there.
    assert SignInCount.objects.get(scope="address").attempts == PAIR.limit - 1


def broken(*_: object, **__: object) -> None:
    raise redis.ConnectionError("gone")


@pytest.fixture
def without_redis(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_watch, "breaker", redis_watch.new_breaker())
    monkeypatch.setattr(rate_limit, "_client", broken)


@pytest.mark.usefixtures("without_redis")
def test_losing_redis_opens_no_door() -> None:
    person("grace")
    for _ in range(PAIR.limit):
        attempt()
    rate_limit._local._held.clear()  # as in another process
    assert attempt(password=PASSWORD) == 429


def test_a_name_tried_from_many_addresses_is_locked_everywhere_but_where_its_person_is_known() -> None:
    person("grace")
    signed_in("grace", REMOTE_ADDR="198.51.100.7")
    tried = [flooded("grace", f"192.0.2.{number}") for number in range(NAME.limit + 5)]
    assert Counter(tried) == {True: NAME.limit, False: 5}
    assert attempt(password=PASSWORD, ip="203.0.113.1") == 429
    assert attempt(password=PASSWORD, ip="198.51.100.7") == 302


def test_an_unknown_name_is_locked_just_the_same() -> None:
    tried = [flooded("nobody", f"192.0.2.{number}") for number in range(NAME.limit + 1)]
    assert (tried[0], tried[-1]) == (True, False)


def test_an_address_cannot_try_name_after_name() -> None:
    tried = [flooded(f"name-{number}", "192.0.2.1") for number in range(ADDRESS.limit + 2)]
    assert Counter(tried) == {True: ADDRESS.limit, False: 2}
    assert attempt("name-0") == 429
    assert attempt("name-0", ip="192.0.2.2") == 200


def test_an_address_of_ipv6_is_counted_with_its_network() -> None:
    tried = [attempt(ip=f"2001:db8::{number + 1:x}") for number in range(PAIR.limit + 1)]
    assert tried[-1] == 429
    assert attempt(ip="2001:db8:1::1") == 200


def test_one_name_hammered_from_an_address_does_not_lock_the_others_there() -> None:
    person("ada")
    for _ in range(ADDRESS.limit + 20):
        flooded("grace", "192.0.2.1")
    assert attempt("ada", PASSWORD) == 302


def test_the_lock_is_written_down_once_and_names_whom_it_concerns() -> None:
    grace = person("grace")
    for _ in range(PAIR.limit + 5):
        attempt()
    (entry,) = entries("accounts.sign_in_locked")
    assert (entry.actor, entry.object_label, entry.ip) == (None, "grace", "192.0.2.1")
    assert entry.after == {"locked": PAIR.words, "failed_attempts": PAIR.limit, "for_seconds": 900}
    event = OutboxEvent.objects.get(topic="accounts.sign_in_locked")
    assert event.payload == {"user_id": grace.pk, "ip": "192.0.2.1", "scope": "pair"}


def test_what_a_lock_refused_is_one_entry_when_it_is_over() -> None:
    person("grace")
    for _ in range(PAIR.limit + 30):
        attempt()
    assert len(entries("accounts.sign_in_failed")) == PAIR.limit
    assert not entries("accounts.sign_ins_counted")
    let_time_pass()
    attempt(ip="192.0.2.2")
    tidy()
    tidy()
    (entry,) = entries("accounts.sign_ins_counted")
    assert entry.after == {"counted_together": PAIR.words, "refused": 30}
    assert (entry.object_label, entry.ip) == ("grace", "192.0.2.1")


@settings(
    max_examples=6,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
    derandomize=True,
)
@given(st.integers(1, 40), st.integers(1, 4), st.integers(0, 10**6))
def test_however_a_flood_is_made_up_its_entries_are_bounded_and_its_attempts_counted(
    names: int, addresses: int, seed: int
) -> None:
    """Names that nobody has, from a few addresses, within one window."""
    random = Random(seed)
    SignInCount.objects.all().delete()
    known = set(AuditEntry.objects.values_list("pk", flat=True))
    tried = [
        flooded(f"nobody-{random.randrange(names)}", f"192.0.2.{random.randrange(addresses)}")
        for _ in range(160)
    ]
    limits = {"pair": PAIR.limit, "name": NAME.limit, "address": ADDRESS.limit}
    locks = sum(
        SignInCount.objects.filter(scope=scope, attempts=limit).count() for scope, limit in limits.items()
    )
    passed = sum(tried)
    assert AuditEntry.objects.exclude(pk__in=known).count() == min(UNKNOWN.limit, passed) + locks
    let_time_pass()
    sign_ins.settle()
    counted = AuditEntry.objects.exclude(pk__in=known).filter(action="accounts.sign_ins_counted")
    total: Counter[str] = Counter()
    for entry in counted:
        total.update({what: entry.after[what] for what in ("refused", "failed") if what in entry.after})  # type: ignore[index, operator]
    assert total == Counter({"refused": 160 - passed, "failed": max(0, passed - UNKNOWN.limit)})
    assert not SignInCount.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_hundred_at_once_have_no_more_tries_than_one_after_the_other() -> None:
    person("grace")
    barrier = threading.Barrier(24)
    passed: list[bool] = []

    def run() -> None:
        try:
            barrier.wait(timeout=30)
            sign_ins.begin("grace", "192.0.2.1")
            passed.append(True)
        except RateLimited:
            passed.append(False)
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert Counter(passed) == {True: PAIR.limit, False: 24 - PAIR.limit}
    assert SignInCount.objects.get(scope="pair").refused == 24 - PAIR.limit


def test_the_lock_tells_nothing_of_which_names_there_are() -> None:
    person("grace")
    bodies = set()
    for name in ("grace", "nobody"):
        for _ in range(PAIR.limit + 1):
            answer = Client().post(
                "/sign-in/", {"username": name, "password": "wrong"}, REMOTE_ADDR="192.0.2.1"
            )
        bodies.add(answer.content.decode().split("<main")[1].split("Id <code>")[0].split("request")[0])
    assert len(bodies) == 1
