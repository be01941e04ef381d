"""Where the embedded PostgreSQL keeps its cluster, which user owns the files, and where its programs are.

Where root starts it, cluster and programs may have to move to a place that another user can reach.
"""

from __future__ import annotations

import importlib.metadata
import os
import secrets
from functools import cached_property
from pathlib import Path

from console.embedded.errors import EmbeddedError
from console.embedded.identity import Identity, candidates
from console.embedded.postgres_install import WHEEL, copy_install, find_install
from console.embedded.state import load_state, update_state


class PostgresHome:
    """The place of one data folder's PostgreSQL. Each property is computed once, on first use."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.install = find_install()

    @cached_property
    def identity(self) -> Identity:
        """The first identity that can run the binaries on the data folder. For the last one, both are moved."""
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

    @cached_property
    def path(self) -> Path:
        """The folder of the cluster, which the user that PostgreSQL runs as can reach."""
        self.identity  # noqa: B018  (decides where the home is)
        recorded = load_state(self.data_dir).postgres_home
        return Path(recorded) if recorded else self.data_dir / "postgres"

    @cached_property
    def bin(self) -> Path:
        """The folder of the programs, which the identity can run."""
        self.identity  # noqa: B018
        copied = self.path / f"{WHEEL}-{importlib.metadata.version(WHEEL)}"
        return (
            copied / self.install.parent.name / "pginstall18" if copied.exists() else self.install
        ) / "bin"

    def own(self, path: Path) -> None:
        """Give ``path`` to the user that PostgreSQL runs as, where another user owns it."""
        identity = self.identity
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

    def _move_out(self, identity: Identity) -> Path:
        """Make a new folder for the cluster that ``identity`` can reach, and a link to it in the data folder."""
        base = Path("/var/lib") if os.access("/var/lib", os.W_OK) else Path("/var/tmp")  # noqa: S108
        home = base / f"ballast-{secrets.token_hex(6)}"
        home.mkdir(mode=0o700)
        os.chown(home, identity.uid, identity.gid)
        update_state(self.data_dir, postgres_home=str(home))
        (self.data_dir / "postgres").symlink_to(home)
        return home

    def _settle(self, identity: Identity, home: Path, version: list[str]) -> Identity:
        """Copy the binaries to ``home`` for ``identity`` where it cannot reach those of the wheel."""
        if not home.is_dir():
            raise EmbeddedError(
                f"The database of {self.data_dir} was kept in {home}, which is gone. "
                f"Restore it from a backup, or remove {self.data_dir} to start over."
            )
        if not identity.can(version, folder=home):
            target = home / f"{WHEEL}-{importlib.metadata.version(WHEEL)}"
            if not target.exists():
                copy_install(self.install, target)
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
