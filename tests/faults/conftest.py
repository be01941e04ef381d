"""A whole console for the tests of faults, with deadlines short enough to see them pass."""

from __future__ import annotations

import http.client
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.frozen_house import House
from tests.faults.hostile import GUARD_S
from tests.house.running import Running

PER_ADDRESS = 40


@pytest.fixture(scope="session")
def console() -> Iterator[Running]:
    parent = Path(tempfile.mkdtemp(prefix="ballast-faults-"))
    parent.chmod(0o711)
    limits = {
        "CLIENT_HEADER_TIMEOUT_S": "12",
        "CLIENT_BODY_TIMEOUT_S": "12",
        "CLIENT_IDLE_TIMEOUT_S": "12",
        "CLIENT_ANSWER_TIMEOUT_S": "12",
        "CONNECTIONS_PER_ADDRESS": str(PER_ADDRESS),
        "CONNECTIONS": "400",
        "LOG_FILE_MB": "1",
    }
    with Running(parent / "data", **limits) as running:
        running.await_ready()
        yield running
    shutil.rmtree(parent, ignore_errors=True)


@pytest.fixture(scope="session")
def house() -> Iterator[House]:
    """A console whose servers are stopped by tests, one after the other."""
    with House.started() as house:
        yield house


class Answer:
    """Status, headers and text of an answer."""

    def __init__(self, found: http.client.HTTPResponse) -> None:
        self.status = found.status
        self.headers = found.headers
        self.text = found.read().decode()


def ask(
    console: Running,
    path: str,
    *,
    method: str = "GET",
    source: str = "127.0.0.1",
    body: bytes | None = None,
    headers: dict[str, str] | None = None,
) -> Answer:
    """One request on a connection of its own, as an honest client sends it from ``source``."""
    connection = http.client.HTTPConnection(
        "127.0.0.1", int(console.port), timeout=GUARD_S, source_address=(source, 0)
    )
    try:
        connection.request(method, path, body=body, headers=headers or {})
        return Answer(connection.getresponse())
    finally:
        connection.close()
