"""Messages are signed: a worker runs what this installation sent, and nothing that was planted in Redis."""

from __future__ import annotations

from typing import Any

import redis
import structlog
from dramatiq import DecodeError, Encoder
from dramatiq.brokers.redis import RedisBroker
from dramatiq.encoder import JSONEncoder, MessageData

from apps.core.signing import Unreadable, opened, signed

logger = structlog.get_logger(__name__)

_PLACE = "message"


class SignedEncoder(Encoder):
    """A message as signed JSON."""

    def encode(self, data: MessageData) -> bytes:
        return signed(_PLACE, data)

    def decode(self, data: bytes) -> MessageData:
        try:
            message: MessageData = opened(_PLACE, data)
        except Unreadable as error:
            words = "The message is not signed by this installation."
            raise DecodeError(words, data, error) from error  # type: ignore[no-untyped-call]
        return message


class SignedRedisBroker(RedisBroker):
    """Refuses what cannot be decoded as it is fetched, so that it neither stops a worker nor what stands beside it."""

    def do_fetch(self, queue_name: str, *arguments: Any) -> list[bytes | None]:
        """Fetch messages of a queue, those only that are signed."""
        fetched: list[bytes | None] = self._dispatch("fetch")(queue_name, *arguments)  # type: ignore[no-untyped-call]
        return [data for data in fetched if data is None or self._is_ours(queue_name, data)]

    def _is_ours(self, queue_name: str, data: bytes) -> bool:
        try:
            opened(_PLACE, data)
        except Unreadable:
            logger.error("message.refused", queue=queue_name, size_bytes=len(data))
            self._forget(queue_name, data)
            return False
        return True

    def _forget(self, queue_name: str, data: bytes) -> None:
        """Take a refused message out of Redis, as far as it says under which id it stands there."""
        try:
            message = JSONEncoder().decode(data[max(0, data.find(b"{")) :])
            self.do_ack(queue_name, str(message["options"]["redis_message_id"]))
        except (DecodeError, KeyError, TypeError, redis.RedisError):
            return
