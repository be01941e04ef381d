"""A real server: bodies without a length are bounded too, and those that fit are read."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import pytest
from django.conf import settings

from apps.accounts.models import User
from apps.core.models import AuditEntry
from tests.api.conftest import key_for

ROOT = Path(__file__).parents[2]
MEGABYTE = 1024 * 1024


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def database_url(alias: str) -> str:
    entry = settings.DATABASES[alias]
    credentials = f"{quote(entry['USER'])}:{quote(entry['PASSWORD'])}"
    return f"postgres://{credentials}@{entry['HOST']}:{entry['PORT']}/{entry['NAME']}"


@pytest.fixture
def server(transactional_db: None) -> Iterator[int]:
    """The console under granian, on this test's database. Yields its port."""
    port = free_port()
    environment = os.environ | {
        "DATABASE_URL": database_url("default"),
        "DATABASE_OWNER_URL": database_url("owner"),
        "REDIS_URL": settings.REDIS_URL,
        "SECRET_KEY": settings.SECRET_KEY,
    }
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "granian",
            "--interface",
            "wsgi",
            "--port",
            str(port),
            "console.wsgi:application",
        ],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                if ask(port, "GET", "/-/healthz").status == 200:
                    break
            except OSError:
                assert process.poll() is None
                assert time.monotonic() < deadline
        yield port
    finally:
        process.terminate()
        process.wait(timeout=30)


def ask(
    port: int, method: str, path: str, chunks: list[bytes] | None = None, key: str = ""
) -> http.client.HTTPResponse:
    """Send a request whose body, if any, has no announced length."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    headers = {"Content-Type": "application/json"} | ({"X-API-Key": key} if key else {})
    body = iter(chunks) if chunks else None
    # The server may answer, and close, before it has read everything.
    with suppress(BrokenPipeError, ConnectionResetError):
        connection.request(method, path, body=body, headers=headers, encode_chunked=chunks is not None)
    return connection.getresponse()


@pytest.mark.django_db(transaction=True)
def test_bodies_without_a_length_are_read_up_to_the_limit(server: int) -> None:
    key = key_for(User.objects.create_user("ada", role="sre_admin"))
    path = "/api/v1/actions/catalog.declare_service"

    fits = [b'{"service_id": ', b'"grace"', b"}" + b" " * MEGABYTE]
    assert ask(server, "POST", path, fits, key).status == 201
    assert AuditEntry.objects.get().object_label == "grace"

    too_large = [b" " * MEGABYTE] * 11
    response = ask(server, "POST", path, too_large, key)
    assert response.status == 413
    assert json.loads(response.read())["title"] == "The request is too large"
