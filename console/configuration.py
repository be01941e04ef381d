"""Read and check what an operator can set. The settings use it, and `make up` does before it starts anything.

docs/configuration.md lists every variable. Reading has no side effects: it asks no server and makes no folder.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from console.environment import ConfigurationError, Environment, split_address

PROJECT = Path(__file__).resolve().parent.parent
DATABASE_EXAMPLE = "postgres://user:password@host:5432/name"
REDIS_EXAMPLE = "redis://host:6379/0"
MIN_SECRET_LENGTH = 32
KEY_COMMAND = """python3 -c "import secrets; print(secrets.token_urlsafe(50))\""""
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
WINDOWS = ("28", "30")
LOCAL_HOSTS = ("127.0.0.1", "localhost", "[::1]")


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """The checked environment. An empty address means the embedded server, or none."""

    data_dir: Path
    config_file: Path
    data_dir_min_free_bytes: int
    port: int
    demo: bool
    debug: bool
    log_level: str
    window_days: int

    database_url: str
    database_owner_url: str
    database_pool_size: int
    database_statement_timeout_ms: int
    database_patience_ms: int
    redis_url: str
    redis_timeout_ms: int
    prometheus_url: str
    prometheus_token: str
    prometheus_org_id: str

    secret_key: str
    secret_key_fallbacks: list[str]
    allowed_hosts: list[str]
    csrf_trusted_origins: list[str]
    behind_tls: bool
    secure_ssl_redirect: bool
    secure_hsts_seconds: int
    trusted_proxy_count: int
    session_cookie_age: int
    api_rate_per_minute: int
    api_rate_burst: int

    web_processes: int
    web_threads: int
    web_queue_timeout_s: int
    web_answer_timeout_s: int
    client_header_timeout_s: int
    client_body_timeout_s: int
    client_bytes_per_s: int
    client_idle_timeout_s: int
    client_answer_timeout_s: int
    connections: int
    connections_per_address: int
    anonymous_body_kb: int
    buffer_mb: int
    log_file_mb: int

    @classmethod
    def read(cls, variables: Mapping[str, str] | None = None) -> Configuration:
        """Read the environment. Raises `ConfigurationError` for the first variable that cannot be used."""
        env = Environment(os.environ if variables is None else variables)
        found = cls(
            data_dir=env.folder("BALLAST_DATA_DIR", PROJECT / ".local"),
            config_file=env.folder("BALLAST_CONFIG", PROJECT / "fixtures" / "ballast.toml"),
            data_dir_min_free_bytes=env.number(
                "BALLAST_DATA_DIR_MIN_FREE_BYTES", 256 * 1024 * 1024, most=2**63 - 1
            ),
            port=env.number("PORT", 8000, least=1, most=65535),
            demo=env.flag("DEMO", default=True),
            debug=env.flag("DEBUG", default=False),
            log_level=env.choice("LOG_LEVEL", "INFO", LOG_LEVELS),
            window_days=int(env.choice("WINDOW_DAYS", "28", WINDOWS)),
            database_url=env.address("DATABASE_URL", ("postgres", "postgresql"), DATABASE_EXAMPLE),
            database_owner_url=env.address(
                "DATABASE_OWNER_URL", ("postgres", "postgresql"), DATABASE_EXAMPLE
            ),
            database_pool_size=env.number("DATABASE_POOL_SIZE", 8, most=1000),
            database_statement_timeout_ms=env.number("DATABASE_STATEMENT_TIMEOUT_MS", 0),
            database_patience_ms=env.number("DATABASE_PATIENCE_MS", 60_000, least=100),
            redis_url=env.address("REDIS_URL", ("redis", "rediss", "unix"), REDIS_EXAMPLE),
            redis_timeout_ms=env.number("REDIS_TIMEOUT_MS", 5000, least=10),
            prometheus_url=env.address("PROMETHEUS_URL", ("http", "https"), "http://prometheus:9090"),
            prometheus_token=env.text("PROMETHEUS_TOKEN"),
            prometheus_org_id=env.text("PROMETHEUS_ORG_ID"),
            secret_key=env.text("SECRET_KEY"),
            secret_key_fallbacks=env.names("SECRET_KEY_FALLBACKS"),
            allowed_hosts=env.names("ALLOWED_HOSTS", LOCAL_HOSTS),
            csrf_trusted_origins=env.names("CSRF_TRUSTED_ORIGINS"),
            behind_tls=env.flag("BEHIND_TLS", default=False),
            secure_ssl_redirect=env.flag("SECURE_SSL_REDIRECT", default=True),
            secure_hsts_seconds=env.number("SECURE_HSTS_SECONDS", 31_536_000),
            trusted_proxy_count=env.number("TRUSTED_PROXY_COUNT", 0, most=100),
            session_cookie_age=env.number("SESSION_COOKIE_AGE", 12 * 3600, least=1),
            api_rate_per_minute=env.number("API_RATE_PER_MINUTE", 600, least=1),
            api_rate_burst=env.number("API_RATE_BURST", 200, least=1),
            web_processes=env.number("WEB_PROCESSES", 2, least=1, most=100),
            web_threads=env.number("WEB_THREADS", 4, least=1, most=100),
            web_queue_timeout_s=env.number("WEB_QUEUE_TIMEOUT_S", 10, least=1),
            web_answer_timeout_s=env.number("WEB_ANSWER_TIMEOUT_S", 60, least=1),
            client_header_timeout_s=env.number("CLIENT_HEADER_TIMEOUT_S", 10, least=1),
            client_body_timeout_s=env.number("CLIENT_BODY_TIMEOUT_S", 20, least=1),
            client_bytes_per_s=env.number("CLIENT_BYTES_PER_S", 4096, least=1),
            client_idle_timeout_s=env.number("CLIENT_IDLE_TIMEOUT_S", 30, least=1),
            client_answer_timeout_s=env.number("CLIENT_ANSWER_TIMEOUT_S", 30, least=1),
            connections=env.number("CONNECTIONS", 1000, least=10, most=100_000),
            connections_per_address=env.number("CONNECTIONS_PER_ADDRESS", 100, least=1),
            anonymous_body_kb=env.number("ANONYMOUS_BODY_KB", 64, least=1),
            buffer_mb=env.number("BUFFER_MB", 256, least=16),
            log_file_mb=env.number("LOG_FILE_MB", 10, least=1),
        )
        _check_databases(found)
        _check_redis(found)
        _check_secret(found)
        _check_hosts(found)
        if env.text("BALLAST_CONFIG"):
            _check_is_toml(found.config_file)
        return found


def _check_databases(found: Configuration) -> None:
    if found.database_owner_url and not found.database_url:
        raise ConfigurationError(
            "DATABASE_OWNER_URL is set and DATABASE_URL is not. Set both to roles of the same database, or neither."
        )
    for name, url in (("DATABASE_URL", found.database_url), ("DATABASE_OWNER_URL", found.database_owner_url)):
        if url and not urlsplit(url).path.strip("/"):
            raise ConfigurationError(
                f"{name} names no database. Set it to an address such as {DATABASE_EXAMPLE}."
            )


def _check_redis(found: Configuration) -> None:
    if not found.redis_url:
        return
    parts = split_address("REDIS_URL", found.redis_url)
    number = parts.path.strip("/")
    if parts.scheme != "unix" and number and not (number.isascii() and number.isdigit()):
        raise ConfigurationError(
            f"REDIS_URL ends in a database that is not a number. Set it to an address such as {REDIS_EXAMPLE}."
        )


def _check_secret(found: Configuration) -> None:
    if not found.secret_key and found.database_url:
        raise ConfigurationError(
            "SECRET_KEY is not set, and with DATABASE_URL it has to be. Give every process the same 50 random "
            f"characters, such as those that {KEY_COMMAND} prints."
        )
    if found.secret_key and len(found.secret_key) < MIN_SECRET_LENGTH:
        raise ConfigurationError(
            f"SECRET_KEY has {len(found.secret_key)} characters, and a short one can be guessed. Set it to 50 "
            f"random ones (at least {MIN_SECRET_LENGTH}), such as those that {KEY_COMMAND} prints."
        )


def _check_hosts(found: Configuration) -> None:
    for host in found.allowed_hosts:
        bare = host.strip("[]") if host.startswith("[") and host.endswith("]") else host
        if set("/@ \t?#") & set(host) or (":" in bare and bare == host):
            raise ConfigurationError(
                f"ALLOWED_HOSTS has {host!r}, which is not a host name. Set it to names alone, comma-separated, "
                "without http:// and port: ballast.example.org,127.0.0.1"
            )
    for origin in found.csrf_trusted_origins:
        parts = split_address("CSRF_TRUSTED_ORIGINS", origin)
        if parts.scheme not in ("http", "https") or not parts.netloc or parts.path.strip("/"):
            raise ConfigurationError(
                f"CSRF_TRUSTED_ORIGINS has {origin!r}, which is not an origin. Set it to scheme and host, "
                "comma-separated: https://ballast.example.org"
            )


def _check_is_toml(path: Path) -> None:
    try:
        tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(
            f"BALLAST_CONFIG names {path}, which cannot be read ({error.strerror}). "
            "Set it to a TOML file, or leave it out."
        ) from None
    except ValueError as error:
        reason = str(error).strip().splitlines()[0]
        raise ConfigurationError(
            f"BALLAST_CONFIG names {path}, which is not TOML: {reason}. Correct that line."
        ) from None


def check_config_file(path: Path) -> None:
    """Check the metric families and archetypes in the configuration file, if there is one.

    Raises `ConfigurationError` that names the key. It loads modules that the settings of a web process must not load.
    """
    if not path.is_file():
        return
    from apps.core.errors import InvalidInput
    from apps.engine.archetypes import Archetypes
    from apps.telemetry.clients.prometheus.families import load_config

    _check_is_toml(path)
    document = tomllib.loads(path.read_text(encoding="utf-8"))
    unknown = sorted(set(document) - {"telemetry", "archetypes"})
    if unknown:
        raise ConfigurationError(
            f"{path} has {unknown[0]!r}, which Ballast does not know. It may have [telemetry] and [archetypes] tables."
        )
    try:
        load_config(path)
        if "archetypes" in document:
            Archetypes.from_mapping(document)
    except InvalidInput as error:
        raise ConfigurationError(error.detail) from None
    except (ValueError, TypeError) as error:
        raise ConfigurationError(f"{path}: {error}") from None
