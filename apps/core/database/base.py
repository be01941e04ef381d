"""Django's PostgreSQL backend with deadlines: ``ENGINE = "apps.core.database"``.

The setting ``DATABASE_PATIENCE_MS`` (docs/configuration.md) arrives here as ``OPTIONS["patience"]``, in seconds, and
the statement timeout that bounds it as ``OPTIONS["statement_timeout"]``.
"""

from __future__ import annotations

import threading
from types import ModuleType
from typing import Any

import psycopg
from django.db import InterfaceError, OperationalError
from django.db.backends.postgresql import base
from psycopg_pool import PoolTimeout

from apps.core.database.errors import OutcomeUnknown, ServerSilent
from apps.core.database.waiting import Patience, PatientConnection
from apps.core.database.watch import ServerWatch

CHECK = Patience(seconds=1.0, at_most=3.0)
"""For the empty query that a pooled connection must answer before it is used."""

# What Django's backend uses as psycopg; only the result of `connect` differs.
_psycopg = ModuleType("psycopg")
_psycopg.__dict__.update(vars(psycopg))
_psycopg.__dict__["connect"] = PatientConnection.connect

_watches: dict[str, ServerWatch] = {}
_watches_lock = threading.Lock()


def check(connection: PatientConnection) -> None:
    """Ask a pooled connection whether it still works. Raises where it does not."""
    with connection.with_patience(CHECK):
        connection.execute("")


class DatabaseWrapper(base.DatabaseWrapper):
    """A connection that does not wait for a silent server and raises :class:`OutcomeUnknown` for a lost COMMIT."""

    Database = _psycopg

    @property
    def pool(self) -> Any:
        options = self.settings_dict["OPTIONS"].get("pool")
        if options:
            options.setdefault("connection_class", PatientConnection)
            options.setdefault("check", check)
        return super().pool

    @property
    def watch(self) -> ServerWatch:
        """What this process knows about this server."""
        with _watches_lock:
            if self.alias not in _watches:
                _watches[self.alias] = ServerWatch(self.plain_parameters)
            return _watches[self.alias]

    def plain_parameters(self) -> dict[str, Any]:
        """The parameters with which psycopg connects beside the pool, without Django's adapters and cursors."""
        skipped = ("cursor_factory", "context", "prepare_threshold")
        return {name: value for name, value in self.get_connection_params().items() if name not in skipped}

    def get_connection_params(self) -> dict[str, Any]:
        parameters: dict[str, Any] = super().get_connection_params()
        parameters.pop("patience", None)
        timeout = parameters.pop("statement_timeout", 0)
        if timeout:
            parameters.setdefault("options", f"-c statement_timeout={round(timeout * 1000)}")
        return parameters

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        self.watch.refuse_while_silent()
        for is_last in (False, False, True):
            try:
                connection = super().get_new_connection(conn_params)
                break
            except (PoolTimeout, psycopg.errors.ConnectionTimeout) as error:
                # So that later callers need not wait to find out.
                if self.watch.is_silent():
                    raise ServerSilent(str(error)) from error
                if is_last:
                    raise
        self._make_patient(connection)
        return connection

    def _configure_connection(self, connection: Any) -> bool:
        self._make_patient(connection)
        return bool(super()._configure_connection(connection))  # type: ignore[misc]

    def _make_patient(self, connection: Any) -> None:
        options = self.settings_dict["OPTIONS"]
        seconds = options.get("patience")
        if seconds:
            timeout = options.get("statement_timeout")
            connection.patience = Patience(seconds, at_most=timeout + 2 * seconds if timeout else None)
            connection.watch = self.watch

    def set_autocommit(
        self, autocommit: bool, force_begin_transaction_with_broken_autocommit: bool = False
    ) -> None:
        if autocommit and self.connection is None:
            # The end of a transaction whose connection was lost. A new connection would be made only for this, and its
            # failure would hide the first error; a new connection starts with autocommit anyway.
            self.autocommit = True
            return
        super().set_autocommit(autocommit, force_begin_transaction_with_broken_autocommit)

    def _commit(self) -> None:
        try:
            super()._commit()  # type: ignore[misc]
        except (OperationalError, InterfaceError) as error:
            if self.connection is not None and self.connection.closed:
                raise OutcomeUnknown(
                    "The connection was lost while the change was being committed."
                ) from error
            raise
