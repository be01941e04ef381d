"""A telemetry source that takes every connection and never completes an answer."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self

DRIP_S = 0.2


class HangingSource:
    """A server that is silent or, with ``drips``, sends headers and then a byte now and then, for ever."""

    def __init__(self, *, drips: bool) -> None:
        self._drips = drips
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._open = 0
        self.peak = 0
        """How many waited at once at most."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._listener.close()

    def _accept(self) -> None:
        while not self._over.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._hang, args=(connection,), daemon=True).start()

    def _hang(self, connection: socket.socket) -> None:
        with self._lock:
            self._open += 1
            self.peak = max(self.peak, self._open)
        try:
            with connection, suppress(OSError):
                connection.settimeout(DRIP_S)
                if self._drips:
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
                while not self._over.is_set():
                    with suppress(TimeoutError):
                        if not connection.recv(4096):
                            return
                    if self._drips:
                        connection.sendall(b" ")
        finally:
            with self._lock:
                self._open -= 1
