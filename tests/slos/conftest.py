"""Services with a past, people with a role, recommendations of the real engine, real workers."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import Any

import pytest
from django.db import connection
from django.db.models import Model
from django.utils import timezone

from apps.accounts.models import Team, User
from apps.catalog.models import Dependency, Service
from apps.core import instants
from apps.core.actions import Actor
from apps.core.models import AuditEntry
from apps.slos.models import Recommendation
from apps.telemetry.models import EdgeHour, LatencyHour, SliDay, SliHour
from apps.telemetry.storing.aggregates import ensure_partitions

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)

type Rate = Callable[[int], float]
"""The share of an hour's requests that fail, by how many hours before the end it lies (1 is the newest)."""


def full_hour() -> datetime:
    """The end of the last full hour: the data of these tests ends there, as live data does."""
    return timezone.now().astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def steady(share: float) -> Rate:
    return lambda _: share


def make_service(name: str, *, team: Team | None = None, **values: Any) -> Service:
    return Service.objects.create(service_id=name, team=team, **values)


def copy_rows(model: type[Model], columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Store many rows at once; columns that are not named get what the model gives them."""
    fields = {field.column: field for field in model._meta.concrete_fields}
    rest = {
        name: field.get_default()
        for name, field in fields.items()
        if name and name not in columns and not field.has_db_default()
    }
    names = ", ".join((*columns, *rest))
    with (
        connection.cursor() as cursor,
        cursor.copy(f"COPY {model._meta.db_table} ({names}) FROM STDIN") as copy,
    ):
        for row in rows:
            copy.write_row((*row, *rest.values()))


def make_hours(
    service: Service,
    *,
    days: float = 60,
    per_hour: float = 10_000,
    fails: Rate = steady(0.0005),
    end: datetime | None = None,
) -> datetime:
    """Give a service hours of requests up to ``end``; returns it. A little noise keeps the engine's draws
    apart.
    """
    end = end or full_hour()
    count = int(days * 24)
    ensure_partitions((end - count * HOUR).date(), end.date())
    copy_rows(
        SliHour,
        ("service_id", "bin_start", "total", "bad", "observed_seconds"),
        (
            (
                service.pk,
                end - ago * HOUR,
                per_hour,
                round(per_hour * fails(ago) * (1 + ((ago * 37) % 11 - 5) / 25)),
                3600,
            )
            for ago in range(1, count + 1)
        ),
    )
    return end


def make_days(service: Service, shares: Sequence[float], *, end: datetime, per_day: float = 240_000) -> None:
    """Give a service whole days before ``end``'s midnight: the last share is that of the newest day."""
    midnight = end.replace(hour=0)
    ensure_partitions((midnight - len(shares) * DAY).date(), midnight.date())
    SliDay.objects.bulk_create(
        SliDay(
            service=service,
            bin_start=midnight - (len(shares) - at) * DAY,
            total=per_day,
            bad=round(per_day * share),
            observed_seconds=86_400,
        )
        for at, share in enumerate(shares)
    )


def make_latency(service: Service, *, days: float = 40, end: datetime, slow: Rate = steady(0.02)) -> None:
    """Give a service histograms: most requests under 100 ms, a share between 250 and 500 ms."""
    copy_rows(
        LatencyHour,
        ("service_id", "bin_start", "bounds_ms", "cumulative"),
        (
            (
                service.pk,
                end - ago * HOUR,
                [50.0, 100.0, 250.0, 500.0, float("inf")],
                [4000.0, 9000.0, 10_000 * (1 - slow(ago)), 10_000.0, 10_000.0],
            )
            for ago in range(1, int(days * 24) + 1)
        ),
    )


def make_edge(source: Service, target: Service, **values: Any) -> Dependency:
    return Dependency.objects.create(
        source=source, target=target, last_observed_at=timezone.now(), confidence=1, **values
    )


def make_calls(
    source: Service, target: Service, *, end: datetime, days: float, per_hour: float, fails: Rate
) -> None:
    """Give an edge hours of calls."""
    copy_rows(
        EdgeHour,
        ("source_id", "target_id", "bin_start", "total", "bad", "observed_seconds"),
        (
            (source.pk, target.pk, end - ago * HOUR, per_hour, round(per_hour * fails(ago)), 3600)
            for ago in range(1, int(days * 24) + 1)
        ),
    )


def make_user(name: str, role: str, *teams: Team) -> User:
    user = User.objects.create_user(name, role=role)
    user.teams.set(teams)
    return user


def acting(user: User) -> Actor:
    return Actor.person(user, AuditEntry.Source.WEB, ip="192.0.2.7")


def compute(*services: Service, as_of: datetime | None = None) -> None:
    """Compute and store with the real engine, as a worker does."""
    from apps.slos.making import compute as computing

    at = as_of or full_hour()
    computed_from = instants.now()
    computing.store(
        list(computing.documents([(at, services)])),
        computed_from=computed_from,
        actor=Actor.system("tests"),
        rationale="made by a test",
    )


def current(service: Service, sli_type: str = "availability") -> Recommendation:
    return Recommendation.objects.get(service=service, sli_type=sli_type, status="current")


@pytest.fixture(autouse=True)
def _closed_breaker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give each test breakers of its own: what one test left unanswered says nothing about the next."""
    from apps.core.redis import asking
    from apps.core.resilience import CircuitBreaker

    for question in asking._questions.values():
        fresh = CircuitBreaker(question.name, failures_to_open=3, open_seconds=10)
        monkeypatch.setattr(question, "breaker", fresh)


@pytest.fixture
def shop(db: None) -> Team:
    return Team.objects.create(name="shop")


@pytest.fixture
def admin(db: None) -> Actor:
    return acting(make_user("sam", "sre_admin"))


@pytest.fixture
def owner(shop: Team) -> Actor:
    return acting(make_user("olga", "service_owner", shop))


@pytest.fixture
def checkout(shop: Team) -> Service:
    """A service of team shop with 60 days of data, latencies and a stored recommendation."""
    service = make_service("checkout", team=shop, criticality="high")
    end = make_hours(service)
    make_latency(service, end=end)
    compute(service)
    return service


@contextmanager
def running_worker(
    queues: Sequence[str] = ("interactive", "default", "bulk"), *, rooms: Sequence[str] = ("slos",)
) -> Iterator[Any]:
    """Run a real Dramatiq worker with the actors of ``rooms`` in this process, on the real Redis, under a namespace of
    its own.
    """
    import dramatiq
    from django.conf import settings
    from dramatiq.worker import Worker

    from console.workers.broker import make_broker

    before = dramatiq.get_broker()
    broker = make_broker(settings.REDIS_URL, namespace=f"test-{uuid.uuid4().hex}")
    tasks = [import_module(f"apps.{room}.tasks") for room in ("core", *rooms)]
    actors = [value for each in tasks for value in vars(each).values() if isinstance(value, dramatiq.Actor)]
    for actor in actors:
        actor.broker = broker
        broker.declare_actor(actor)
    dramatiq.set_broker(broker)
    worker = Worker(broker, queues=set(queues), worker_timeout=20, worker_threads=2)
    worker.start()
    try:
        yield broker
    finally:
        worker.stop()
        for name in [*broker.get_declared_queues()]:
            broker.flush(name)
        broker.close()
        dramatiq.set_broker(before)
        for actor in actors:
            actor.broker = before


@pytest.fixture
def live_worker(transactional_db: None) -> Iterator[Any]:
    """A worker for the duration of a test; the data it must see is committed, because the database is
    transactional.
    """
    with running_worker() as broker:
        yield broker


def settle(broker: Any) -> None:
    """Deliver every event and finish every message that follows from it, until nothing is left to do."""
    from apps.core.delivery.relay import drain

    while drain():
        for queue in ("interactive", "default", "bulk"):
            broker.join(queue, timeout=60_000)
