"""Whatever stands in Redis that this installation did not write there is a miss, never an error and never believed."""

from __future__ import annotations

import json
import pickle
import uuid
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import dramatiq
import pytest
import redis
from django.conf import settings
from django.core.cache import cache
from dramatiq import Message
from dramatiq.encoder import JSONEncoder
from dramatiq.worker import Worker
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from apps.core.redis import asking, rate_limit
from apps.core.redis import watch as redis_watch
from apps.core.redis.cache import TolerantRedisCache
from apps.core.redis.rate_limit import Limit
from apps.core.redis.signing import Unreadable, opened, signed
from apps.slos import computation
from apps.telemetry.clients.prometheus.last_good import LastGood
from console.workers.broker import make_broker
from console.workers.signed_messages import SignedEncoder, SignedRedisBroker
from tests.conftest import ROOT
from tests.house.waiting import until

pytestmark = pytest.mark.django_db

drawn = examples(
    max_examples=60,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
ran: list[str] = []


class Bomb:
    """What runs when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return ran.append, ("unpickled",)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
GARBAGE = (
    st.binary(max_size=200)
    | st.integers().map(lambda number: str(number).encode())
    | VALUES.map(lambda value: json.dumps(value).encode())
    | VALUES.map(lambda value: bytes(32) + json.dumps([None, value]).encode())
    | VALUES.map(pickle.dumps)
    | st.just(pickle.dumps(Bomb()))
)


@pytest.fixture
def server() -> redis.Redis:
    """The cache's own Redis, as somebody who may write there sees it."""
    client: redis.Redis = redis.Redis.from_url(settings.REDIS_URL)
    return client


def plant(server: redis.Redis, key: str, kind: str, data: bytes) -> None:
    """Put something of one of Redis's types under a key of the cache."""
    place = cache.make_key(key)
    server.delete(place)
    match kind:
        case "string":
            server.set(place, data)
        case "list":
            server.lpush(place, data)
        case "hash":
            server.hset(place, mapping={b"tokens": data, b"at": data, data: data})
        case "set":
            server.sadd(place, data)
        case "zset":
            server.zadd(place, {data: 1.0})


KINDS = st.sampled_from(["string", "string", "string", "list", "hash", "set", "zset"])


@drawn
@given(kind=KINDS, data=GARBAGE)
def test_what_is_planted_in_the_cache_is_a_miss(server: redis.Redis, kind: str, data: bytes) -> None:
    plant(server, "a", kind, data)
    assert cache.get("a", "missed") == "missed"
    assert cache.get_many(["a"]) == {}
    assert "a" not in cache
    assert cache.get_or_set("a", lambda: [1], 30) == [1]
    cache.set("a", {"b": 1}, 30)
    assert cache.get("a") == {"b": 1}
    assert ran == []


@drawn
@given(value=VALUES, other=VALUES, place=st.integers(0, 400), bit=st.integers(0, 7))
def test_a_value_is_read_where_it_was_put_and_unchanged(
    server: redis.Redis, value: Any, other: Any, place: int, bit: int
) -> None:
    cache.set("a", value, 30)
    cache.set("b", other, 30)
    assert cache.get("a", "missed") == value
    kept = server.get(cache.make_key("a"))
    assert isinstance(kept, bytes)
    server.set(cache.make_key("b"), kept)
    assert cache.get("b", "missed") == "missed"
    changed = bytearray(kept)
    changed[place % len(kept)] ^= 1 << bit
    server.set(cache.make_key("a"), bytes(changed))
    assert cache.get("a", "missed") == "missed"


def test_a_value_is_not_kept_alive_past_its_time(
    server: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    import time

    cache.set("a", 1, 30)
    server.persist(cache.make_key("a"))
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 29)
    assert cache.get("a") == 1
    monkeypatch.setattr(time, "time", lambda: now + 31)
    assert cache.get("a") is None


@pytest.mark.parametrize("value", [b"bytes", object(), {1, 2}, {"id": uuid.uuid4()}])
def test_what_is_no_json_is_not_kept(value: Any) -> None:
    with pytest.raises(TypeError):
        cache.set("a", value)


def test_a_former_secret_still_counts_and_a_foreign_one_does_not(settings: Any) -> None:
    data = signed("place", {"a": 1})
    settings.SECRET_KEY_FALLBACKS, settings.SECRET_KEY = [settings.SECRET_KEY], "n" * 50
    assert opened("place", data) == {"a": 1}
    settings.SECRET_KEY_FALLBACKS = []
    with pytest.raises(Unreadable):
        opened("place", data)


@drawn
@given(kind=KINDS, data=GARBAGE)
def test_what_reads_the_cache_takes_garbage_for_a_miss(server: redis.Redis, kind: str, data: bytes) -> None:
    answers = LastGood(cache, "http://prometheus")
    plant(server, answers._key("up"), kind, data)
    assert answers.recall("up") is None
    answers.keep("up", {"result": [1]})
    found = answers.recall("up")
    assert found is not None
    assert found[0] == {"result": [1]}


@drawn
@given(
    kind=KINDS,
    data=GARBAGE | st.sampled_from([b"nan", b"-nan", b"inf", b"-inf", b"1e400", b"-1e300", b"0x1p9"]),
)
def test_a_bucket_that_was_tampered_with_is_a_bucket(server: redis.Redis, kind: str, data: bytes) -> None:
    client = f"test:{uuid.uuid4().hex}"
    plant(server, f"rate:{settings.INSTALLATION_ID}:{client}", kind, data)
    allowances = [rate_limit.take(client, Limit(burst=3, per_minute=1)) for _ in range(5)]
    assert not redis_watch.is_silent()  # Redis counted, not this process alone
    assert sum(one.is_allowed for one in allowances) <= 3
    assert all(0 <= one.remaining <= 3 for one in allowances)
    assert not allowances[-1].is_allowed
    assert allowances[-1].retry_after <= 60


@drawn
@given(data=GARBAGE)
def test_a_reply_that_no_worker_signed_is_passed_over(server: redis.Redis, data: bytes) -> None:
    ticket = uuid.uuid4().hex
    server.rpush(asking.reply_key(ticket), data)
    assert computation.wait_for(ticket, deadline_seconds=0.02) is None
    server.rpush(asking.reply_key(ticket), data)
    server.rpush(asking.reply_key(ticket), signed(asking.reply_key(uuid.uuid4().hex), {"state": "stored"}))
    server.rpush(asking.reply_key(ticket), signed(asking.reply_key(ticket), {"state": "stored"}))
    assert computation.wait_for(ticket, deadline_seconds=2) == {"state": "stored"}


@pytest.fixture
def broker() -> Iterator[SignedRedisBroker]:
    own = make_broker(settings.REDIS_URL, namespace=f"test-{uuid.uuid4().hex}")
    own.emit_after("process_boot")
    yield own
    own.flush_all()
    own.close()


def forged(name: str, **options: Any) -> bytes:
    """A message as Dramatiq's own encoder writes it."""
    message: Message[Any] = Message(
        queue_name="default", actor_name=name, args=(), kwargs={}, options=options
    )
    return JSONEncoder().encode(message.asdict())


PLANTED: list[Callable[[str], bytes]] = [
    lambda name: forged("record", redis_message_id=name),
    lambda name: bytes(32) + forged("record", redis_message_id=name),
    lambda name: forged("record", redis_message_id="elsewhere"),
    lambda name: forged("record"),
    lambda name: forged("no-such-actor", redis_message_id=name),
    lambda name: forged("record", redis_message_id={"a": [1]}),
    lambda name: signed("elsewhere", json.loads(forged("record", redis_message_id=name))),
    lambda name: b"{",
    lambda name: b"[]",
    lambda name: b"null",
    lambda name: b"",
    lambda name: b"\xff\xfe",
    lambda name: pickle.dumps(Bomb()),
]


@pytest.mark.django_db(transaction=True)
def test_a_planted_message_is_not_run_and_stops_no_other(broker: SignedRedisBroker) -> None:
    recorded: list[int] = []

    @dramatiq.actor(broker=broker, queue_name="default")
    def record(number: int = -1) -> None:
        recorded.append(number)

    for number, make in enumerate(PLANTED):
        name = str(uuid.uuid4())
        broker.do_enqueue("default", name, make(name))
        record.send(number)
    worker = Worker(broker, worker_timeout=20, worker_threads=2)
    worker.start()
    try:
        until(lambda: len(recorded) >= len(PLANTED), "the messages have been worked off", deadline_s=20)
    finally:
        worker.stop(timeout=5_000)
    assert sorted(recorded) == [*range(len(PLANTED))]
    assert ran == []


@drawn
@given(
    arguments=st.lists(VALUES, max_size=3),
    place=st.integers(0, 1000),
    bit=st.integers(0, 7),
)
def test_a_message_is_decoded_whole_and_unchanged(arguments: list[Any], place: int, bit: int) -> None:
    message: Message[Any] = Message("default", "record", tuple(arguments), {}, {})
    encoder = SignedEncoder()
    data = encoder.encode(message.asdict())
    assert encoder.decode(data)["args"] == arguments or encoder.decode(data)["args"] == list(arguments)
    changed = bytearray(data)
    changed[place % len(data)] ^= 1 << bit
    with pytest.raises(dramatiq.DecodeError):
        encoder.decode(bytes(changed))


RULES = next(
    line.split("ballast on >%s ")[1].split("\\n")[0]
    for line in (ROOT / "compose.yaml").read_text().splitlines()
    if "user ballast on >%s " in line
).split()


@pytest.fixture
def as_the_user_of_compose(server: redis.Redis) -> Iterator[str]:
    """The address of the tests' Redis, for a user with the rules of ``compose.yaml``."""
    name = f"test-{uuid.uuid4().hex}"
    server.execute_command("ACL", "SETUSER", name, "reset", "on", ">secret", *RULES)  # type: ignore[no-untyped-call]
    parts = urlsplit(settings.REDIS_URL)
    yield urlunsplit(parts._replace(netloc=f"{name}:secret@{parts.hostname}:{parts.port}"))
    server.execute_command("ACL", "DELUSER", name)  # type: ignore[no-untyped-call]


def test_the_documentation_names_the_user_of_compose() -> None:
    assert f"user ballast on >PASSWORD {' '.join(RULES)}" in (ROOT / "docs/operations.md").read_text()


@pytest.mark.django_db(transaction=True)
def test_a_user_that_can_only_use_redis_is_enough(
    as_the_user_of_compose: str, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = as_the_user_of_compose
    own = TolerantRedisCache(url, {"OPTIONS": {}})
    own.set("test-a", 1, 30)
    assert own.get("test-a") == 1
    own.delete_many(["test-a"])
    settings.REDIS_URL = url
    assert rate_limit.take(f"test:{uuid.uuid4().hex}", Limit(burst=3, per_minute=60)).is_allowed
    assert not redis_watch.is_silent()
    broker = make_broker(url, namespace=f"test-{uuid.uuid4().hex}")
    broker.maintenance_chance = 1_000_000  # at each fetch
    broker.emit_after("process_boot")
    recorded: list[int] = []

    @dramatiq.actor(broker=broker, queue_name="default")
    def note(number: int) -> None:
        recorded.append(number)

    for number in range(3):
        note.send_with_options(args=(number,), delay=1 if number == 2 else None)
    worker = Worker(broker, worker_timeout=20, worker_threads=1)
    worker.start()
    try:
        until(lambda: len(recorded) == 3, "the messages have been worked off", deadline_s=20)
    finally:
        worker.stop(timeout=5_000)
        broker.flush_all()
        broker.close()


@pytest.mark.parametrize(
    "command",
    ["FLUSHALL", "FLUSHDB", "CONFIG GET *", "CONFIG SET dir /tmp", "ACL LIST", "ACL SETUSER mine", "MONITOR",
     "SHUTDOWN NOSAVE", "DEBUG SLEEP 0", "REPLICAOF NO ONE", "SAVE", "BGREWRITEAOF", "CLIENT LIST",
     "CLIENT KILL TYPE normal", "MODULE LIST", "SLOWLOG GET", "SWAPDB 0 1", "MIGRATE 127.0.0.1 1 a 0 1"],
)  # fmt: skip
def test_that_user_cannot_change_watch_or_empty_the_server(as_the_user_of_compose: str, command: str) -> None:
    client: redis.Redis = redis.Redis.from_url(as_the_user_of_compose)
    with pytest.raises(redis.exceptions.NoPermissionError):
        client.execute_command(*command.split())  # type: ignore[no-untyped-call]
