"""Clients that nobody wishes for, made up from a seed: each is one socket, opened and then left as it is."""

from __future__ import annotations

import random
import select
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

GUARD_S = 60.0
"""What a test waits at most, where it would otherwise hang."""


@dataclass
class Hostile:
    """One hostile connection. ``drip`` sends one more byte, where that is its way."""

    kind: str
    socket: socket.socket
    drips: bytes = b""

    def drip(self) -> None:
        if self.drips:
            with suppress(OSError):
                self.socket.sendall(self.drips[:1])
            self.drips = self.drips[1:]

    def is_open(self) -> bool:
        """Whether the server has neither answered nor closed."""
        return not self._sees(select.POLLIN)

    def was_cut_off(self) -> bool:
        """Whether the server has given the connection up, with bytes on their way."""
        return self._sees(0)

    def _sees(self, what: int) -> bool:
        poll = select.poll()
        poll.register(self.socket, what)
        return bool(poll.poll(0))

    def rest(self) -> bytes:
        """Everything that the server still says, until it closes the connection."""
        self.socket.settimeout(GUARD_S)
        said = b""
        try:
            while piece := self.socket.recv(65_536):
                said += piece
        except ConnectionError:
            pass
        return said


def _host(draw: random.Random) -> bytes:
    return b"Host: 127.0.0.1\r\nX-Noise: %d\r\n" % draw.randrange(10**9)


def silent(draw: random.Random) -> tuple[bytes, bytes]:
    return b"", b""


def silent_head(draw: random.Random) -> tuple[bytes, bytes]:
    whole = b"GET /sign-in/ HTTP/1.1\r\n" + _host(draw)
    return whole[: draw.randrange(1, len(whole))], b""


def dripping_head(draw: random.Random) -> tuple[bytes, bytes]:
    return b"GET /sign-in/ HTTP/1.1\r\n", b"X-Slow: " + b"a" * 500


def silent_body(draw: random.Random) -> tuple[bytes, bytes]:
    framing = draw.choice([b"Transfer-Encoding: chunked\r\n\r\n5\r\nab", b"Content-Length: 900\r\n\r\nab"])
    path = draw.choice([b"/sign-in/", b"/api/v1/actions/catalog.declare_service"])
    return b"POST %s HTTP/1.1\r\n%s%s" % (path, _host(draw), framing), b""


def dripping_body(draw: random.Random) -> tuple[bytes, bytes]:
    head = b"POST /api/v1/recommendations HTTP/1.1\r\n%sContent-Length: 60000\r\n\r\n" % _host(draw)
    return head, b"{" * 500


def slow_form(draw: random.Random) -> tuple[bytes, bytes]:
    head = b"POST /sign-in/ HTTP/1.1\r\n%sContent-Type: application/x-www-form-urlencoded\r\n" % _host(draw)
    form = b"username=a&password=" + b"b" * 500
    return head + b"Content-Length: %d\r\n\r\n" % len(form), form


def slow_reader(draw: random.Random) -> tuple[bytes, bytes]:
    return (b"GET /static/ballast.css HTTP/1.1\r\n%s\r\n" % _host(draw)) * 200, b""


def garbage(draw: random.Random) -> tuple[bytes, bytes]:
    return draw.randbytes(draw.randrange(1, 3_000)), b""


def oversized(draw: random.Random) -> tuple[bytes, bytes]:
    return b"GET / HTTP/1.1\r\nX-Large: " + b"a" * draw.randrange(70_000, 300_000), b""


def half_closed(draw: random.Random) -> tuple[bytes, bytes]:
    return b"POST /sign-in/ HTTP/1.1\r\n%sContent-Length: 500\r\n\r\nabc" % _host(draw), b""


KINDS: dict[str, Callable[[random.Random], tuple[bytes, bytes]]] = {
    kind.__name__: kind
    for kind in (
        silent, silent_head, dripping_head, silent_body, dripping_body, slow_form, slow_reader, garbage,
        oversized, half_closed,
    )
}  # fmt: skip


def hostile(port: int, kind: str, draw: random.Random, source: str) -> Hostile:
    """Connect from ``source``, an address of this machine, and begin to be of ``kind``."""
    connection = socket.socket()
    if kind == "slow_reader":
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    connection.bind((source, 0))
    connection.settimeout(GUARD_S)
    connection.connect(("127.0.0.1", port))
    first, drips = KINDS[kind](draw)
    connection.settimeout(1.0)  # a server that has had enough need not take everything
    with suppress(OSError):
        connection.sendall(first)
    if kind == "half_closed":
        with suppress(OSError):
            connection.shutdown(socket.SHUT_WR)
    return Hostile(kind, connection, drips)


@contextmanager
def many(
    port: int, kinds: list[str], count: int, *, seed: int, sources: list[str]
) -> Iterator[list[Hostile]]:
    """Open ``count`` hostile connections of a mix drawn from ``kinds``, and close them in the end."""
    draw = random.Random(seed)
    opened: list[Hostile] = []
    try:
        for number in range(count):
            kind, source = draw.choice(kinds), sources[number % len(sources)]
            opened += [hostile(port, kind, draw, source)]
        yield opened
    finally:
        for one in opened:
            one.socket.close()
