"""What this process knows about whether PostgreSQL lives.

A slow query and a frozen server look the same to the client: nothing comes. So a caller that has waited for long asks
the server for another connection. Where that is not answered either, all callers are refused at once, while a thread
asks again until the server is back. No request waits for that.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import psycopg
import structlog

from apps.core.database.errors import ServerSilent

logger = structlog.get_logger(__name__)

ASK_AGAIN_SECONDS = 0.5
"""The pause between two attempts to reach a silent server. Short, so that its return is noticed soon."""
CONNECT_SECONDS = 2
"""The longest time that a new connection may take. libpq does not go below two seconds."""

type Parameters = Callable[[], Mapping[str, Any]]


class ServerWatch:
    """Knows whether one server answers. All threads of this process share it.

    Parameters:
        parameters: returns the connection parameters; called for each attempt.
    """

    def __init__(self, parameters: Parameters) -> None:
        self._parameters = parameters
        self._asking = threading.Lock()
        self._asked = 0
        self._is_silent = False
        self._waiter: threading.Thread | None = None

    def refuse_while_silent(self) -> None:
        """Raise :class:`ServerSilent` while the server is known to be silent. Never waits."""
        if self._is_silent:
            self._await_return()
            raise ServerSilent("PostgreSQL gives no sign of life.")

    def is_silent(self) -> bool:
        """Ask the server now, unless it is known to be silent or another thread is about to ask."""
        seen = self._asked
        with self._asking:
            if self._is_silent or self._asked > seen:
                return self._is_silent
            self._asked += 1
            self._is_silent = not self._answers()
            if self._is_silent:
                logger.error("database.silent")
                self._await_return()
            return self._is_silent

    def _answers(self) -> bool:
        try:
            psycopg.connect(**{**self._parameters(), "connect_timeout": CONNECT_SECONDS}).close()
        except psycopg.OperationalError as error:
            return is_refusal(error)
        return True

    def _await_return(self) -> None:
        """Have a thread ask until the server answers. A thread that did not survive a fork is replaced."""
        if self._waiter is None or not self._waiter.is_alive():
            self._waiter = threading.Thread(
                target=self._ask_until_it_answers, name="database-watch", daemon=True
            )
            self._waiter.start()

    def _ask_until_it_answers(self) -> None:
        while not self._answers():
            time.sleep(ASK_AGAIN_SECONDS)
        logger.info("database.answers")
        self._is_silent = False


def is_refusal(error: psycopg.OperationalError) -> bool:
    """Return whether the server itself refused the connection, for example because it has none to spare."""
    return "FATAL" in str(error)
