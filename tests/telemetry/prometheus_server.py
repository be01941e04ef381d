"""A tiny HTTP server that speaks Prometheus' API and misbehaves as a test tells it to."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

CERTIFICATE = Path(__file__).with_name("self_signed.pem")
"""A key and a certificate for 127.0.0.1 that it signed itself; they protect nothing."""

type Form = dict[str, list[str]]


@dataclass(slots=True)
class Reply:
    """What the server sends: a JSON document, or bytes as they are."""

    document: Any = None
    status: int = 200
    body: bytes | None = None
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    hang: threading.Event | None = None
    """Wait for this before the second half of the body is sent."""
    drip: threading.Event | None = None
    """Send one byte of the whole answer, headers included, at a time until this is set."""

    def payload(self) -> bytes:
        return self.body if self.body is not None else json.dumps(self.document).encode()


@dataclass(slots=True)
class Asked:
    """One request as it arrived."""

    method: str
    path: str
    form: Form
    headers: dict[str, str]


type Answering = Callable[[str, Form], Reply]


@dataclass(slots=True)
class Server:
    """The running server: where it is, what it was asked, and how it answers."""

    url: str
    answering: Answering
    asked: list[Asked] = field(default_factory=list)

    def queries(self) -> list[str]:
        """The PromQL of each query so far."""
        return [request.form["query"][0] for request in self.asked if "query" in request.form]


def success(data: Any, *, warnings: list[str] | None = None, infos: list[str] | None = None) -> Reply:
    """The envelope of a good answer."""
    document: dict[str, Any] = {"status": "success", "data": data}
    if warnings:
        document["warnings"] = warnings
    if infos:
        document["infos"] = infos
    return Reply(document)


def error(status: int, kind: str, text: str) -> Reply:
    """The envelope of a refusal."""
    return Reply({"status": "error", "errorType": kind, "error": text}, status=status)


def matrix(*series: tuple[dict[str, str], list[tuple[int, str]]]) -> dict[str, Any]:
    """The data of a range query."""
    return {
        "resultType": "matrix",
        "result": [
            {"metric": labels, "values": [[at, value] for at, value in values]} for labels, values in series
        ],
    }


@contextmanager
def serving(answering: Answering, *, tls: bool = False) -> Iterator[Server]:
    """Serve on a free loopback port until the block ends; with ``tls`` under a certificate that nobody trusts."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # or half an answer waits 40 ms for the receipt of the other half

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Keep the test's output clean."""

        def handle(self) -> None:
            with suppress(OSError):  # a client that does not trust the certificate, or speaks no TLS
                super().handle()

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            self._answer(parts.path, parse_qs(parts.query))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            self._answer(self.path, parse_qs(body.decode()))

        def _answer(self, path: str, form: Form) -> None:
            server.asked.append(Asked(self.command, path, form, dict(self.headers.items())))
            reply = server.answering(path, form)
            payload = reply.payload()
            half = len(payload) // 2
            if reply.drip is not None:
                self._drip(payload, reply.drip)
                return
            try:
                self.send_response(reply.status)
                self.send_header("Content-Type", reply.content_type)
                self.send_header("Content-Length", str(len(payload)))
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(payload[:half])
                self.wfile.flush()
                if reply.hang is not None:
                    reply.hang.wait(timeout=30)
                self.wfile.write(payload[half:])
            except OSError:
                self.close_connection = True

        def _drip(self, payload: bytes, enough: threading.Event) -> None:
            self.close_connection = True
            whole = b"HTTP/1.1 200 OK\r\nX-Filler: " + b"x" * 2000 + b"\r\n\r\n" + payload
            with suppress(OSError):
                for position in range(len(whole)):
                    self.wfile.write(whole[position : position + 1])
                    if enough.wait(timeout=0.02):
                        return

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    scheme = "http"
    if tls:
        scheme = "https"
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(CERTIFICATE)
        # The handshake is left to the thread of each connection: one that fails must not end the server.
        http.socket = context.wrap_socket(http.socket, server_side=True, do_handshake_on_connect=False)
    server = Server(f"{scheme}://127.0.0.1:{http.server_address[1]}", answering)
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
        thread.join(timeout=5)
