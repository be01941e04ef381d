"""What this process knows of whether PostgreSQL lives.

A query that takes long and a server that is frozen look the same from the client: nothing comes. So whoever has
waited for long asks the server for another connection. Where that is not answered either, everybody is refused at
once from then on, while a thread asks again until the server is back. No request waits for that.
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
"""The pause between two questions to a silent server. Short, so that its return is noticed at once."""
CONNECT_SECONDS = 2
"""How long a new connection may take. libpq does not go below two seconds."""

type Parameters = Callable[[], Mapping[str, Any]]


class ServerWatch:
    """Whether one server answers; shared by the threads of this process.

    Parameters:
        parameters: returns what to connect with, asked anew each time.
    """

    def __init__(self, parameters: Parameters) -> None:
        self._parameters = parameters
        self._asking = threading.Lock()
        self._asked = 0
        self._is_silent = False
        self._waiter: threading.Thread | None = None

    def refuse_while_silent(self) -> None:
        """Return where nothing is known against the server, else raise :class:`ServerSilent`. Either at once."""
        if self._is_silent:
            self._await_return()
            raise ServerSilent("PostgreSQL gives no sign of life.")

    def is_silent(self) -> bool:
        """Ask the server now, unless it is known to be silent or another thread begins to ask at this moment."""
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
        """Have a thread ask until the server answers; one that did not survive a fork is replaced."""
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
    """Whether a failed attempt to connect is an answer of the server, such as that it has no connection to spare."""
    return "FATAL" in str(error)
