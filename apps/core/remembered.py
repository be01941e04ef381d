"""Answers that this process keeps for as long as the tables that they were read from stay unchanged.

A change of a watched table leaves a mark in ``core_tablechange``, in the transaction of the change itself. So a table
whose marks are the same holds the same rows, and an answer that was read from it is still right. No time limit and no
message is involved, so nothing can get lost or come late.

All requests share the kept answers. A key names everything that the answer depends on beside the tables: the user's
role and teams, filters, the order. Callers must not change an answer that they get.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Hashable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from django.db import connection
from django.db.migrations import RunSQL

MOST_ANSWERS = 500
"""The most answers kept in a process. The least recently used is dropped first."""

LONGEST_WAIT_S = 2.0
"""How long, in seconds, a request waits for another that reads the same answer, before it reads the answer itself."""

_MARKS = (
    "SELECT table_name, string_agg(mark::text, ' ' ORDER BY mark) FROM core_tablechange GROUP BY table_name"
)

_kept: OrderedDict[Hashable, tuple[tuple[str, ...], tuple[Any]]] = OrderedDict()
_reading: dict[Hashable, threading.Lock] = {}
_lock = threading.Lock()
_request: ContextVar[dict[str, Mapping[str, str]] | None] = ContextVar("marks of a request", default=None)


def remembered[AnswerT](key: Hashable, tables: Collection[str], read: Callable[[], AnswerT]) -> AnswerT:
    """Return what ``read`` returned for the present state of the tables, or call it.

    Inside a transaction ``read`` is always called, because it may see changes that nobody else sees yet.

    Parameters
    ----------
    key : names the answer and all that it depends on beside the tables; begin it with the function's own name
    tables : watched tables (see :func:`watch`), all that ``read`` looks at
    """
    if connection.in_atomic_block:
        return read()
    marks = _marks()
    now = tuple(marks.get(table, "") for table in tables)
    known = _find(key, now)
    if known is not None:
        return known[0]  # type: ignore[no-any-return]
    with _one_at_a_time(key):
        known = _find(key, now)
        if known is None:
            # The marks are read first, so an answer is never older than the marks that it is kept under.
            known = (read(),)
            with _lock:
                _kept[key] = (now, known)
                _kept.move_to_end(key)
                while len(_kept) > MOST_ANSWERS:
                    _kept.popitem(last=False)
    return known[0]


def _find(key: Hashable, now: tuple[str, ...]) -> tuple[Any] | None:
    with _lock:
        before, answer = _kept.get(key, ((), None))
        if answer is None or before != now:
            return None
        _kept.move_to_end(key)
        return answer


@contextmanager
def _one_at_a_time(key: Hashable) -> Iterator[None]:
    """Let one request read an answer while others that want the same wait for it, at most ``LONGEST_WAIT_S``."""
    with _lock:
        reading = _reading.setdefault(key, threading.Lock())
    has_it = reading.acquire(timeout=LONGEST_WAIT_S)
    try:
        yield
    finally:
        with _lock:
            _reading.pop(key, None)
        if has_it:
            reading.release()


def forget_all() -> None:
    """Forget every answer, as if the process had restarted."""
    with _lock:
        _kept.clear()


@contextmanager
def marks_read_once() -> Iterator[None]:
    """Read the marks once for the whole block. For requests that change nothing."""
    token = _request.set({})
    try:
        yield
    finally:
        _request.reset(token)


def _marks() -> Mapping[str, str]:
    known = _request.get()
    if known is not None and "marks" in known:
        return known["marks"]
    with connection.cursor() as cursor:
        cursor.execute(_MARKS)
        marks = dict(cursor.fetchall())
    if known is not None:
        known["marks"] = marks
    return marks


def watch(*tables: str) -> RunSQL:
    """Return the migration operation that makes changes of these tables leave marks."""
    create = "; ".join(
        f"CREATE TRIGGER {table}_marked AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON {table}"
        " FOR EACH STATEMENT EXECUTE FUNCTION core_mark_change()"
        for table in tables
    )
    return RunSQL(create, "; ".join(f"DROP TRIGGER {table}_marked ON {table}" for table in tables))
