"""One connection of a client: it reads each request in full within its deadlines, then asks a web process."""

from __future__ import annotations

import asyncio
import contextlib
import math
from http import HTTPStatus
from typing import TYPE_CHECKING

import h11

from apps.core.errors import BadRequest, BallastError, TooLarge, TooSlow, Unavailable
from console.edge.answers import Headers, refusal
from console.edge.buffers import BudgetSpent, Buffer
from console.edge.heads import Head, read_head
from console.edge.pace import Pace
from console.edge.register import counted_as
from console.edge.sockets import keep_little_unsent, reset
from console.edge.upstream import Answer, Upstream

if TYPE_CHECKING:
    from console.edge.server import Edge
    from console.edge.web import Lease

MAX_HEAD_BYTES = 64 * 1024
READ_BYTES = 64 * 1024
# This much of an answer may wait in memory for its client. The rest waits on disk.
HELD_IN_MEMORY = 256 * 1024
# A client that was refused in the middle of its body has this long to read why.
LINGER_S = 2.0
# For so long a client counts as fast.
NEWCOMER_S = 1.0
# So many slower clients may have to go for one piece of a body or an answer.
MOST_GIVE_WAY = 100
ENDED_LINGER_S = 0.5
AT_WORK = math.inf
REASONS = {status.value: status.phrase.encode() for status in HTTPStatus}
ENDED = (
    "The web process that handled this ended. If you pressed a button, check whether it took effect before you "
    "press it again."
)


class Client:
    """Serves one connection until it ends or its time is over.

    ``due`` is the time on the loop's clock by which the client must have done its part (sent its head, sent its body,
    taken its answer); infinite while Ballast works. The edge ends connections whose time is over.
    """

    def __init__(self, edge: Edge, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.edge = edge
        self.reader = reader
        self.writer = writer
        peer = writer.get_extra_info("peername")
        self.peer = str(peer[0]) if peer else ""
        self.due = AT_WORK
        self.is_idle = True
        self.is_taking = False
        self.refused: BallastError | None = None
        self._address = ""
        self._path = "/"
        self._is_head = False
        self._has_served = False
        self._reason: BallastError | None = None
        self._is_ended = False
        self._loop = asyncio.get_running_loop()
        self._received_bytes = 0
        self._written_bytes = 0
        self._pace = Pace(self._moved, self._loop.time)
        self._is_pipelining = False
        keep_little_unsent(writer)
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD_BYTES)
        self._task: asyncio.Task[None] | None = None

    @property
    def is_resting(self) -> bool:
        """Whether it waits for a request and nothing of it has arrived."""
        return self.is_idle and self.due != AT_WORK

    @property
    def pace(self) -> float:
        """Bytes a second of the body that it sends, or of the answer that it takes; infinite in the first second.

        The time in which its answer is made does not count.
        """
        return self._pace.per_s(NEWCOMER_S)

    def _moved(self) -> int:
        return self._received_bytes + self._written_bytes - self.writer.transport.get_write_buffer_size()

    def expire(self) -> None:
        """End it because its time is over. A connection that has sent nothing is closed without an answer."""
        if self.is_idle:
            self.end(None)
        else:
            self.end(
                TooSlow(
                    "The request did not arrive in time. Send it again over a better connection, or in smaller parts."
                )
            )

    def end(self, reason: BallastError | None) -> None:
        """End it while it waits for its client. Send ``reason``, unless it rests between two requests."""
        if self._task is not None and not self._is_ended and self.due != AT_WORK:
            self._is_ended = True
            self.due = AT_WORK
            self._reason = reason
            self._task.cancel()

    async def serve(self) -> None:
        """Answer requests until the connection ends. Raises nothing."""
        self._task = asyncio.current_task()
        register = self.edge.register
        self.refused = register.add(self)
        if not self.edge.has_proxies:
            self._count_for(self.peer)
        try:
            while await self._serve_one():
                pass
        except asyncio.CancelledError:
            if self._is_ended:
                await self._say(None if self.is_idle and self._has_served else self._reason, ENDED_LINGER_S)
        except h11.RemoteProtocolError as error:
            await self._say(BadRequest(f"This is not HTTP/1.1 as Ballast reads it: {error}."))
        except BallastError as error:
            await self._say(error)
        except (OSError, EOFError, h11.LocalProtocolError):
            pass
        finally:
            self.due = AT_WORK
            register.remove(self)
            self._count_for("")
            await self._close()

    def _count_for(self, peer: str) -> None:
        register = self.edge.register
        if self._address:
            register.unassign(self, self._address)
        self._address = counted_as(peer) if peer else ""
        if self._address:
            self.refused = register.assign(self, self._address) or self.refused

    async def _serve_one(self) -> bool:
        """Read and answer one request. Return whether another may follow."""
        limits = self.edge.limits
        self._path, self._is_head = "/", False
        self.due = self._loop.time() + (
            limits.client_idle_timeout_s if self._has_served else limits.client_header_timeout_s
        )
        event = await self._event()
        if not isinstance(event, h11.Request):
            return False
        self.due = AT_WORK
        head = read_head(event, session_cookie=self.edge.session_cookie)
        self._path, self._is_head = head.path, head.method == b"HEAD"
        if (answer := await self.edge.probes.answer(head)) is not None:
            if head.length == 0:
                self._http.next_event()
            await self._answer(*answer)
            return self._is_over()
        if self.edge.has_proxies:
            self._count_for(self.edge.client_of(head, self.peer))
        if self.refused is not None:
            refused, self.refused = self.refused, None
            raise refused
        with contextlib.closing(Buffer(self.edge.budget, self, self._address)) as body:
            await self._read_body(head, body)
            await self._forward(head, body)
        return self._is_over()

    def _is_over(self) -> bool:
        """Return whether the connection is ready for another request."""
        if (
            self._http.our_state is h11.DONE
            and self._http.their_state is h11.DONE
            and not self.edge.is_draining
        ):
            # The next request was sent before this answer was taken.
            self._is_pipelining = bool(self._http.trailing_data[0])
            self._http.start_next_cycle()
            self.is_idle = self._has_served = True
            if self.edge.has_proxies:
                self._count_for("")
            return True
        return False

    async def _event(self) -> h11.Event | type[h11.PAUSED]:
        while True:
            event = self._http.next_event()
            if event is not h11.NEED_DATA:
                return event  # type: ignore[return-value]
            if self._http.they_are_waiting_for_100_continue:
                self._write(h11.InformationalResponse(status_code=100, headers=[]))
            data = await self.reader.read(READ_BYTES)
            if data and self.is_idle:
                self.is_idle = False
                self.due = self._loop.time() + self.edge.limits.client_header_timeout_s
            self._http.receive_data(data)

    async def _read_body(self, head: Head, body: Buffer) -> None:
        """Read the whole body before a web process sees it.

        Raises `TooLarge`. For a large body the sender must be known; this is checked before the rest is read.
        """
        limits = self.edge.limits
        is_known = False
        if head.length is not None and head.length > self.edge.max_body_bytes:
            raise TooLarge(self.edge.too_large(f"This one has {head.length:,} bytes"))
        began = self._loop.time()
        self._pace.forget()
        self._pace.start()
        while True:
            expected = body.size if head.length is None else head.length
            if not is_known and expected > limits.anonymous_body_kb * 1024:
                self.due = AT_WORK
                await self.edge.require_known(head, self.peer, self._address)
                is_known = True
            self.due = began + limits.client_body_timeout_s + body.size / limits.client_bytes_per_s
            event = await self._event()
            if isinstance(event, h11.Data):
                self._received_bytes += len(event.data)
                await self._keep(bytes(event.data), body)
            elif isinstance(event, h11.EndOfMessage):
                self._pace.stop()
                self.due = AT_WORK
                return
            else:
                raise EOFError("the client went away")

    async def _keep(self, data: bytes, body: Buffer) -> None:
        if body.size + len(data) > self.edge.max_body_bytes:
            raise TooLarge(self.edge.too_large("This one has more"))
        self.due = AT_WORK
        if not await self._find_room(data, body):
            raise Unavailable(
                "The buffer for bodies is full. Nothing was changed; try again shortly.",
                headers={"Retry-After": "10"},
            )

    async def _find_room(self, data: bytes, buffer: Buffer) -> bool:
        """Write to a buffer, for which slower clients give way if need be. Return whether there was room in the end."""
        for _ in range(MOST_GIVE_WAY):
            try:
                buffer.write(data)
            except OSError:
                return False
            except BudgetSpent as spent:
                if not await self.edge.make_room(self, spent.address):
                    return False
            else:
                return True
        return False

    async def _forward(self, head: Head, body: Buffer) -> None:
        raw = head.to_web(peer=self.peer, length=body.size)
        async with self.edge.pool.thread(self._address, is_patient=self._is_pipelining) as lease:
            upstream, answer = await self._ask(lease, head, raw, body)
            try:
                await self._pass_on(lease, upstream, answer)
            except BaseException:
                if answer.is_stream:
                    lease.close(upstream)
                else:
                    lease.abandon(upstream)
                raise

    async def _ask(self, lease: Lease, head: Head, raw: bytes, body: Buffer) -> tuple[Upstream, Answer]:
        """Ask the web process. Ask again where the connection had ended and a repeat changes nothing."""
        for attempt in (1, 2):
            try:
                upstream = await lease.process.connect()
            except OSError:
                raise Unavailable("The web process starts again.", headers={"Retry-After": "2"}) from None
            try:
                async with asyncio.timeout(self.edge.limits.web_answer_timeout_s):
                    return upstream, await upstream.ask(raw, body if body.size else None, head.method)
            except TimeoutError:
                lease.abandon(upstream)
                raise Unavailable(
                    f"This took longer than {self.edge.limits.web_answer_timeout_s} s, so Ballast stopped "
                    "waiting. If you pressed a button, check whether it took effect before you press it again."
                ) from None
            except (OSError, EOFError):
                upstream.close()
                if attempt == 2 or not head.is_safe:
                    raise Unavailable(ENDED) from None
        raise AssertionError("unreachable")

    async def _pass_on(self, lease: Lease, upstream: Upstream, answer: Answer) -> None:
        """Take the answer from the web process as fast as it comes, however slowly the client reads.

        Raises `TimeoutError` where the next piece does not come in time. Events may be apart as far as they like.
        """
        patience_s = None if answer.is_stream else self.edge.limits.web_answer_timeout_s
        headers = answer.headers
        if self.edge.is_draining:
            headers = [*headers, (b"connection", b"close")]
        self._write(_response(answer.status, headers))
        self._pace.forget()
        with contextlib.closing(Buffer(self.edge.budget, self, self._address)) as waiting:
            async with asyncio.timeout(patience_s) as patience:
                async for piece in upstream.pieces():
                    # What the client takes has a deadline of its own, and is not the web process's time.
                    patience.reschedule(None)
                    await self._pass_piece(piece, waiting, is_stream=answer.is_stream)
                    if patience_s is not None:
                        patience.reschedule(self._loop.time() + patience_s)
            lease.process.put_back(upstream)
            lease.give_back()
            await self._send_waiting(waiting)
        await self._send(h11.EndOfMessage())

    async def _pass_piece(self, piece: bytes, waiting: Buffer, *, is_stream: bool) -> None:
        if self.writer.transport.is_closing():
            raise ConnectionResetError
        held = self.writer.transport.get_write_buffer_size()
        if is_stream:
            await self._send(h11.Data(piece))
        elif not waiting.size and held < HELD_IN_MEMORY:
            self._write(h11.Data(piece))
        elif not await self._find_room(piece, waiting):
            # No room: from here on the web thread waits for the client, within the client's deadline.
            await self._send_waiting(waiting)
            await self._send(h11.Data(piece))

    async def _send_waiting(self, waiting: Buffer) -> None:
        for piece in waiting.pieces():
            await self._send(h11.Data(piece))
        waiting.clear()

    async def _answer(self, status: int, headers: Headers, body: bytes) -> None:
        self._write(_response(status, headers))
        if not self._is_head:
            self._write(h11.Data(body))
        await self._send(h11.EndOfMessage())

    def _write(self, event: h11.Event) -> None:
        data = self._http.send(event)
        if data:
            self.writer.write(data)
            self._written_bytes += len(data)

    async def _send(self, event: h11.Event) -> None:
        """Write an event and wait until the client has taken all that was written."""
        self.due = self._loop.time() + self.edge.limits.client_answer_timeout_s
        self.is_taking = True
        self._pace.start()
        try:
            self._write(event)
            await self.writer.drain()
        finally:
            self._pace.stop()
            self.is_taking = False
        self.due = AT_WORK

    async def _say(self, error: BallastError | None, linger_s: float = LINGER_S) -> None:
        """Send a refusal where no answer has begun, and give the client a little time to read it."""
        if error is None or self._http.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            return
        status, headers, body = refusal(error, self._path)
        with contextlib.suppress(OSError, TimeoutError, h11.LocalProtocolError):
            async with asyncio.timeout(linger_s):
                self.due = AT_WORK
                self._write(_response(status, [*headers, (b"connection", b"close")]))
                if not self._is_head:
                    self._write(h11.Data(body))
                self._write(h11.EndOfMessage())
                # A connection that is closed with unread bytes is reset, and the answer is lost with it.
                self.writer.write_eof()
                while await self.reader.read(READ_BYTES):
                    pass

    async def _close(self) -> None:
        self.writer.close()
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(LINGER_S):
                await self.writer.wait_closed()
                return
        reset(self.writer)


def _response(status: int, headers: Headers) -> h11.Response:
    return h11.Response(status_code=status, headers=headers, reason=REASONS.get(status, b""))
