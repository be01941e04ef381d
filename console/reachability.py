"""Check that the servers that the environment names answer, before anything starts.

Each failure is one line that names the variable, the server and what to do, but never the password.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from console.configuration import Configuration
from console.environment import ConfigurationError

TIMEOUT_S = 5
MIN_POSTGRES = 18
REDIS_TIMEOUT_S = 3


def check_servers(configuration: Configuration) -> None:
    """Check every server that is not embedded. Raises `ConfigurationError` for the first that cannot be used."""
    check_databases(configuration)
    if configuration.redis_url:
        check_redis(configuration.redis_url)


def check_databases(configuration: Configuration) -> None:
    """Connect to PostgreSQL as the application and, where that is another role, as the owner."""
    addresses = {
        "DATABASE_URL": configuration.database_url,
        "DATABASE_OWNER_URL": configuration.database_owner_url,
    }
    for variable, url in addresses.items():
        if url:
            check_database(variable, url)


def check_database(variable: str, url: str) -> None:
    """Connect to PostgreSQL. Raises `ConfigurationError` that says which part of ``variable`` is wrong."""
    import psycopg

    try:
        with psycopg.connect(url, connect_timeout=TIMEOUT_S) as connection:
            version = connection.info.server_version // 10_000
    except psycopg.Error as error:
        raise ConfigurationError(explained(variable, url, str(error))) from None
    if version < MIN_POSTGRES:
        raise ConfigurationError(
            f"{variable} names PostgreSQL {version} at {_place(url, 5432)}. "
            f"Ballast needs PostgreSQL {MIN_POSTGRES} or newer."
        )


def explained(variable: str, url: str, error: str) -> str:
    """Turn libpq's message on a failed connection into one line for the operator."""
    place = _place(url, 5432)
    user = urlsplit(url).username or "this user"
    name = urlsplit(url).path.strip("/")
    if "authentication failed" in error or "no password supplied" in error or "role" in error:
        return (
            f"{variable}: PostgreSQL at {place} refuses {user} with this password. Correct user and password "
            f"in {variable}."
        )
    if re.search(r"database .* does not exist", error):
        return (
            f"{variable}: PostgreSQL at {place} has no database {name}. Create it, "
            f"or name another in {variable}."
        )
    if "resolve" in error or "translate host name" in error or "not known" in error:
        return f"{variable}: there is no host of that name: {place}. Correct it in {variable}."
    if "refused" in error or "timeout" in error or "timed out" in error or "No such file" in error:
        return f"{variable}: no PostgreSQL answers at {place}. Start it there, or correct {variable}."
    lines = [line.strip() for line in error.splitlines() if line.strip()]
    reason = re.sub(r"^.*(FATAL|failed):\s*", "", lines[0] if lines else "no reason was given")
    return f"{variable}: PostgreSQL at {place} cannot be used: {reason.rstrip('.')}. Correct {variable}."


def check_redis(url: str) -> None:
    """Ping Redis. Raises `ConfigurationError` where nothing, or something else, answers."""
    import redis

    place = _place(url, 6379)
    try:
        client = redis.Redis.from_url(
            url, socket_connect_timeout=REDIS_TIMEOUT_S, socket_timeout=REDIS_TIMEOUT_S
        )
        try:
            client.ping()
        finally:
            client.close()
    except redis.AuthenticationError:
        what = "refuses this user and password" if urlsplit(url).password else "wants a password"
        raise ConfigurationError(
            f"REDIS_URL: Redis at {place} {what}. Write it as redis://:password@host:6379/0, "
            "with the user's name before the colon where there is one."
        ) from None
    except (redis.ConnectionError, redis.TimeoutError, OSError):
        raise ConfigurationError(
            f"REDIS_URL: no Redis answers at {place}. Start it there, or correct REDIS_URL."
        ) from None
    except (redis.RedisError, ValueError):
        raise ConfigurationError(
            f"REDIS_URL: what answers at {place} cannot be used as Redis. Correct REDIS_URL."
        ) from None


def _place(url: str, port: int) -> str:
    """Return host and port of an address, or its socket, without user and password."""
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return parts.path
    return f"{parts.hostname or 'this machine'}:{parts.port or port}"
