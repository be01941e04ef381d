"""What an embedded server looks like when it has started, and what is said when it cannot."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
import redis

from console.embedded import EmbeddedError, embedded_urls, ensure
from console.embedded.redis_server import RedisServer, in_wheel, on_path
from console.embedded.state import load_state, port_is_free
from tests.house.waiting import until

ROOT = Path(__file__).resolve().parents[2]
WITHOUT_NAMESPACES = """
import os, sys
ready, mapped = os.pipe(), os.pipe()
child = os.fork()
if child == 0:
    os.unshare(os.CLONE_NEWUSER)
    os.write(ready[1], b"x")
    os.read(mapped[0], 1)
    with open("/proc/sys/user/max_user_namespaces", "w") as limit:
        limit.write("0")
    os.execv(sys.executable, [sys.executable, "-m", "tests.house.holder", sys.argv[1]])
os.read(ready[0], 1)
for name in ("uid_map", "gid_map"):
    with open(f"/proc/{child}/{name}", "w") as table:
        table.write("0 0 4294967295")
os.write(mapped[1], b"x")
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def can_make_namespaces() -> bool:
    probe = "import os; os.unshare(os.CLONE_NEWUSER)"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, check=False)
    return sys.platform == "linux" and os.geteuid() == 0 and done.returncode == 0


def test_asking_for_addresses_starts_nothing(data_dir: Path) -> None:
    first = embedded_urls(data_dir)
    state = load_state(data_dir)
    assert first == embedded_urls(data_dir)
    assert port_is_free(state.postgres_port)
    assert port_is_free(state.redis_port)
    assert str(state.postgres_port) in first.database_url
    assert str(state.redis_port) in first.redis_url


def test_passwords_are_readable_by_their_owner_alone(data_dir: Path) -> None:
    embedded_urls(data_dir)
    assert stat.S_IMODE((data_dir / "embedded.json").stat().st_mode) == 0o600


def test_the_application_role_owns_nothing_and_makes_no_table(kept_data_dir: Path) -> None:
    with ensure(kept_data_dir, redis=False, durable=False) as servers:
        with psycopg.connect(servers.database_url) as connection:
            row = connection.execute(
                "SELECT rolsuper, rolcreatedb, rolcreaterole, rolbypassrls FROM pg_roles"
                " WHERE rolname = current_user"
            ).fetchone()
            assert row == (False, False, False, False)
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute("CREATE TABLE public.mine (id int)")
        with psycopg.connect(servers.database_owner_url) as connection:
            connection.execute("CREATE TABLE public.ours (id int)")
            connection.execute("DROP TABLE public.ours")


def test_nobody_enters_without_a_password(kept_data_dir: Path) -> None:
    with ensure(kept_data_dir, durable=False) as servers:
        port = load_state(kept_data_dir).postgres_port
        for role in ("postgres", "ballast_owner", "ballast_app"):
            with pytest.raises(psycopg.OperationalError):
                psycopg.connect(host="127.0.0.1", port=port, user=role, dbname="ballast", password="guessed")
        with redis.Redis.from_url(servers.redis_url) as signed_in:
            assert signed_in.ping()
        with (
            redis.Redis(port=load_state(kept_data_dir).redis_port) as stranger,
            pytest.raises(redis.RedisError),
        ):
            stranger.ping()


def test_it_moves_to_another_port_when_its_own_is_taken(kept_data_dir: Path) -> None:
    before = load_state(kept_data_dir)
    with (
        socket.create_server(("127.0.0.1", before.postgres_port)),
        ensure(kept_data_dir, durable=False) as servers,
    ):
        after = load_state(kept_data_dir)
        assert after.postgres_port != before.postgres_port
        assert after.redis_port == before.redis_port
        assert f":{after.postgres_port}/" in servers.database_url
        with psycopg.connect(servers.database_url) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)


def test_rows_outlive_the_server(kept_data_dir: Path) -> None:
    with (
        ensure(kept_data_dir, durable=False) as servers,
        psycopg.connect(servers.database_owner_url) as connection,
    ):
        connection.execute("CREATE TABLE kept (id int)")
        connection.execute("INSERT INTO kept VALUES (7)")
    with ensure(kept_data_dir) as servers, psycopg.connect(servers.database_owner_url) as connection:
        assert connection.execute("SELECT id FROM kept").fetchone() == (7,)


@pytest.mark.parametrize("find", [on_path, in_wheel], ids=["path", "wheel"])
def test_it_runs_either_redis(find: Callable[[], Path | None], data_dir: Path) -> None:
    binary = find()
    if binary is None:
        pytest.skip("This machine has no such redis-server.")
    load_state(data_dir)
    server = RedisServer(data_dir, durable=False)
    server.binary = binary
    server.prepare()
    process = server.spawn()
    try:
        until(lambda: server.is_ready(process), "Redis answers")
        with redis.Redis.from_url(embedded_urls(data_dir).redis_url) as client:
            assert client.set("a", "b")
    finally:
        server.stop(process)
    assert port_is_free(load_state(data_dir).redis_port)


def test_root_without_user_namespaces_lends_it_to_another_user(data_dir: Path) -> None:
    if not can_make_namespaces():
        pytest.skip("Only root can forbid namespaces to its children.")
    with subprocess.Popen(
        [sys.executable, "-c", WITHOUT_NAMESPACES, str(data_dir)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        url = process.stdout.readline().split()[0]
        with psycopg.connect(url) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        assert (data_dir / "postgres" / "data").stat().st_uid != 0
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(60) == 0
    with ensure(data_dir) as servers, psycopg.connect(servers.database_url) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
        assert (data_dir / "postgres" / "data").stat().st_uid == 0


def test_a_folder_that_cannot_be_written_is_named() -> None:
    folder = Path("/sys/ballast") if os.geteuid() == 0 else Path("/ballast")
    with pytest.raises(EmbeddedError, match=f"The data folder {folder} cannot be"):
        ensure(folder)


def test_a_file_in_place_of_the_folder_is_named(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(EmbeddedError, match=f"{file} is not a folder"):
        ensure(file)


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1M", "tmpfs", disk], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("Only root can mount a small disk.")
    try:
        with pytest.raises(EmbeddedError, match="is full") as raised:
            ensure(disk / "data")
        assert "\n" not in str(raised.value)
    finally:
        subprocess.run(["umount", "-l", disk], check=True)
