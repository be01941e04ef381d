"""Keeps each wait on a socket within the deadline of its question, and refuses connections to forbidden addresses.

httpx bounds each read alone, so it would never give up on a server that sends a byte now and then, even within its
headers. Here no wait is longer than the rest of the deadline.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import httpcore
import httpx

from apps.core.resilience import Deadline
from apps.telemetry.clients.errors import SourceRefused
from apps.telemetry.clients.prometheus.addresses import refuse_link_local

_deadline: ContextVar[Deadline | None] = ContextVar("deadline", default=None)


@contextmanager
def until(deadline: Deadline) -> Iterator[None]:
    """Bound every wait of a client from :func:`bound` in this block."""
    token = _deadline.set(deadline)
    try:
        yield
    finally:
        _deadline.reset(token)


def bound(client: httpx.Client, *, may_be_link_local: bool = True) -> httpx.Client:
    """Make a client, including its proxies, heed :func:`until`; return the client.

    Parameters:
        may_be_link_local: whether a host may resolve to a link-local address; if not, nothing is sent to it.
    """
    for transport in (client._transport, *client._mounts.values()):
        pool = getattr(transport, "_pool", None)
        if pool is not None:
            pool._network_backend = _Backend(pool._network_backend, may_be_link_local)
    return client


def _left(timeout: float | None, error: type[Exception]) -> float | None:
    deadline = _deadline.get()
    if deadline is None:
        return timeout
    remaining = deadline.remaining()
    if remaining <= 0.0:
        raise error(f"no complete answer within {deadline.seconds:g} s")
    return remaining if timeout is None else min(timeout, remaining)


class _Stream(httpcore.NetworkStream):
    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _left(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, _left(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        left = _left(timeout, httpcore.ConnectTimeout)
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, left))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class _Backend(httpcore.NetworkBackend):
    def __init__(self, backend: httpcore.NetworkBackend, may_be_link_local: bool) -> None:
        self._backend = backend
        self._may_be_link_local = may_be_link_local

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        left = _left(timeout, httpcore.ConnectTimeout)
        stream = self._backend.connect_tcp(host, port, left, local_address, socket_options)
        if not self._may_be_link_local:
            # Checks the connection itself, because a name may resolve differently between a look-up and its use.
            try:
                refuse_link_local(str(stream.get_extra_info("server_addr")[0]))
            except SourceRefused:
                stream.close()
                raise
        return _Stream(stream)

    def sleep(self, seconds: float) -> None:
        self._backend.sleep(seconds)
