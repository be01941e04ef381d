"""Redis is reached over TLS by its address alone, by the cache, the limits and the queues, and checks who answers."""

from __future__ import annotations

import socket
import ssl
import threading
import uuid
from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis
from django.conf import settings

from apps.core.redis.cache import TolerantRedisCache
from console.reachability import check_redis
from console.workers.broker import make_broker
from tests.telemetry.prometheus_server import CERTIFICATE


def _forward(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def tls_url() -> Iterator[str]:
    """The address of a TLS end in front of the real Redis, without an authority to trust."""
    real = urlsplit(settings.REDIS_URL)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with suppress(OSError):
            while True:
                plain, _ = listener.accept()
                try:
                    client = context.wrap_socket(plain, server_side=True)
                except (ssl.SSLError, OSError):
                    continue
                server = socket.create_connection((str(real.hostname), int(real.port or 0)))
                for one, other in ((client, server), (server, client)):
                    threading.Thread(target=_forward, args=(one, other), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    yield f"rediss://:{real.password}@127.0.0.1:{listener.getsockname()[1]}/0"
    listener.close()


def test_the_address_is_all_that_tls_needs(tls_url: str) -> None:
    url = f"{tls_url}?ssl_ca_certs={CERTIFICATE}"
    check_redis(url)
    cache = TolerantRedisCache(url, {"OPTIONS": {}})
    key = f"test-{uuid.uuid4().hex}"
    cache.set(key, {"a": [1]}, 30)
    assert cache.get(key) == {"a": [1]}
    broker = make_broker(url, namespace=key)
    broker.do_enqueue("default", "one", b"x")
    assert broker.do_qsize("default") == 1
    broker.flush_all()
    broker.close()


def test_a_server_that_nobody_vouches_for_is_not_trusted(tls_url: str) -> None:
    client: Any = redis.Redis.from_url(tls_url)
    with pytest.raises(redis.ConnectionError, match="certificate verify failed"):
        client.ping()
