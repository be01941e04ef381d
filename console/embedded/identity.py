"""The user that PostgreSQL runs as. It refuses to run as root, so root starts it under another identity.

In a user namespace root's files appear under another user id, so no file or folder has to change (user_namespaces(7)).
Where namespaces are forbidden, as in many containers, an unprivileged user runs PostgreSQL.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import pwd
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

from console.embedded.errors import EmbeddedError

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None

Kind = Literal["self", "namespace", "user"]


def die_with_parent(how: signal.Signals, parent: int) -> None:
    """Ask Linux to send the signal ``how`` to this process when its parent dies. End at once where it has died already.

    ``parent`` is the process id that the parent itself told. What this process finds as its parent may be whoever took
    it over. On other systems nothing more than that check is done.
    """
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, int(how), 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


@dataclass(frozen=True)
class Identity:
    """The identity of a process of the embedded PostgreSQL."""

    kind: Kind
    uid: int
    """The user id that owns the cluster's files, as seen from outside."""
    gid: int
    seen_as: int = 0
    """The user and group id that the process itself sees. Only for a namespace."""

    def popen(
        self,
        command: Sequence[str],
        *,
        env: Mapping[str, str],
        output: IO[bytes] | int,
        on_parent_death: signal.Signals | None = None,
        cwd: Path | None = None,
    ) -> subprocess.Popen[bytes]:
        """Start ``command`` under this identity in a session of its own."""
        become = self._become(on_parent_death)
        if self.kind == "user":
            return subprocess.Popen(
                command,
                env=env,
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=become,
                user=self.uid,
                group=self.gid,
                extra_groups=[],
            )
        return subprocess.Popen(
            command,
            env=env,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=become,
        )

    def can(self, command: Sequence[str], *, folder: Path) -> bool:
        """Return whether this identity can run ``command`` and create files in ``folder``."""
        probe = 'test -w "$1" -a -x "$1" && shift && exec "$@"'
        try:
            process = self.popen(
                ["/bin/sh", "-c", probe, "probe", str(folder), *command],
                env={"LC_ALL": "C", "PATH": os.defpath},
                output=subprocess.DEVNULL,
                cwd=Path("/"),
            )
        except (OSError, subprocess.SubprocessError):
            return False
        return process.wait(timeout=20) == 0

    def _become(self, on_parent_death: signal.Signals | None) -> Callable[[], None]:
        parent = os.getpid()

        def become() -> None:
            if self.kind == "namespace":
                os.unshare(os.CLONE_NEWUSER)
                with contextlib.suppress(FileNotFoundError):
                    Path("/proc/self/setgroups").write_text("deny")
                Path("/proc/self/uid_map").write_text(f"{self.seen_as} {self.uid} 1")
                Path("/proc/self/gid_map").write_text(f"{self.seen_as} {self.gid} 1")
            # After the change of user, because that clears the setting (prctl(2)).
            if on_parent_death is not None:
                die_with_parent(on_parent_death, parent)

        return become


def candidates() -> list[Identity]:
    """Yield the identities under which this process could start PostgreSQL, best first."""
    uid, gid = os.geteuid(), os.getegid()
    if uid != 0:
        return [Identity("self", uid, gid)]
    user = _unprivileged_user()
    found = []
    if sys.platform == "linux":
        found.append(Identity("namespace", uid, gid, seen_as=user.pw_uid))
    found.append(Identity("user", user.pw_uid, user.pw_gid))
    return found


def _unprivileged_user() -> pwd.struct_passwd:
    """Return a user of this machine other than root. initdb needs one with a name."""
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    for user in pwd.getpwall():
        if user.pw_uid != 0:
            return user
    raise EmbeddedError(
        "PostgreSQL refuses to run as root, and this machine has no other user. "
        "Run Ballast as an ordinary user."
    )
