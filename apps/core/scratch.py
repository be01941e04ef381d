"""Scratch tables of one session, for work in bulk.

The application's role may make no table, not even a temporary one: such a table could take the place of a real one.
A function of the owner makes scratch tables, under names that start with ``stage_``, ``judged_`` or ``noted_``.
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
    """Make an empty scratch table, in place of one of that name.

    Parameters:
        columns: PostgreSQL's type of each column, in their order.
        is_required: no column may be null.
        until_commit: it goes when the transaction ends, else with the session.
    """
    cursor.execute(
        "SELECT core_make_scratch_table(%s, %s, %s, %s, %s)",
        [name, list(columns), list(columns.values()), is_required, until_commit],
    )


def drop(cursor: CursorWrapper, name: str) -> None:
    """Drop a scratch table if there is one of that name."""
    cursor.execute("SELECT core_drop_scratch_table(%s)", [name])
