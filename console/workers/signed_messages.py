"""Signed messages: a worker runs only what this installation sent, nothing that was planted in Redis."""

from __future__ import annotations

from typing import Any

import redis
import structlog
from dramatiq import DecodeError, Encoder
from dramatiq.brokers.redis import RedisBroker
from dramatiq.encoder import JSONEncoder, MessageData

from apps.core.redis.signing import Unreadable, opened, signed

logger = structlog.get_logger(__name__)

_PLACE = "message"


class SignedEncoder(Encoder):
    """Encodes a message as signed JSON."""

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
    """Drops undecodable messages when it fetches them, so that they stop neither the worker nor the other messages."""

    def do_fetch(self, queue_name: str, *arguments: Any) -> list[bytes | None]:
        """Fetch the signed messages of a queue."""
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
        """Remove a refused message from Redis, if it names its id there."""
        try:
            message = JSONEncoder().decode(data[max(0, data.find(b"{")) :])
            self.do_ack(queue_name, str(message["options"]["redis_message_id"]))
        except (DecodeError, KeyError, TypeError, redis.RedisError):
            return
