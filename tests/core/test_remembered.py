"""An answer that is remembered is the one that the database would give now, whoever changes what in which order."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterator

import psycopg
import pytest
from django.conf import settings
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from apps.accounts.models import Team
from apps.core.remembered import marks_read_once, remembered
from tests.house.waiting import until

TABLES = ("accounts_team",)
ADD = "INSERT INTO accounts_team (name, origin) VALUES (gen_random_uuid()::text, '')"


def names() -> list[str]:
    return list(Team.objects.order_by("name").values_list("name", flat=True))


def names_remembered() -> list[str]:
    return remembered("test names", TABLES, names)


@pytest.fixture
def others() -> Iterator[list[psycopg.Connection]]:
    """Four sessions of the application's role, each with transactions of its own."""
    where = settings.DATABASES["default"]
    with contextlib.ExitStack() as stack:
        yield [
            stack.enter_context(
                psycopg.connect(
                    host=where["HOST"],
                    port=where["PORT"],
                    dbname=where["NAME"],
                    user=where["USER"],
                    password=where["PASSWORD"],
                    autocommit=True,
                )
            )
            for _ in range(4)
        ]


def add(other: psycopg.Connection) -> None:
    other.execute(ADD)


def rename_one(other: psycopg.Connection) -> None:
    other.execute(
        "UPDATE accounts_team SET name = gen_random_uuid()::text WHERE id ="
        " (SELECT id FROM accounts_team ORDER BY random() LIMIT 1 FOR UPDATE SKIP LOCKED)"
    )


def delete_one(other: psycopg.Connection) -> None:
    other.execute(
        "DELETE FROM accounts_team WHERE id ="
        " (SELECT id FROM accounts_team ORDER BY random() LIMIT 1 FOR UPDATE SKIP LOCKED)"
    )


def begin(other: psycopg.Connection) -> None:
    if other.info.transaction_status == psycopg.pq.TransactionStatus.IDLE:
        other.execute("BEGIN")


def save(other: psycopg.Connection) -> None:
    if other.info.transaction_status == psycopg.pq.TransactionStatus.INTRANS:
        other.execute("SAVEPOINT here")
        other.execute(ADD)
        other.execute("ROLLBACK TO here")


def commit(other: psycopg.Connection) -> None:
    other.execute("COMMIT")


def roll_back(other: psycopg.Connection) -> None:
    other.execute("ROLLBACK")


STEPS: tuple[Callable[[psycopg.Connection], None], ...] = (
    *(add, rename_one, delete_one, begin, begin, save, commit, commit, roll_back),
)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("seed", range(6))
def test_what_is_remembered_is_what_is_there_in_any_order_of_changes(
    seed: int, others: list[psycopg.Connection]
) -> None:
    draw = random.Random(seed)
    for other in others:
        other.execute("SET lock_timeout = '2s'")
        other.execute("SET client_min_messages = error")
    for _ in range(120):
        draw.choice(STEPS)(draw.choice(others))
        assert names_remembered() == names()


@pytest.mark.django_db(transaction=True)
def test_marks_of_transactions_that_ended_are_taken_away(others: list[psycopg.Connection]) -> None:
    for _ in range(20):
        add(others[0])

    def is_one_mark_left() -> bool:
        # A transaction of another test, in another database of the server, holds marks back while it lasts.
        add(others[0])
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM core_tablechange WHERE table_name = 'accounts_team'")
            return bool(cursor.fetchone() == (1,))

    until(is_one_mark_left, "one mark is left of many ended transactions")


@pytest.mark.django_db(transaction=True)
def test_two_who_change_the_same_table_do_not_wait_for_each_other(others: list[psycopg.Connection]) -> None:
    for other in others:
        other.execute("SET lock_timeout = '1s'")
        other.execute("BEGIN")
        add(other)
    for other in others:
        add(other)
        other.execute("COMMIT")
    assert len(names_remembered()) == 2 * len(others)


@pytest.mark.django_db(transaction=True)
def test_what_did_not_change_is_asked_of_the_database_once() -> None:
    Team.objects.create(name="shop")
    asked = 0

    def read() -> list[str]:
        nonlocal asked
        asked += 1
        return names()

    for _ in range(5):
        assert remembered("asked", TABLES, read) == ["shop"]
    assert asked == 1


@pytest.mark.django_db(transaction=True)
def test_a_change_of_another_table_forgets_nothing() -> None:
    assert names_remembered() == []
    before = names_remembered()
    with connection.cursor() as cursor:
        cursor.execute("UPDATE slos_servicestatus SET state = 'fine'")
    assert names_remembered() is before


@pytest.mark.django_db(transaction=True)
def test_inside_a_transaction_nothing_is_remembered() -> None:
    assert names_remembered() == []
    with transaction.atomic():
        Team.objects.create(name="shop")
        assert names_remembered() == ["shop"]
        Team.objects.create(name="till")
        assert names_remembered() == ["shop", "till"]
        transaction.set_rollback(True)
    assert names_remembered() == []


@pytest.mark.django_db(transaction=True)
def test_the_marks_are_read_once_for_a_request() -> None:
    with CaptureQueriesContext(connection) as queries, marks_read_once():
        names_remembered()
        names_remembered()
        remembered("another", TABLES, names)
    assert sum("core_tablechange" in query["sql"] for query in queries) == 1
