"""The edge as a whole: it listens, enforces deadlines, keeps the web processes running, and drains before it stops."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import signal
import sys
import tempfile
from pathlib import Path

from apps.core.errors import NotSignedIn, RateLimited, TooLarge, Unavailable
from apps.core.web.addresses import forwarded_address, plain_address
from console.configuration import Configuration
from console.edge.buffers import Budget
from console.edge.client import Client
from console.edge.heads import Head
from console.edge.probes import Probes
from console.edge.register import Register
from console.edge.web import Pool
from console.embedded.state import run_dir

MAX_BODY_BYTES = 10 * 1024 * 1024
SESSION_COOKIE = b"ballast_session"
# The status with which a web process answers /-/known for somebody who is signed in.
KNOWN = 204
BACKLOG = 1024
SWEEP_S = 0.25
# At the stop, running requests and answers that are being taken may last this long, and requests that are still being
# sent this long.
DRAIN_S = 15.0
DRAIN_SENDING_S = 3.0
# The longest path of a socket on the systems with the smallest limit.
MAX_SOCKET_PATH = 90


class Edge:
    """Serves one port."""

    def __init__(self, configuration: Configuration, host: str) -> None:
        self.limits = configuration
        self.host = host
        self.session_cookie = SESSION_COOKIE
        self.max_body_bytes = MAX_BODY_BYTES
        self.has_proxies = configuration.trusted_proxy_count > 0
        self.register = Register(
            limit=configuration.connections, per_address=configuration.connections_per_address
        )
        self.budget = Budget(configuration.buffer_mb * 1024 * 1024, MAX_BODY_BYTES)
        self.is_draining = False
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self.pool = Pool(
            self._socket_folder(),
            processes=configuration.web_processes,
            threads=configuration.web_threads,
            queue_timeout_s=configuration.web_queue_timeout_s,
        )
        self.probes = Probes(self.pool)
        self._clients: set[asyncio.Task[None]] = set()

    async def run(self) -> int:
        """Serve until SIGTERM or SIGINT, or until a web process ends before it ever served. Return the exit status."""
        self._allow_files()
        loop = asyncio.get_running_loop()
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        server = await asyncio.start_server(self._welcome, self.host, self.limits.port, backlog=BACKLOG)
        keepers = [asyncio.create_task(process.keep_running()) for process in self.pool.processes]
        sweeper = asyncio.create_task(self._sweep())
        self.probes.warm_up()
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait([stopping, *keepers], return_when=asyncio.FIRST_COMPLETED)
        has_failed = not stopping.done()
        if has_failed:
            sys.stderr.write("edge: a web process ended before it served anything\n")
        self.is_draining = True
        server.close()
        await self._drain()
        sweeper.cancel()
        await asyncio.gather(*(process.stop() for process in self.pool.processes))
        for keeper in keepers:
            keeper.cancel()
        self.probes.close()
        if self._temporary is not None:
            self._temporary.cleanup()
        return 1 if has_failed else 0

    async def require_known(self, head: Head, peer: str, address: str) -> None:
        """Let only a sender whom a web process knows send a large body. Raises `TooLarge` or `NotSignedIn`."""
        if not head.has_credentials:
            raise TooLarge(
                f"Without an API key or a session a body may have at most {self.limits.anonymous_body_kb} KB. "
                "Sign in, or send an API key in the header X-API-Key."
            )
        async with self.pool.thread(address) as lease:
            try:
                upstream = await lease.process.connect()
                try:
                    async with asyncio.timeout(self.limits.web_answer_timeout_s):
                        answer = await upstream.ask(head.asking_who(peer), None, b"GET")
                finally:
                    upstream.close()
            except (OSError, EOFError):
                raise Unavailable(
                    "Ballast cannot check who you are at the moment. Nothing was changed; try again shortly.",
                    headers={"Retry-After": "5"},
                ) from None
        if answer.status == RateLimited.status:
            raise RateLimited(
                "Too many requests with keys that are not accepted.", headers={"Retry-After": "60"}
            )
        if answer.status != KNOWN:
            raise NotSignedIn(
                "The session or the API key is not valid. Ballast reads a large body only from somebody who is "
                "signed in."
            )

    async def make_room(self, client: Client, address: str | None) -> bool:
        """End the slowest client whose bytes wait, of one address or of all. Return whether there was one to end."""
        slowest = self.budget.slowest(but=client, address=address)
        if not isinstance(slowest, Client):
            return False
        slowest.end(
            Unavailable(
                "Others needed the room that your bytes took for so long. Send it again over a better connection.",
                headers={"Retry-After": "10"},
            )
        )
        await asyncio.sleep(0)  # It lets go when it is its turn.
        return True

    def client_of(self, head: Head, peer: str) -> str:
        """Return the client's address according to the trusted proxies in front, or ``peer`` where they name none."""
        forwarded = forwarded_address(head.forwarded_for, self.limits.trusted_proxy_count)
        return (plain_address(forwarded) if forwarded else None) or peer

    def too_large(self, what: str) -> str:
        """Return the refusal of a body above the limit."""
        return f"A body may have at most {self.max_body_bytes // 1024 // 1024} MB. {what}. Send it in parts."

    async def _welcome(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._clients.add(task)
        try:
            await Client(self, reader, writer).serve()
        finally:
            self._clients.discard(task)

    async def _sweep(self) -> None:
        """End connections whose time is over."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(SWEEP_S)
            now = loop.time()
            for client in self.register.everybody():
                if client.due < now:
                    client.expire()

    async def _drain(self) -> None:
        """Let running requests finish and their answers be taken. Close connections that rest or only send."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        while self._clients and loop.time() - began < DRAIN_S:
            for client in self.register.everybody():
                is_late = loop.time() - began > DRAIN_SENDING_S and not client.is_taking
                if client.is_resting or is_late:
                    client.expire()
            await asyncio.wait(self._clients, timeout=0.1)
        for task in list(self._clients):
            task.cancel()

    def _socket_folder(self) -> Path:
        """Return the folder of the web processes' sockets: in the data folder, if its path is short enough."""
        folder = run_dir(self.limits.data_dir)
        if len(str(folder)) <= MAX_SOCKET_PATH:
            return folder
        self._temporary = tempfile.TemporaryDirectory(prefix="ballast-")
        return Path(self._temporary.name)

    def _allow_files(self) -> None:
        """Raise the limit of open files to what the connections may need, or as close as the system allows."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = self.limits.connections * 3 + 200
        if soft != resource.RLIM_INFINITY and soft < wanted:
            most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
            with contextlib.suppress(ValueError, OSError):
                resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
