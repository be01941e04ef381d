"""Is this process alive, and can it serve? The first asks nobody, the second needs PostgreSQL migrated."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import redis
from django.conf import settings
from django.db import DatabaseError, connection, transaction
from django.db.migrations.loader import MigrationLoader

from apps.core import clocks
from apps.core.models import OutboxDelivery

REDIS_TIMEOUT_SECONDS = 0.1
STATEMENT_TIMEOUT_MS = 1000
OK = "ok"


@dataclass(frozen=True, slots=True)
class Readiness:
    """``checks`` says of each part that it is ok or what is wrong; only the database's parts decide."""

    is_ready: bool
    checks: dict[str, str]

    @property
    def http_status(self) -> int:
        return 200 if self.is_ready else 503

    @property
    def document(self) -> dict[str, Any]:
        degraded = any(state != OK for state in self.checks.values())
        status = ("degraded" if degraded else "ready") if self.is_ready else "unavailable"
        return {"status": status, "checks": self.checks}


def liveness() -> dict[str, Any]:
    """Return that the process answers. Asks nothing of anybody."""
    return {"status": "alive", "checks": {}}


def readiness() -> Readiness:
    """Ask PostgreSQL, whether its migrations are applied, and, for information, Redis."""
    database, migrations = _database()
    checks = {"postgresql": database, "migrations": migrations, "redis": _redis()}
    if database == OK and migrations == OK:
        checks["outbox"] = _outbox()
        checks["clock"] = _clock()
    return Readiness(database == OK and migrations == OK, checks)


@cache
def known_migrations() -> frozenset[tuple[str, str]]:
    """Return the migrations that this version of the code comes with; read from disk once a process."""
    loader = MigrationLoader(None)
    replaced = {key for migration in loader.disk_migrations.values() for key in migration.replaces}
    return frozenset(loader.disk_migrations) - replaced


def _database() -> tuple[str, str]:
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL statement_timeout = {STATEMENT_TIMEOUT_MS}")
            cursor.execute("SELECT to_regclass('django_migrations') IS NOT NULL")
            if not cursor.fetchone()[0]:
                return OK, "none applied"
            cursor.execute("SELECT app, name FROM django_migrations")
            missing = known_migrations() - set(cursor.fetchall())
    except DatabaseError as error:
        return type(error).__name__, "unknown"
    return OK, f"{len(missing)} not applied" if missing else OK


def _outbox() -> str:
    """Whether events were given up on; `manage.py relay --revive` sends them again."""
    try:
        parked = OutboxDelivery.objects.filter(state=OutboxDelivery.State.DEAD).count()
    except DatabaseError as error:
        return type(error).__name__
    return f"{parked} parked" if parked else OK


def _clock() -> str:
    """Whether this machine's clock goes with the database's."""
    try:
        return clocks.difference() or OK
    except DatabaseError as error:
        return type(error).__name__


@cache
def _redis_client(url: str) -> redis.Redis:
    return redis.Redis.from_url(
        url, socket_timeout=REDIS_TIMEOUT_SECONDS, socket_connect_timeout=REDIS_TIMEOUT_SECONDS
    )


def _redis() -> str:
    try:
        _redis_client(settings.REDIS_URL).ping()
    except (redis.RedisError, OSError) as error:
        return type(error).__name__
    return OK
