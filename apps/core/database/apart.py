"""A connection beside the pool, for callers that must know quickly whether the database answers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import DEFAULT_DB_ALIAS, connections

from apps.core.database.base import DatabaseWrapper
from apps.core.database.waiting import Patience, PatientConnection


@contextmanager
def connected(seconds: float, *, alias: str = DEFAULT_DB_ALIAS) -> Iterator[PatientConnection]:
    """Open a separate connection on which no wait is longer than ``seconds``. It commits by itself.

    Raises psycopg's errors: ``ServerSilent`` at once while the server is known to be silent.
    """
    wrapper = connections[alias]
    assert isinstance(wrapper, DatabaseWrapper)
    wrapper.watch.refuse_while_silent()
    parameters = {**wrapper.plain_parameters(), "connect_timeout": 2, "autocommit": True}
    with PatientConnection.connect(**parameters) as connection:
        connection.patience = Patience(seconds)
        yield connection
