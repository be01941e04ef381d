"""A disk is full: who wanted to write is told which, and what to do; who reads is served."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis
from django.conf import settings as django_settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connections
from django.test import Client

from apps.accounts.models import User
from apps.core import queries
from apps.core.database import storage
from console.embedded.state import load_state
from tests.pages import client_of

WRITE = "/api/v1/actions/accounts.create_api_key"


@pytest.fixture(autouse=True)
def _nothing_met(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "_met_at", None)


@pytest.fixture
def tiny() -> Iterator[Path]:
    """A file system of 256 kB."""
    with tempfile.TemporaryDirectory(prefix="ballast-tiny-") as folder:
        command = ["mount", "-t", "tmpfs", "-o", "size=256k,mode=777", "tmpfs", folder]
        if subprocess.run(command, capture_output=True, check=False).returncode != 0:
            pytest.skip("No file system can be mounted here.")
        try:
            yield Path(folder)
        finally:
            subprocess.run(["umount", "-l", folder], check=True)


@pytest.fixture
def admin(transactional_db: None) -> Client:
    return client_of(User.Role.SRE_ADMIN)


def trigger(body: str) -> Iterator[None]:
    """Let PostgreSQL itself run ``body`` before each new API key."""
    with connections["owner"].cursor() as cursor:
        cursor.execute(
            "CREATE FUNCTION run_dry() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS"
            f" $$ BEGIN {body}; RETURN NEW; END $$"
        )
        cursor.execute(
            "CREATE TRIGGER run_dry BEFORE INSERT ON accounts_apikey FOR EACH ROW EXECUTE FUNCTION run_dry()"
        )
    try:
        yield
    finally:
        with connections["owner"].cursor() as cursor:
            cursor.execute("DROP FUNCTION run_dry() CASCADE")


@pytest.fixture
def raising(request: pytest.FixtureRequest) -> Iterator[None]:
    yield from trigger(f"RAISE EXCEPTION 'there is no more' USING ERRCODE = '{request.param}'")


@pytest.mark.django_db(transaction=True, databases=["default", "owner"])
@pytest.mark.parametrize(
    ("raising", "status", "slug", "words"),
    [
        ("53100", 507, "storage-full", "The disk of PostgreSQL is full"),
        ("53200", 503, "unavailable", "PostgreSQL has too little to spare"),
        ("53300", 503, "unavailable", "PostgreSQL has too little to spare"),
        ("53000", 503, "unavailable", "PostgreSQL has too little to spare"),
        ("53400", 503, "unavailable", "A limit of PostgreSQL is reached"),
    ],
    indirect=["raising"],
)
def test_what_postgresql_lacks_is_named(
    admin: Client, raising: None, status: int, slug: str, words: str
) -> None:
    answer = admin.post(WRITE, {"name": "one"}, content_type="application/json")
    assert answer.status_code == status
    document = answer.json()
    assert document["type"].endswith(f"#{slug}")
    assert document["detail"].startswith(words)
    assert "there is no more" in document["detail"]
    assert int(answer["Retry-After"]) > 0
    form = admin.post("/api-keys/make/", {"name": "two"})
    assert form.status_code == status
    assert words in form.content.decode()


@pytest.mark.django_db(transaction=True, databases=["default", "owner"])
@pytest.mark.parametrize("raising", ["53100"], indirect=True)
def test_after_a_full_disk_reads_go_on_and_readiness_and_pages_say_it(admin: Client, raising: None) -> None:
    assert queries.readiness().document["status"] == "ready"
    admin.post(WRITE, {"name": "one"}, content_type="application/json")
    ready = admin.get("/-/ready")
    assert ready.status_code == 200
    assert ready.json()["status"] == "degraded"
    assert "disk is full" in ready.json()["checks"]["postgresql"]
    page = admin.get("/services/")
    assert page.status_code == 200
    assert "The disk of PostgreSQL is full" in page.content.decode()


@pytest.fixture
def full_tablespace(tiny: Path, transactional_db: None) -> Iterator[None]:
    """A table on the tiny file system, to which each new API key adds more than it holds."""
    state = load_state(django_settings.DATA_DIR)
    where: dict[str, Any] = {"host": "127.0.0.1", "port": state.postgres_port, "autocommit": True}
    database = connections["owner"].settings_dict["NAME"]
    with psycopg.connect(
        **where, user="postgres", password=state.superuser_password, dbname=database
    ) as superuser:
        place = tiny / "space"
        place.mkdir(mode=0o777)
        place.chmod(0o777)
        try:
            superuser.execute(f"CREATE TABLESPACE tiny LOCATION '{place}'")
        except psycopg.Error as error:
            pytest.skip(f"PostgreSQL cannot use the file system: {error}")
        superuser.execute("GRANT CREATE ON TABLESPACE tiny TO ballast_owner")
        owner = connections["owner"]
        try:
            with owner.cursor() as cursor:
                cursor.execute("CREATE TABLE filler (text char(1000)) TABLESPACE tiny")
            yield from trigger("INSERT INTO filler SELECT 'x' FROM generate_series(1, 2000)")
        finally:
            with owner.cursor() as cursor:
                cursor.execute("DROP TABLE IF EXISTS filler")
            superuser.execute("DROP TABLESPACE tiny")


@pytest.mark.django_db(transaction=True, databases=["default", "owner"])
@pytest.mark.usefixtures("full_tablespace")
def test_a_file_system_of_postgresql_that_is_full_is_named(admin: Client) -> None:
    answer = admin.post(WRITE, {"name": "one"}, content_type="application/json")
    assert answer.status_code == 507
    assert "No space left on device" in answer.json()["detail"]


def test_an_upload_onto_a_full_disk_says_so_and_leaves_nothing(
    tiny: Path, admin: Client, settings: Any
) -> None:
    settings.DATA_DIR = tiny
    answer = admin.post("/imports/files/", {"files": SimpleUploadedFile("services.csv", b"x" * 1024 * 1024)})
    assert answer.status_code == 507
    said = answer.content.decode()
    assert "disk" in said
    assert "full" in said
    assert not [path for path in tiny.rglob("*") if path.is_file()]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("least", "status"), [(1, "ready"), (2**62, "degraded")])
def test_little_free_space_in_the_data_folder_degrades_readiness(
    client: Client, settings: Any, least: int, status: str
) -> None:
    settings.DATA_DIR_MIN_FREE_BYTES = least
    ready = client.get("/-/ready")
    assert ready.status_code == 200
    assert ready.json()["status"] == status
    assert ("bytes are free in the data folder" in ready.json()["checks"]["disk"]) == (status == "degraded")


@pytest.mark.parametrize(
    "text", ["OOM command not allowed when used memory > 'maxmemory'.", "MISCONF Redis is"]
)
def test_a_redis_that_cannot_write_is_told_apart_from_one_that_does_not_answer(text: str) -> None:
    assert "nothing is cached or enqueued" in queries.redis_words(redis.ResponseError(text))
