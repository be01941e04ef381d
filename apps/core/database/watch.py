"""What this process knows of whether PostgreSQL lives.

A query that takes long and a server that is frozen look the same from the client: nothing comes. So whoever has
waited for long asks the server for another connection. Where that is not answered either, the breaker opens, and for
a second everybody is refused at once; then one request asks again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

import psycopg
import structlog

from apps.core.database.errors import ServerSilent
from apps.core.resilience import BreakerState, CircuitBreaker, CircuitOpen

logger = structlog.get_logger(__name__)

OPEN_SECONDS = 1.0
"""How long nobody asks a silent server. Short, so that its return is noticed at once."""
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
        self._breaker = CircuitBreaker("PostgreSQL", failures_to_open=1, open_seconds=OPEN_SECONDS)
        self._asking = threading.Lock()
        self._asked = 0
        self._last_was_silent = False

    @property
    def is_known_silent(self) -> bool:
        """Whether the last attempt found the server silent; asks nobody."""
        return self._breaker.state is not BreakerState.CLOSED

    def refuse_while_silent(self) -> None:
        """Return at once where all is well, or raise :class:`ServerSilent`. One caller a second asks the server."""
        if self.is_known_silent and self._ask() is False:
            raise ServerSilent("PostgreSQL gives no sign of life.")

    def is_silent(self) -> bool:
        """Ask the server now, unless another thread has just begun to: then wait for what that one hears."""
        seen = self._asked
        with self._asking:
            if self._asked > seen:
                # Somebody began to ask after this call, and has the answer.
                return self._last_was_silent
            self._asked += 1
            self._last_was_silent = self._ask() is False
            return self._last_was_silent

    def _ask(self) -> bool:
        """Whether the server lives, as far as the breaker lets one find out."""
        try:
            with self._breaker.guard():
                self._connect()
        except (CircuitOpen, ServerSilent):
            return False
        return True

    def _connect(self) -> None:
        try:
            psycopg.connect(**{**self._parameters(), "connect_timeout": CONNECT_SECONDS}).close()
        except psycopg.OperationalError as error:
            if is_refusal(error):
                return
            logger.error("database.silent", error=repr(error))
            raise ServerSilent(str(error)) from error


def is_refusal(error: psycopg.OperationalError) -> bool:
    """Whether a failed attempt to connect is an answer of the server, such as that it has no connection to spare."""
    return "FATAL" in str(error)
