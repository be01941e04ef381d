"""A console of its own, whose embedded servers a test stops with SIGSTOP and lets go on."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import psycopg

from console.embedded import embedded_urls
from console.embedded.locks import ready_path
from console.embedded.state import load_state
from tests.house.running import ROOT, Running, environment
from tests.house.waiting import until

HANGS_S = 30.0
"""Whoever is answered later than this hangs. No test asserts more about time; tests/bench measures it."""
PASSWORD = "correct horse battery staple"


class House:
    """A running console with one SRE admin, called me."""

    def __init__(self, running: Running) -> None:
        self.running = running
        self.data_dir = running.data_dir
        done = subprocess.run(
            [sys.executable, "manage.py", "create_admin", "--username", "me"],
            cwd=ROOT,
            env=environment(self.data_dir),
            input=PASSWORD + "\n",
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr

    @classmethod
    @contextmanager
    def started(cls, **env: str) -> Iterator[House]:
        """A console that runs within the block, on a data folder that is gone afterwards."""
        parent = Path(tempfile.mkdtemp(prefix="ballast-frozen-"))
        parent.chmod(0o711)
        try:
            with Running(parent / "data", **env) as running:
                running.await_ready()
                yield cls(running)
        finally:
            shutil.rmtree(parent, ignore_errors=True)

    def browser(self) -> httpx.Client:
        """A browser in which nobody has signed in."""
        return httpx.Client(base_url=f"http://127.0.0.1:{self.running.port}", timeout=HANGS_S)

    def signed_in(self) -> httpx.Client:
        """A browser in which the admin has signed in; it sends the token against forged requests along."""
        browser = self.browser()
        answer = self.sign_in(browser)
        assert answer.status_code == 302, answer.text
        browser.headers["X-CSRFToken"] = browser.cookies["ballast_csrf"]
        return browser

    def sign_in(self, browser: httpx.Client) -> httpx.Response:
        """Send the form of the sign-in page."""
        if "ballast_csrf" not in browser.cookies:
            browser.get("/sign-in/")
        token = browser.cookies["ballast_csrf"]
        form = {"username": "me", "password": PASSWORD, "csrfmiddlewaretoken": token}
        return browser.post("/sign-in/", data=form)

    def owner(self) -> psycopg.Connection:
        """A connection as the owner of the tables."""
        return psycopg.connect(embedded_urls(self.data_dir).database_owner_url, autocommit=True)

    def superuser(self) -> psycopg.Connection:
        """A connection that sees what others wait for."""
        state = load_state(self.data_dir)
        return psycopg.connect(
            host="127.0.0.1",
            port=state.postgres_port,
            user="postgres",
            password=state.superuser_password,
            dbname="ballast",
            autocommit=True,
        )

    def processes(self, server: str) -> list[int]:
        """Process ids of ``postgres`` with all that serve a connection, or of ``redis``."""
        if server == "redis":
            return [int(ready_path(self.data_dir, "redis").read_text().split()[-1])]
        main = int((self.data_dir / "postgres" / "data" / "postmaster.pid").read_text().split()[0])
        return [main, *children_of(main)]

    @contextmanager
    def frozen(self, server: str) -> Iterator[None]:
        """Stop a server within the block: its sockets stay open, and nobody answers."""
        stopped: set[int] = set()
        try:
            # The main process first, so that none is born meanwhile; then all that there are. One may just end.
            for pid in self.processes(server):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGSTOP)
                    stopped.add(pid)
            for pid in set(self.processes(server)) - stopped:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGSTOP)
                    stopped.add(pid)
            yield
        finally:
            for pid in stopped:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    def await_well(self, browser: httpx.Client) -> None:
        """Wait until pages are served again, by themselves."""
        until(lambda: browser.get("/services/").status_code == 200, "pages are served again")
        until(lambda: browser.get("/-/ready").status_code == 200, "it is ready again")


def children_of(parent: int) -> list[int]:
    """Process ids of the children of a process."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = re.sub(r".*\) ", "", stat.read_text(), count=1).split()
            if int(fields[1]) == parent:
                found.append(int(stat.parent.name))
    return found
