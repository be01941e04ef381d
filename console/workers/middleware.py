"""Middleware around every message: database connections, request ids, messages that kill workers."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import structlog
from django.db import DatabaseError, close_old_connections
from dramatiq import Message
from dramatiq.middleware import Middleware, SkipMessage

from apps.core import services

logger = structlog.get_logger(__name__)

# After this many starts, retries included, a message counts as one that kills its workers.
MAX_STARTS = 12


class DatabaseConnections(Middleware):
    """Give connections back to the pool between messages, and drop broken ones."""

    def before_process_message(self, broker: Any, message: Any) -> None:
        close_old_connections()

    def after_process_message(
        self, broker: Any, message: Any, *, result: Any = None, exception: BaseException | None = None
    ) -> None:
        close_old_connections()

    def after_skip_message(self, broker: Any, message: Any) -> None:
        close_old_connections()


class Correlation(Middleware):
    """Carry the id of the request that caused a message into the log lines of the actor."""

    option = "request_id"

    def before_enqueue(self, broker: Any, message: Message[Any], delay: int | None) -> None:
        request_id = structlog.contextvars.get_contextvars().get("request_id")
        if request_id is not None:
            message.options.setdefault(self.option, str(request_id))

    def before_process_message(self, broker: Any, message: Any) -> None:
        structlog.contextvars.bind_contextvars(
            actor=message.actor_name,
            message_id=message.message_id,
            request_id=message.options.get(self.option, message.message_id),
        )

    def after_process_message(
        self, broker: Any, message: Any, *, result: Any = None, exception: BaseException | None = None
    ) -> None:
        structlog.contextvars.clear_contextvars()

    def after_skip_message(self, broker: Any, message: Any) -> None:
        structlog.contextvars.clear_contextvars()


class PoisonGuard(Middleware):
    """Stop a message that kills its process, because then nobody is left to count the start as a retry.

    Starts are counted in PostgreSQL, before the actor runs. A count in Redis could be lost.
    """

    def before_process_message(self, broker: Any, message: Any) -> None:
        try:
            starts = services.count_start(message.message_id, message.actor_name)
        except DatabaseError:
            # Without the database the actor fails by itself and is retried.
            logger.warning("message.not_counted", exc_info=True)
            return
        if starts > MAX_STARTS:
            logger.error(
                "message.poison", actor=message.actor_name, message_id=message.message_id, starts=starts
            )
            message.fail()
            raise SkipMessage(f"Message {message.message_id} was started {starts} times.")

    def after_process_message(
        self, broker: Any, message: Any, *, result: Any = None, exception: BaseException | None = None
    ) -> None:
        if exception is None:
            with suppress(DatabaseError):
                services.forget_starts(message.message_id)
