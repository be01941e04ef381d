"""Scratch tables of one session, for work in bulk.

The application's role may not create tables, not even temporary ones, because such a table could hide a real one. A
function of the owner creates scratch tables, with names that start with ``stage_``, ``judged_`` or ``noted_``.
"""

from __future__ import annotations

from collections.abc import Mapping

from django.db.backends.utils import CursorWrapper


def make(
    cursor: CursorWrapper,
    name: str,
    columns: Mapping[str, str],
    *,
    is_required: bool = False,
    until_commit: bool = False,
) -> None:
    """Create an empty scratch table; an existing one of that name is replaced.

    Parameters:
        columns: the PostgreSQL type of each column by name, in their order.
        is_required: whether all columns are NOT NULL.
        until_commit: whether the table goes at the end of the transaction; else it goes with the session.
    """
    cursor.execute(
        "SELECT core_make_scratch_table(%s, %s, %s, %s, %s)",
        [name, list(columns), list(columns.values()), is_required, until_commit],
    )


def drop(cursor: CursorWrapper, name: str) -> None:
    """Drop a scratch table if there is one of that name."""
    cursor.execute("SELECT core_drop_scratch_table(%s)", [name])
