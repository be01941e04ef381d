"""What could be read in two ways is refused, and what a client says of itself is not believed."""

from __future__ import annotations

import json
import re
import socket

import pytest

from tests.faults.conftest import ask
from tests.faults.hostile import GUARD_S
from tests.house.running import Running
from tests.house.waiting import until

HOST = b"Host: 127.0.0.1\r\n"


def send(console: Running, raw: bytes) -> bytes:
    """Everything that is answered until the connection is closed."""
    with socket.create_connection(("127.0.0.1", int(console.port)), timeout=GUARD_S) as connection:
        connection.sendall(raw)
        connection.shutdown(socket.SHUT_WR)
        said = b""
        while piece := connection.recv(65_536):
            said += piece
    return said


@pytest.mark.parametrize(
    "headers",
    [
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        b"Content-Length: 5\r\nContent-Length: 6\r\n",
        b"Content-Length: 5, 6\r\n",
        b"Content-Length: +5\r\n",
        b"Content-Length: -1\r\n",
        b"Content-Length : 5\r\n",
        b"Transfer-Encoding: gzip, chunked\r\n",
        b"Transfer-Encoding: xchunked\r\n",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        b"X: a\r\n folded\r\nHost: b\r\n",
        b"Host: other\r\n",
    ],
)
def test_a_request_with_two_readings_is_refused_and_nothing_after_it_is_read(
    console: Running, headers: bytes
) -> None:
    smuggled = b"GET /-/healthz HTTP/1.1\r\n" + HOST + b"\r\n"
    said = send(console, b"POST /sign-in/ HTTP/1.1\r\n" + HOST + headers + b"\r\n0\r\n\r\n" + smuggled)
    assert said.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 501 "))
    assert len(re.findall(rb"HTTP/1\.1 \d", said)) == 1
    assert b"connection: close" in said.lower()


def test_requests_one_after_the_other_are_answered_in_order(console: Running) -> None:
    one = b"GET /-/healthz HTTP/1.1\r\n" + HOST + b"\r\n"
    two = b"POST /sign-in/ HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n3\r\na=b\r\n0\r\n\r\n"
    three = b"HEAD /sign-in/ HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n"
    said = send(console, one + two + three)
    assert [part[:3] for part in said.split(b"HTTP/1.1 ")[1:]] == [b"200", b"403", b"200"]


def test_a_large_body_is_read_only_of_somebody_who_is_known(console: Running) -> None:
    large = b"{" + b" " * 200_000
    path = "/api/v1/actions/catalog.declare_service"
    anonymous = ask(console, path, method="POST", body=large)
    assert anonymous.status == 413
    assert "at most 64 KB" in json.loads(anonymous.text)["detail"]
    for claim in ({"X-API-Key": "blst_made_up"}, {"Cookie": "ballast_session=madeup"}):
        claimed = ask(console, path, method="POST", body=large, headers=claim)
        assert claimed.status == 401
        assert "not valid" in json.loads(claimed.text)["detail"]


def test_the_address_of_a_client_is_the_one_that_it_connects_from(console: Running) -> None:
    said = {"X-Ballast-Peer": "192.0.2.1", "X_Ballast_Peer": "192.0.2.2", "X_Forwarded_For": "192.0.2.3"}
    assert ask(console, "/sign-in/", method="POST", source="127.0.0.77", headers=said).status == 403
    log = console.data_dir / "logs" / "web.log"
    until(lambda: '"ip": "127.0.0.77"' in log.read_text(), "the address is in the log")
    assert "192.0.2." not in log.read_text()


def test_requests_for_unknown_hosts_do_not_fill_the_log(console: Running) -> None:
    log = console.data_dir / "logs" / "web.log"
    for number in range(300):
        refused = ask(console, "/", headers={"Host": f"host-{number}.example"})
        assert refused.status == 400
    assert "ALLOWED_HOSTS" in refused.text
    about = [line for line in log.read_text().splitlines() if "DisallowedHost" in line]
    assert 0 < len(about) <= 10
    assert not any("Traceback" in line for line in about)
