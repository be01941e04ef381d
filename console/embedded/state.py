"""Ports and passwords of the embedded servers, kept in one private file of the data folder."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from console.embedded.errors import EmbeddedError, os_errors_explained

# Below the ephemeral ranges of Linux (32768) and macOS (49152), so that no outgoing connection takes one.
PORTS = range(20_000, 32_000)


@dataclass(frozen=True)
class State:
    """Ports and passwords of a data folder's servers, and where the cluster is."""

    postgres_port: int
    redis_port: int
    superuser_password: str
    owner_password: str
    app_password: str
    redis_password: str
    postgres_home: str = ""
    """The folder of the cluster, where the user that PostgreSQL runs as cannot reach the data folder."""


@dataclass(frozen=True)
class Urls:
    """Addresses of the embedded servers."""

    database_url: str
    """For the application's role, which reads and writes rows and owns nothing."""
    database_owner_url: str
    """For the role that owns the tables, for migrations and partitions."""
    redis_url: str


def state_path(data_dir: Path) -> Path:
    return data_dir / "embedded.json"


def run_dir(data_dir: Path) -> Path:
    """Return the folder of locks and markers. Make it if it does not exist."""
    folder = data_dir / "run"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def port_is_free(port: int) -> bool:
    """Return whether a server can listen on ``port`` of the loopback address."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port(*, but: int = 0) -> int:
    """Return a port of `PORTS` on which nothing listens."""
    for _ in range(200):
        port = PORTS[secrets.randbelow(len(PORTS))]
        if port != but and port_is_free(port):
            return port
    raise EmbeddedError("No free port between 20000 and 31999 on 127.0.0.1 was found.")


def load_state(data_dir: Path) -> State:
    """Return the recorded state. The first call for a data folder makes it."""
    data_dir = data_dir.absolute()
    with os_errors_explained(data_dir):
        found = _read(data_dir)
        if found is not None:
            return found
        make_data_dir(data_dir)
        with _locked(data_dir):
            found = _read(data_dir)
            if found is None:
                port = free_port()
                found = State(
                    postgres_port=port,
                    redis_port=free_port(but=port),
                    superuser_password=secrets.token_urlsafe(24),
                    owner_password=secrets.token_urlsafe(24),
                    app_password=secrets.token_urlsafe(24),
                    redis_password=secrets.token_urlsafe(24),
                )
                _write(data_dir, found)
            return found


def update_state(data_dir: Path, **changes: int | str) -> State:
    """Record ``changes`` and keep what other processes recorded meanwhile."""
    load_state(data_dir)
    with os_errors_explained(data_dir), _locked(data_dir):
        current = _read(data_dir)
        if current is None:
            raise EmbeddedError(f"{state_path(data_dir)} disappeared while it was in use.")
        changed = replace(current, **changes)  # type: ignore[arg-type]
        if changed != current:
            _write(data_dir, changed)
        return changed


def urls_of(state: State) -> Urls:
    database = f"127.0.0.1:{state.postgres_port}/ballast"
    return Urls(
        database_url=f"postgresql://ballast_app:{state.app_password}@{database}",
        database_owner_url=f"postgresql://ballast_owner:{state.owner_password}@{database}",
        redis_url=f"redis://:{state.redis_password}@127.0.0.1:{state.redis_port}/0",
    )


def make_data_dir(data_dir: Path) -> None:
    """Make the data folder, private to its user. An existing folder keeps its mode.

    The user who runs PostgreSQL for root can pass through root's folder but not list it. The folders and files in it
    are private themselves.
    """
    data_dir.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700, parents=True, exist_ok=True)


def write_private(path: Path, text: str) -> None:
    """Replace ``path`` atomically by a file that only its owner can read."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise


@contextmanager
def _locked(data_dir: Path) -> Iterator[None]:
    with (run_dir(data_dir) / "state.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _read(data_dir: Path) -> State | None:
    path = state_path(data_dir)
    try:
        return State(**json.loads(path.read_text(encoding="utf-8")))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, TypeError) as error:
        raise EmbeddedError(
            f"{path} is damaged ({error}). Restore it from a backup of the data folder."
        ) from error


def _write(data_dir: Path, state: State) -> None:
    write_private(state_path(data_dir), json.dumps(asdict(state), indent=1) + "\n")
