"""One connection from the edge to a web process. Granian is trusted to speak correct HTTP/1.1."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from console.edge.buffers import PIECE_BYTES, Buffer

MAX_HEAD_BYTES = 256 * 1024
# Granian closes connections that are idle for 30 s. This side closes earlier, so that no request meets a closing one.
MAX_IDLE_S = 10.0
_NOT_PASSED_ON = frozenset({b"connection", b"keep-alive", b"transfer-encoding", b"server"})


@dataclass(frozen=True, slots=True)
class Answer:
    """Status and headers of an answer, without headers that concern the connection."""

    status: int
    headers: list[tuple[bytes, bytes]]

    @property
    def is_stream(self) -> bool:
        """Whether it arrives piece by piece, as events do, and may go on for hours."""
        return any(
            name == b"content-type" and value.startswith(b"text/event-stream") for name, value in self.headers
        )


class Upstream:
    """Takes one request at a time: ``ask``, then ``pieces`` to the end."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._loop = asyncio.get_running_loop()
        self._idle_since = self._loop.time()
        self._sending: asyncio.Task[None] | None = None
        self._is_complete = True
        self._left: int | None = 0
        self._chunk_left: int | None = None
        self._has_head = False
        self.was_used = False

    @classmethod
    async def open(cls, socket: Path) -> Upstream:
        return cls(*await asyncio.open_unix_connection(str(socket), limit=MAX_HEAD_BYTES))

    @property
    def is_usable(self) -> bool:
        """Whether another request may be sent: the last one is over and the connection is open."""
        return (
            self._is_complete
            and not self._reader.at_eof()
            and not self._writer.transport.is_closing()
            and self._loop.time() - self._idle_since < MAX_IDLE_S
        )

    async def ask(self, head: bytes, body: Buffer | None, method: bytes) -> Answer:
        """Send a request and read the head of its answer. Raises `OSError` or `EOFError` where the process ends."""
        self._is_complete = self._has_head = False
        self._writer.write(head)
        if body is not None:
            # Send while reading, because an answer may come before the body was read.
            self._sending = asyncio.create_task(self._send(body))
        raw = await self._reader.readuntil(b"\r\n\r\n")
        status_line, *lines = raw[:-4].split(b"\r\n")
        status = int(status_line[9:12])
        headers = []
        self._left = self._chunk_left = None
        is_chunked = False
        for line in lines:
            name, _, value = line.partition(b":")
            name, value = name.lower(), value.strip()
            if name == b"content-length":
                self._left = int(value)
            elif name == b"transfer-encoding":
                is_chunked = True
            if name not in _NOT_PASSED_ON:
                headers.append((name, value))
        if method == b"HEAD" or status in (204, 304):
            self._left = 0
        elif self._left is None and not is_chunked:
            raise EOFError("an answer without a length")
        self._has_head = True
        return Answer(status, headers)

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield the body of the answer, or where it was begun and broken off, the rest of it.

        Raises `OSError` or `EOFError` where the process ends too early.
        """
        if self._left is None:
            async for piece in self._chunks():
                yield piece
        else:
            while self._left:
                piece = await self._reader.read(min(self._left, PIECE_BYTES))
                if not piece:
                    raise EOFError("an answer that is cut off")
                self._left -= len(piece)
                yield piece
        self._finish()

    async def _chunks(self) -> AsyncIterator[bytes]:
        while self._left is None:
            if self._chunk_left is None:
                self._chunk_left = int((await self._reader.readuntil(b"\r\n")).partition(b";")[0], 16)
                if not self._chunk_left:
                    self._left = 0
                    break
            while self._chunk_left:
                piece = await self._reader.read(min(self._chunk_left, PIECE_BYTES))
                if not piece:
                    raise EOFError("an answer that is cut off")
                self._chunk_left -= len(piece)
                yield piece
            await self._reader.readexactly(2)
            self._chunk_left = None
        while await self._reader.readuntil(b"\r\n") != b"\r\n":
            pass

    async def rest(self) -> AsyncIterator[bytes]:
        """Yield what still comes of an unwanted answer, until it or the connection ends.

        Where its head has not come, the first byte counts as its end.
        """
        with contextlib.suppress(OSError, EOFError):
            if not self._has_head:
                await self._reader.read(1)
                return
            async for piece in self.pieces():
                yield piece

    def close(self) -> None:
        if self._sending is not None:
            self._sending.cancel()
        self._writer.close()

    def _finish(self) -> None:
        # A body that was not read to its end leaves the connection unusable.
        self._is_complete = self._sending is None or self._sending.done()
        self._idle_since = self._loop.time()
        self.was_used = True

    async def _send(self, body: Buffer) -> None:
        with contextlib.suppress(OSError):
            for piece in body.pieces():
                self._writer.write(piece)
                await self._writer.drain()
