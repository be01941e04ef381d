"""Servers that cannot be used are named with their variable, before anything is started, and without a password."""

from __future__ import annotations

import socket
import threading
from urllib.parse import urlsplit

import pytest
from django.conf import settings

from console.configuration import Configuration
from console.embedded import embedded_urls
from console.embedded.state import free_port
from console.environment import ConfigurationError
from console.reachability import check_database, check_redis, check_servers

SECRET = "x" * 50


def database_url(**parts: str | int) -> str:
    """The address of the tests' PostgreSQL with some of its parts replaced."""
    found = urlsplit(embedded_urls(settings.DATA_DIR).database_url)
    value = {
        "user": found.username,
        "password": found.password,
        "host": found.hostname,
        "port": found.port,
        "name": found.path.strip("/"),
    } | parts
    return "postgres://{user}:{password}@{host}:{port}/{name}".format(**value)


def refusal(url: str, variable: str = "DATABASE_URL") -> str:
    with pytest.raises(ConfigurationError) as caught:
        check_database(variable, url)
    assert "hunter2" not in str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_database_that_answers_is_taken() -> None:
    check_database("DATABASE_URL", database_url())


def test_a_database_that_nobody_serves_is_named() -> None:
    port = free_port()
    assert refusal(database_url(port=port)) == (
        f"DATABASE_URL: no PostgreSQL answers at 127.0.0.1:{port}. Start it there, or correct DATABASE_URL."
    )


def test_a_wrong_password_is_named() -> None:
    line = refusal(database_url(password="hunter2"))
    assert line.startswith("DATABASE_URL: PostgreSQL at 127.0.0.1:")
    assert "refuses ballast_app with this password" in line


def test_a_role_that_is_not_there_is_named() -> None:
    assert "refuses nobody with this password" in refusal(database_url(user="nobody", password="hunter2"))


def test_a_database_that_is_not_there_is_named() -> None:
    assert "has no database nowhere. Create it" in refusal(database_url(name="nowhere"))


def test_a_host_that_is_not_there_is_named() -> None:
    line = refusal(database_url(host="no-such-host.invalid"))
    assert "there is no host of that name: no-such-host.invalid" in line


def test_what_is_not_postgresql_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def answer() -> None:
            client, _ = server.accept()
            with client:
                client.recv(1024)
                client.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        line = refusal(database_url(port=port))
        thread.join()
    assert line.startswith(f"DATABASE_URL: PostgreSQL at 127.0.0.1:{port} cannot be used")


def test_the_owner_is_tried_as_well() -> None:
    with pytest.raises(
        ConfigurationError, match=r"^DATABASE_OWNER_URL: PostgreSQL at .* refuses ballast_owner"
    ):
        check_servers(
            Configuration.read(
                {
                    "DATABASE_URL": database_url(),
                    "DATABASE_OWNER_URL": database_url(user="ballast_owner", password="hunter2"),
                    "SECRET_KEY": SECRET,
                }
            )
        )


def test_a_redis_that_answers_is_taken() -> None:
    check_redis(settings.REDIS_URL)


def test_a_redis_that_nobody_serves_is_named() -> None:
    port = free_port()
    with pytest.raises(ConfigurationError) as caught:
        check_redis(f"redis://:hunter2@127.0.0.1:{port}/0")
    assert str(caught.value) == (
        f"REDIS_URL: no Redis answers at 127.0.0.1:{port}. Start it there, or correct REDIS_URL."
    )


@pytest.mark.parametrize(("user", "said"), [(":hunter2@", "refuses this user"), ("", "wants a password")])
def test_a_redis_that_wants_another_password_is_named(user: str, said: str) -> None:
    port = urlsplit(settings.REDIS_URL).port
    with pytest.raises(ConfigurationError, match=said) as caught:
        check_redis(f"redis://{user}127.0.0.1:{port}/0")
    assert "hunter2" not in str(caught.value)


def test_what_is_not_redis_is_named() -> None:
    with pytest.raises(ConfigurationError, match="REDIS_URL"):
        check_redis(f"redis://127.0.0.1:{urlsplit(database_url()).port}/0")
