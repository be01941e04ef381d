"""`make up`: one process that starts everything, keeps it running and stops it in order.

Order of stopping: web and workers finish their running work, then relay and scheduler, then Redis and PostgreSQL. A
second signal ends the children at once. When the supervisor itself is killed, Linux tells its children to stop, and
`console.last_resort` kills those that do not. On other systems it also tells them to stop. The next start does both
with what is left.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from types import FrameType
from typing import IO

from console.configuration import Configuration, check_config_file
from console.embedded import EmbeddedError, Servers, ensure
from console.embedded.errors import os_errors_explained
from console.embedded.identity import die_with_parent
from console.embedded.state import make_data_dir, port_is_free
from console.environment import ConfigurationError
from console.healthcheck import answers
from console.instance import AlreadyRunningError, Instance
from console.last_resort import watch_this_process
from console.process import PROJECT, Child
from console.reachability import check_servers

HOST = "127.0.0.1"
TICK_S = 0.1
# How often the embedded servers' guards are checked.
REVIVE_EVERY_S = 5.0
# How long each group may take to finish its work: first web and workers, then relay and scheduler.
DRAIN_S = 25.0
STOP_S = 10.0
MIGRATE_TIMEOUT_S = 300.0
READY_TIMEOUT_S = 60.0
# After this many failed starts in a row before the first page, no start will succeed.
GIVE_UP_AFTER = 4


class StartError(Exception):
    """Ballast cannot start. The message is one line for the operator."""


class Supervisor:
    """Runs Ballast on one machine until it is told to stop."""

    def __init__(self, configuration: Configuration) -> None:
        self.configuration = configuration
        self.data_dir = configuration.data_dir
        self.port = configuration.port
        self.address = f"http://{HOST}:{self.port}"
        self.signals = 0
        self._wake, self._waker = socket.socketpair()
        self._servers: Servers | None = None
        self._instance: Instance | None = None
        self._serving: list[Child] = []
        self._background: list[Child] = []
        self._running: list[Child] = []
        self._has_served = False
        self._helper: subprocess.Popen[bytes] | None = None

    def run(self) -> int:
        """Start, serve and stop. Return the exit status."""
        watch_this_process(self.data_dir)
        self._listen_to_signals()
        try:
            self._start()
            self._serve()
        except (StartError, AlreadyRunningError, EmbeddedError) as error:
            # Now, and not after the stop, so that the reason comes before its consequences.
            self._say(str(error))
            return 1
        except StopAsked:
            pass
        finally:
            self._stop()
        return 0

    def _start(self) -> None:
        began = time.monotonic()
        with os_errors_explained(self.data_dir):
            make_data_dir(self.data_dir)
            self._instance = Instance.claim(self.data_dir, self.address)
            self._instance.end_leftovers()
            self._instance.record([])
        if not port_is_free(self.port):
            raise StartError(
                f"Port {self.port} of {HOST} is in use. Stop what uses it, or choose another: "
                f"make up PORT={self.port + 1}"
            )
        self._start_servers()
        report = self._start_helper()
        answer = self._await_step(report, "migrated", MIGRATE_TIMEOUT_S)
        if answer["step"] == "failed":
            raise StartError(f"Preparing the database failed: {answer['reason']}")
        self._make_children()
        self._start_children(self._serving[:1])
        self._await_first_page()
        # Only now, so that the first page does not wait while all programs load at once.
        self._start_children(self._children[1:])
        answer = self._await_step(report, "ready", None)
        if answer["step"] == "failed":
            self._say(f"The demo could not be loaded: {answer['reason']}")
        self._announce(answer.get("sign_ins", ""), time.monotonic() - began)

    def _start_servers(self) -> None:
        postgres, redis = not self.configuration.database_url, not self.configuration.redis_url
        if postgres or redis:
            self._servers = ensure(self.data_dir, postgres=postgres, redis=redis)

    def _start_helper(self) -> IO[str]:
        reading, writing = os.pipe()
        parent = os.getpid()
        try:
            self._helper = subprocess.Popen(
                [sys.executable, "-m", "console.prepare", str(writing)],
                cwd=PROJECT,
                # Its output is for the person who waits, not for a collector of logs.
                env={"LOG_LEVEL": "WARNING"} | os.environ,
                stdin=subprocess.DEVNULL,
                stdout=sys.stderr,
                pass_fds=(writing,),
                start_new_session=True,
                preexec_fn=lambda: die_with_parent(signal.SIGTERM, parent),
            )
        finally:
            os.close(writing)
        return os.fdopen(reading)

    def _await_step(self, report: IO[str], wanted: str, timeout: float | None) -> dict[str, str]:
        """Wait for a line of `console.prepare`, and restart children meanwhile."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            has_line = self._wait(report.fileno())
            self._stop_if_asked()
            if has_line:
                line = report.readline()
                answer: dict[str, str] = (
                    json.loads(line) if line else {"step": "failed", "reason": "it ended"}
                )
                if answer["step"] in (wanted, "failed"):
                    return answer
            self._look_after_children()
            if deadline is not None and time.monotonic() > deadline:
                raise StartError(f"Preparing the database took longer than {timeout:.0f} s.")

    def _make_children(self) -> None:
        env = {"PORT": str(self.port), "PYTHONUNBUFFERED": "1"}

        def child(name: str, *command: str) -> Child:
            log_bytes = self.configuration.log_file_mb * 1024 * 1024
            return Child(name, command, data_dir=self.data_dir, env=env, log_bytes=log_bytes)

        self._serving = [
            child("web", sys.executable, "-m", "console.edge", "--host", HOST),
            child(
                "worker-interactive", sys.executable, "-m", "console.workers", "interactive", "--threads", "2"
            ),
            child("worker", sys.executable, "-m", "console.workers", "default", "bulk", "--threads", "4"),
        ]
        self._background = [
            child("relay", sys.executable, str(PROJECT / "manage.py"), "relay"),
            child("scheduler", sys.executable, str(PROJECT / "manage.py"), "scheduler"),
        ]

    def _start_children(self, children: Sequence[Child]) -> None:
        for child in children:
            child.start()
            self._running.append(child)
        self._record()

    def _await_first_page(self) -> None:
        deadline = time.monotonic() + READY_TIMEOUT_S
        while not answers(self.port):
            self._wait()
            self._stop_if_asked()
            self._look_after_children()
            web = self._serving[0]
            if web.failures >= GIVE_UP_AFTER or time.monotonic() > deadline:
                words = web.log.last_words()
                raise StartError(f"The web server does not answer: {words or 'see logs/web.log'}")
        self._has_served = True

    def _serve(self) -> None:
        revive_at = time.monotonic() + REVIVE_EVERY_S
        while True:
            self._wait()
            self._stop_if_asked()
            self._look_after_children()
            if self._servers is not None and time.monotonic() > revive_at:
                self._revive(self._servers)
                revive_at = time.monotonic() + REVIVE_EVERY_S

    def _revive(self, servers: Servers) -> None:
        """Restart embedded servers whose guard died. A server whose port was taken meanwhile gets another."""
        before = (servers.database_url, servers.redis_url)
        try:
            servers.revive()
        except EmbeddedError as error:
            self._say(str(error))
            return
        if before != (servers.database_url, servers.redis_url):
            self._say("An embedded server moved to another port; all programs that use it restart.")
            for child in self._running:
                child.ask_to_stop()

    def _look_after_children(self) -> None:
        before = [child.pid for child in self._running]
        for child in self._running:
            line = child.look_after()
            if line:
                self._say(line)
        if before != [child.pid for child in self._running]:
            self._record()

    def _stop(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._note_signal)
        if self._running or self._servers is not None:
            self._say("Stopping. Press Ctrl-C again to stop at once." if self.signals else "Stopping.")
        seen = self.signals
        with contextlib.suppress(OSError):
            self._record(is_stopping=True)
        if self._helper is not None and self._helper.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._helper.pid, signal.SIGKILL)
        if not self._has_served:
            for child in self._serving[:1]:
                child.kill()
        for children, timeout in ((self._serving, DRAIN_S), (self._background, STOP_S)):
            for child in children:
                child.ask_to_stop()
            deadline = time.monotonic() + timeout
            while not all(child.has_stopped() for child in children):
                if time.monotonic() > deadline or self.signals > seen:
                    break
                self._wait()
            for child in children:
                child.kill()
        if self._servers is not None:
            self._servers.close()
        if self._running or self._servers is not None:
            self._say("Stopped.")

    @property
    def _children(self) -> list[Child]:
        return [*self._serving, *self._background]

    def _record(self, *, is_stopping: bool = False) -> None:
        if self._instance is not None:
            pids = [child.pid for child in self._running if child.pid is not None]
            self._instance.record(pids, is_stopping=is_stopping)

    def _announce(self, sign_ins: str, seconds: float) -> None:
        lines = ["", f"  Ballast is at {self.address}  (started in {seconds:.1f} s)", ""]
        lines += [f"  {line}" if line else "" for line in sign_ins.rstrip().splitlines()]
        lines += [""] if sign_ins.strip() else []
        lines += [f"  Logs are in {self.data_dir / 'logs'}. Ctrl-C stops everything.", ""]
        sys.stdout.write("\n".join(lines) + "\n")
        sys.stdout.flush()

    def _say(self, line: str) -> None:
        # The terminal may be gone. That is no reason to stop half-way.
        with contextlib.suppress(OSError):
            sys.stderr.write(f"ballast: {line}\n")
            sys.stderr.flush()

    def _listen_to_signals(self) -> None:
        for end in (self._wake, self._waker):
            end.setblocking(False)
        signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._note_signal)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def _note_signal(self, _number: int, _frame: FrameType | None) -> None:
        self.signals += 1

    def _wait(self, descriptor: int | None = None) -> bool:
        """Sleep for a tick, or until a signal, the end of a child or data on ``descriptor``.

        Return whether there is data to read.
        """
        awaited = [self._wake.fileno()] if descriptor is None else [self._wake.fileno(), descriptor]
        readable, _, _ = select.select(awaited, [], [], TICK_S)
        if self._wake.fileno() in readable:
            with contextlib.suppress(BlockingIOError):
                self._wake.recv(512)
        return descriptor in readable

    def _stop_if_asked(self) -> None:
        if self.signals:
            raise StopAsked


class StopAsked(Exception):
    """Ctrl-C or SIGTERM asked for a stop."""


def checked_configuration() -> Configuration:
    """Read the environment and check its servers, before anything starts. Raises `ConfigurationError`."""
    found = Configuration.read()
    check_config_file(found.config_file)
    check_servers(found)
    return found


def main(_arguments: Sequence[str] = ()) -> int:
    if "MAKELEVEL" in os.environ:
        # make starts this process. If make is killed, nobody can press Ctrl-C any more, so stop as if it was pressed.
        die_with_parent(signal.SIGTERM, os.getppid())
    # Several programs that compile the same modules at every start would delay the first page by seconds.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False
    try:
        configuration = checked_configuration()
    except ConfigurationError as error:
        sys.stderr.write(f"ballast: {error}\n")
        return 1
    except KeyboardInterrupt:
        return 0
    # The children run in another folder, where a relative path would lead elsewhere.
    os.environ["BALLAST_DATA_DIR"] = str(configuration.data_dir)
    if "BALLAST_CONFIG" in os.environ:
        os.environ["BALLAST_CONFIG"] = str(configuration.config_file)
    return Supervisor(configuration).run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
