"""What 10,000 changes of a watched table cost while a foreign transaction is open. Prints figures, asserts on none."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import psycopg
import pytest
from django.conf import settings

CHANGES = 10_000
AT_ONCE = 1_000
ADD = "INSERT INTO accounts_team (name, origin) VALUES (gen_random_uuid()::text, '')"
MARKS = (
    "SELECT table_name, string_agg(mark::text, ' ' ORDER BY mark) FROM core_tablechange GROUP BY table_name"
)
SIZES = """
SELECT (SELECT count(*) FROM core_tablechange), pg_table_size('core_tablechange') / 1024,
       pg_indexes_size('core_tablechange') / 1024
"""
FOREIGN = {
    "nobody else": [],
    "an old snapshot": ["BEGIN ISOLATION LEVEL REPEATABLE READ", "SELECT count(*) FROM accounts_team"],
    "a transaction that wrote": ["BEGIN", "SELECT pg_current_xact_id()"],
}


@contextmanager
def session() -> Iterator[psycopg.Connection]:
    where = settings.DATABASES["default"]
    with psycopg.connect(
        host=where["HOST"],
        port=where["PORT"],
        dbname=where["NAME"],
        user=where["USER"],
        password=where["PASSWORD"],
        autocommit=True,
    ) as connection:
        yield connection


def taken_ms(call: Callable[[], object], times: int) -> float:
    began = time.perf_counter()
    for _ in range(times):
        call()
    return (time.perf_counter() - began) / times * 1000


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("foreign", FOREIGN)
def test_marks_under_a_foreign_transaction(foreign: str) -> None:
    with ExitStack() as stack:
        other, ours = (stack.enter_context(session()) for _ in range(2))
        for statement in FOREIGN[foreign]:
            other.execute(statement)
        print(f"\n  {foreign}: marks, heap KB, index KB; ms a change, ms to read the marks")
        for done in range(0, CHANGES, AT_ONCE):
            change = taken_ms(lambda: ours.execute(ADD), AT_ONCE)
            read = taken_ms(lambda: ours.execute(MARKS).fetchall(), 20)
            if done in (0, CHANGES - AT_ONCE):
                row = ours.execute(SIZES).fetchone()
                print(f"    after {done + AT_ONCE:>6,} {row}   {change:>7.2f}  {read:>7.2f}")
        other.execute("ROLLBACK")
