"""The two probes: liveness asks nobody, readiness needs PostgreSQL with all migrations applied.

Readiness has its own connection with a short deadline, so neither a full pool nor a frozen server delays the probe.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, TypedDict

import psycopg
import redis
from django.conf import settings
from django.db.migrations.loader import MigrationLoader
from psycopg import sql

from apps.core.database import audit_proofs, clocks, storage
from apps.core.database.apart import connected
from apps.core.models import OutboxDelivery

REDIS_TIMEOUT_SECONDS = 0.1
DATABASE_TIMEOUT_SECONDS = 1.0
OK = "ok"
SILENT = "does not answer"
FULL = "disk is full: reads go on, changes are refused"


class Health(TypedDict):
    """What a probe answers."""

    status: str
    checks: dict[str, str]


@dataclass(frozen=True, slots=True)
class Readiness:
    """``checks`` says for each part that it is ok or what is wrong. Only the parts of the database decide."""

    is_ready: bool
    checks: dict[str, str]

    @property
    def http_status(self) -> int:
        return 200 if self.is_ready else 503

    @property
    def document(self) -> Health:
        degraded = any(state != OK for state in self.checks.values())
        status = ("degraded" if degraded else "ready") if self.is_ready else "unavailable"
        return {"status": status, "checks": self.checks}


def liveness() -> Health:
    """Return that the process answers. Asks no other part."""
    return {"status": "alive", "checks": {}}


def readiness() -> Readiness:
    """Check PostgreSQL, its migrations and its clock, and, for information, Redis, the outbox and the disk."""
    checks = _database() | {"redis": _redis(), "disk": storage.shortage() or OK}
    is_ready = checks["postgresql"] in (OK, FULL) and checks["migrations"] == checks.get("audit") == OK
    return Readiness(is_ready, checks)


@cache
def known_migrations() -> frozenset[tuple[str, str]]:
    """Return the migrations of this version of the code, read from disk once in each process."""
    loader = MigrationLoader(None)
    replaced = {key for migration in loader.disk_migrations.values() for key in migration.replaces}
    return frozenset(loader.disk_migrations) - replaced


def _database() -> dict[str, str]:
    try:
        with connected(DATABASE_TIMEOUT_SECONDS) as connection:
            found = connection.execute("SELECT to_regclass('django_migrations') IS NOT NULL").fetchone()
            if not (found and found[0]):
                return {"postgresql": OK, "migrations": "none applied"}
            applied = connection.execute("SELECT app, name FROM django_migrations").fetchall()
            missing = known_migrations() - set(applied)
            if missing:
                return {"postgresql": OK, "migrations": f"{len(missing)} not applied"}
            return {
                "postgresql": FULL if storage.database_is_full() else OK,
                "migrations": OK,
                "audit": _audit(connection),
                "outbox": _outbox(connection),
                "clock": _clock(connection),
            }
    except (psycopg.OperationalError, psycopg.InterfaceError):
        return {"postgresql": SILENT, "migrations": "unknown"}
    except psycopg.Error as error:
        return {"postgresql": type(error).__name__, "migrations": "unknown"}


def _outbox(connection: psycopg.Connection[Any]) -> str:
    """Return how many events are parked. `manage.py relay --revive` sends them again."""
    table = sql.Identifier(OutboxDelivery._meta.db_table)
    query = sql.SQL("SELECT count(*) FROM {} WHERE state = %s").format(table)
    row = connection.execute(query, [OutboxDelivery.State.DEAD.value]).fetchone()
    parked = row[0] if row else 0
    return f"{parked} parked" if parked else OK


def _audit(connection: psycopg.Connection[Any]) -> str:
    """Return whether the database takes this process's audit entries, without which nothing can be changed."""
    row = connection.execute("SELECT core_knows_audit_key(%s)", [audit_proofs.key_name()]).fetchone()
    return OK if row and row[0] else "SECRET_KEY is not noted in the database: run manage.py migrate with it"


def _clock(connection: psycopg.Connection[Any]) -> str:
    """Return whether this machine's clock agrees with the database's."""

    def database() -> datetime:
        row = connection.execute("SELECT clock_timestamp()").fetchone()
        assert row is not None
        moment: datetime = row[0]
        return moment

    return clocks.difference(database) or OK


@cache
def _redis_client(url: str) -> redis.Redis:
    return redis.Redis.from_url(
        url, socket_timeout=REDIS_TIMEOUT_SECONDS, socket_connect_timeout=REDIS_TIMEOUT_SECONDS
    )


def _redis() -> str:
    try:
        _redis_client(settings.REDIS_URL).set("ballast:ready", "1", ex=60)
    except (redis.ConnectionError, redis.TimeoutError, OSError):
        return SILENT
    except redis.ResponseError as error:
        return redis_words(error)
    return OK


def redis_words(error: redis.ResponseError) -> str:
    """Return why Redis refuses to write, without the details of its message."""
    text = str(error)
    if isinstance(error, redis.exceptions.OutOfMemoryError) or "OOM" in text:
        return "memory is full (maxmemory): nothing is cached or enqueued"
    if "MISCONF" in text:
        return "cannot save to its disk (MISCONF): nothing is cached or enqueued; free space there"
    return type(error).__name__
