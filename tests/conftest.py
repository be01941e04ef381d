"""Every test has a real PostgreSQL, with the application's role apart from the owner's, and a real Redis.

The embedded servers are started once for the whole run. Each xdist worker has a database of its own, cloned from one
template that is migrated once. Tests run as the application's role; only the flush after a transactional test needs
the owner's.
"""

from __future__ import annotations

import gc
import hashlib
import os
import uuid
from collections.abc import Iterator
from itertools import compress
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

ROOT = Path(__file__).resolve().parent.parent
SHARED_DATA = ROOT.parent / "shared" / "data"

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "console.settings")
os.environ.setdefault("BALLAST_DATA_DIR", str(ROOT / ".local" / "test"))
os.environ["DEMO"] = "0"
os.environ.setdefault("LOG_LEVEL", "ERROR")
for name in ("DATABASE_URL", "DATABASE_OWNER_URL", "REDIS_URL", "PROMETHEUS_URL", "SECRET_KEY"):
    os.environ.pop(name, None)


def _start() -> Any:
    """Start the embedded servers, then Django; the workers of one run share the servers.

    It happens as this file is read: the settings need the data folder chosen above, and the conftest files further
    down import models. So the settings are not named in pyproject.toml, where pytest-django would read them first.
    """
    import django

    from console.embedded import ensure

    data = Path(os.environ["BALLAST_DATA_DIR"])
    servers = ensure(data, durable=False)
    (data / "static").mkdir(exist_ok=True)  # where collected files would be; whitenoise warns without it
    django.setup()
    return servers


_servers = _start()


def pytest_unconfigure() -> None:
    _servers.close()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes long, in whatever order; a worker that came to it last would end long after the others."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


def pytest_collection_finish() -> None:
    """Keep the garbage collector from walking over thousands of tests, which are none, again and again."""
    gc.collect()
    gc.freeze()


def _migrations_digest() -> str:
    """Return a digest of migrations and grants; it names the template, so that a changed schema gets a new one."""
    digest = hashlib.sha256()
    for path in sorted([*ROOT.glob("apps/*/migrations/*.py"), ROOT / "apps/core/database/grants.py"]):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:10]


@pytest.fixture(scope="session")
def django_db_setup(django_test_environment: None, django_db_blocker: Any, worker_id: str) -> Iterator[None]:
    """Clone this worker's database from the migrated template, as the owner."""
    from django.conf import settings
    from django.core.management import call_command
    from django.db import connections

    from apps.core.database import audit_proofs, grants

    owner = dict(settings.DATABASES["owner"])  # as it is before the names below change
    template = f"ballast_template_{_migrations_digest()}"
    database = f"ballast_test_{worker_id}"

    def server() -> psycopg.Connection:
        return psycopg.connect(
            host=owner["HOST"],
            port=owner["PORT"],
            user=owner["USER"],
            password=owner["PASSWORD"],
            dbname=owner["NAME"],
            autocommit=True,
        )

    def drop(admin: psycopg.Connection, name: str) -> None:
        # Not WITH (FORCE), which the owner may not use while autovacuum looks in; without it, it is sent away.
        admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = %s AND usename IN (%s, %s) AND pid <> pg_backend_pid()",
            [name, owner["USER"], settings.DATABASES["default"]["USER"]],
        )
        admin.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(name)))

    def point_at(name: str) -> None:
        for alias in ("default", "owner"):
            connection = connections[alias]
            connection.close()
            if hasattr(connection, "close_pool"):
                connection.close_pool()
            settings.DATABASES[alias]["NAME"] = name
            connection.settings_dict["NAME"] = name

    with django_db_blocker.unblock(), server() as admin:
        admin.execute("SELECT pg_advisory_lock(727274)")
        exists = admin.execute("SELECT 1 FROM pg_database WHERE datname = %s", [template]).fetchone()
        if not exists:
            building = sql.Identifier(template + "_new")
            admin.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(building))
            admin.execute(sql.SQL("CREATE DATABASE {}").format(building))
            point_at(template + "_new")
            call_command("migrate", verbosity=0, interactive=False)
            point_at(owner["NAME"])
            admin.execute(
                sql.SQL("ALTER DATABASE {} RENAME TO {}").format(building, sql.Identifier(template))
            )
        drop(admin, database)
        admin.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
                sql.Identifier(database), sql.Identifier(template)
            )
        )
        admin.execute("SELECT pg_advisory_unlock(727274)")
        point_at(database)
        audit_proofs.note_key()
        grants.grant()  # a clone has the rights on the tables of its template, and none of those on the database
    yield
    with django_db_blocker.unblock(), server() as admin:
        for connection in connections.all():
            connection.close()
            if hasattr(connection, "close_pool"):
                connection.close_pool()
        drop(admin, database)


@pytest.fixture(scope="session", autouse=True)
def _the_databases_clock_travels_along() -> Iterator[None]:
    """Where a test travels in time, the database's clock does as well."""
    from datetime import UTC, datetime

    import time_machine

    from apps.core import instants

    def moment() -> datetime:
        if time_machine.escape_hatch.is_travelling():
            return datetime.now(UTC)
        return instants._database_clock()

    with instants.clocks(database=moment):
        yield


def _emptied(connection: psycopg.Connection) -> None:
    """Delete all rows but those of Django's own three tables and the key of audit entries.

    Few tables hold any, and few at that; TRUNCATE would make every file of every table and index anew.
    """
    with connection.transaction():
        found = connection.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
            " AND relkind IN ('r', 'p') AND NOT relispartition AND relname <> ALL (%s)"
            " ORDER BY relname = 'core_tablechange'",  # last, because deleting from other tables adds to it
            [["django_migrations", "django_content_type", "auth_permission", "core_auditkey"]],
        ).fetchall()
        tables = [sql.Identifier(table) for (table,) in found]
        has_rows = sql.SQL(", ").join(sql.SQL("EXISTS (SELECT FROM {})").format(table) for table in tables)
        filled = connection.execute(sql.SQL("SELECT {}").format(has_rows)).fetchone() or ()
        connection.execute("ALTER TABLE core_auditentry DISABLE TRIGGER USER")
        for table in [*compress(tables, filled), tables[-1]]:
            connection.execute(sql.SQL("DELETE FROM {}").format(table))
        connection.execute("ALTER TABLE core_auditentry ENABLE TRIGGER USER")


@pytest.fixture(scope="session", autouse=True)
def _flush_as_the_owner() -> Iterator[None]:
    """Empty the tables after a transactional test as their owner; the application's role may not."""
    from django.conf import settings
    from django.test import TransactionTestCase

    connections: list[psycopg.Connection] = []

    def flush(self: TransactionTestCase) -> None:
        if not connections or connections[-1].closed:
            owner = settings.DATABASES["owner"]
            where = {"host": owner["HOST"], "port": owner["PORT"], "dbname": owner["NAME"]}
            who = {"user": owner["USER"], "password": owner["PASSWORD"]}
            connections.append(psycopg.connect(**where, **who, autocommit=True))
        _emptied(connections[-1])

    # For the whole run: a patch for one test would be gone before that test's own teardown.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", flush)
        yield
    for connection in connections:
        connection.close()


@pytest.fixture(autouse=True)
def _own_cache(request: pytest.FixtureRequest) -> None:
    """Give each test that uses the database a cache of its own: keys under a prefix nobody else has, and nothing
    remembered.
    """
    marked = request.node.get_closest_marker("django_db")
    if marked or {"db", "transactional_db"} & set(request.fixturenames):
        from django.core.cache import cache

        from apps.core.remembered import forget_all

        cache.key_prefix = f"test-{uuid.uuid4().hex}"
        forget_all()
