"""The web processes behind the edge: start them, watch them, restart them, and lend out their threads."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections import OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from apps.core.errors import Unavailable
from console.edge.upstream import Upstream
from console.process import PROJECT, RESTART_DELAYS_S, STABLE_AFTER_S

# How long a web process may take to load the application and to give its first answer.
LOAD_TIMEOUT_S = 60.0
# Granian kills its worker after this long. This also matters without long requests, because a worker ignores a stop
# while it loads the application.
KILL_TIMEOUT_S = 6
# Where nothing comes for this long of an answer that nobody waits for any more, its process counts as hung.
ABANDONED_S = 60.0
# Tells granian's worker which process is its parent.
GRANIAN = "BALLAST_GRANIAN_PID"
BUSY = "Every web thread is busy. Nothing was changed; try again in a moment."


class WebProcess:
    """One granian with one worker process, on its own Unix socket."""

    def __init__(self, pool: Pool, number: int, folder: Path, threads: int) -> None:
        self.number = number
        self.threads = threads
        self.lent = 0
        self.is_up = False
        self.failures = 0
        self._folder = folder
        self._pool = pool
        self._idle: list[Upstream] = []
        self._process: asyncio.subprocess.Process | None = None
        self._starts = 0
        self._is_stopping = False

    @property
    def socket(self) -> Path:
        return self._folder / f"web-{self.number}-{self._starts}"

    async def connect(self) -> Upstream:
        """Return an idle or a new connection. Raises `OSError` where the process is not there."""
        while self._idle:
            upstream = self._idle.pop()
            if upstream.is_usable:
                return upstream
            upstream.close()
        return await Upstream.open(self.socket)

    def put_back(self, upstream: Upstream) -> None:
        if upstream.is_usable and self.is_up:
            self._idle.append(upstream)
        else:
            upstream.close()

    async def keep_running(self) -> None:
        """Run it and restart it with growing pauses, until it is stopped or ends before any process ever served."""
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            status = await self._run_once()
            if self._is_stopping or not self._pool.has_served:
                return
            if loop.time() - began > STABLE_AFTER_S:
                self.failures = 0
            pause = RESTART_DELAYS_S[min(self.failures, len(RESTART_DELAYS_S) - 1)]
            self.failures += 1
            sys.stderr.write(
                f"edge: web process {self.number} exited with {status}, starting it again in {pause:g} s\n"
            )
            await asyncio.sleep(pause)

    async def _run_once(self) -> int:
        self._starts += 1
        # In a new session, granian and its worker are one group that can be ended together.
        command = [sys.executable, "-m", "console.edge.launch", str(self.socket), str(self.threads)]
        command.append(str(os.getpid()))
        process = await asyncio.create_subprocess_exec(
            *command, cwd=PROJECT, stdin=asyncio.subprocess.DEVNULL, start_new_session=True
        )
        self._process = process
        loading = asyncio.create_task(self._await_first_answer())
        try:
            return await process.wait()
        finally:
            loading.cancel()
            self._went_down()
            _end_group(process.pid, signal.SIGKILL)
            self.socket.unlink(missing_ok=True)

    async def _await_first_answer(self) -> None:
        try:
            async with asyncio.timeout(LOAD_TIMEOUT_S):
                while not await self._answers():
                    await asyncio.sleep(0.02)
        except TimeoutError:
            sys.stderr.write(f"edge: web process {self.number} does not answer and is replaced\n")
            self.replace()
            return
        self.is_up = True
        self._pool.came_up()

    async def _answers(self) -> bool:
        try:
            upstream = await Upstream.open(self.socket)
        except OSError:
            return False
        try:
            return (
                await upstream.ask(b"GET /-/healthz HTTP/1.1\r\nhost: edge\r\n\r\n", None, b"GET")
            ).status == 200
        except (OSError, EOFError):
            return False
        finally:
            upstream.close()

    def _went_down(self) -> None:
        self.is_up = False
        for upstream in self._idle:
            upstream.close()
        self._idle.clear()

    def replace(self) -> None:
        """End a process that hangs. `keep_running` starts another."""
        if self._process is not None:
            self._went_down()
            _end_group(self._process.pid, signal.SIGKILL)

    async def stop(self) -> None:
        """Let it finish its running requests for as long as granian allows, then end it."""
        self._is_stopping = True
        self._went_down()
        process = self._process
        if process is None or process.returncode is not None:
            return
        process.terminate()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(KILL_TIMEOUT_S + 1):
                await process.wait()
        _end_group(process.pid, signal.SIGKILL)


class Pool:
    """All web processes, and the requests that wait for one of their threads.

    Waiting requests are served in turn by address, so that many requests from one address delay another address by at
    most one request.
    """

    def __init__(self, folder: Path, *, processes: int, threads: int, queue_timeout_s: float) -> None:
        self.processes = [WebProcess(self, number, folder, threads) for number in range(1, processes + 1)]
        self.has_served = False
        self._queue_timeout_s = queue_timeout_s
        self._waiting: OrderedDict[str, deque[asyncio.Future[WebProcess]]] = OrderedDict()

    @property
    def up(self) -> int:
        """The number of processes that serve."""
        return sum(process.is_up for process in self.processes)

    @asynccontextmanager
    async def thread(self, address: str) -> AsyncIterator[Lease]:
        """Lend a thread of the process with the most free threads. Raises `Unavailable` when none is free in time."""
        lease = Lease(self, await self._take(address))
        try:
            yield lease
        finally:
            lease.give_back()

    async def _take(self, address: str) -> WebProcess:
        process = self._freest() if not self._waiting else None
        if process is None:
            process = await self._wait(address)
        else:
            process.lent += 1
        return process

    def _freest(self) -> WebProcess | None:
        free = [process for process in self.processes if process.is_up and process.lent < process.threads]
        return min(free, key=lambda process: process.lent, default=None)

    async def _wait(self, address: str) -> WebProcess:
        turn: asyncio.Future[WebProcess] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(address, deque()).append(turn)
        try:
            await asyncio.wait_for(asyncio.shield(turn), self._queue_timeout_s)
        except TimeoutError:
            if not turn.done():
                raise Unavailable(BUSY, headers={"Retry-After": "5"}) from None
        except asyncio.CancelledError:
            if turn.done():
                self.returned(turn.result())
            raise
        finally:
            if not turn.done():
                turn.cancel()
                self._forget(address, turn)
        return turn.result()

    def _forget(self, address: str, turn: asyncio.Future[WebProcess]) -> None:
        with contextlib.suppress(KeyError, ValueError):
            self._waiting[address].remove(turn)
            if not self._waiting[address]:
                del self._waiting[address]

    def came_up(self) -> None:
        """Note that a process now serves."""
        self.has_served = True
        self._hand_out()

    def returned(self, process: WebProcess) -> None:
        process.lent -= 1
        self._hand_out()

    def _hand_out(self) -> None:
        while self._waiting and (process := self._freest()) is not None:
            address, turns = self._waiting.popitem(last=False)
            turn = turns.popleft()
            if turns:
                self._waiting[address] = turns
            if not turn.done():
                process.lent += 1
                turn.set_result(process)


class Lease:
    """One thread of one web process, until ``give_back``."""

    def __init__(self, pool: Pool, process: WebProcess) -> None:
        self.process = process
        self._pool = pool
        self._is_ours = True

    def give_back(self) -> None:
        if self._is_ours:
            self._is_ours = False
            self._pool.returned(self.process)

    def close(self, upstream: Upstream) -> None:
        """Close the connection, unless the thread was given back: then somebody else may use the connection."""
        if self._is_ours:
            upstream.close()

    def abandon(self, upstream: Upstream) -> None:
        """Stop waiting for the answer. The thread counts as taken until the answer comes or the process is replaced.

        Does nothing where the thread was given back.
        """
        if self._is_ours:
            self._is_ours = False
            _abandoned.add(task := asyncio.create_task(self._await_end(upstream)))
            task.add_done_callback(_abandoned.discard)

    async def _await_end(self, upstream: Upstream) -> None:
        try:
            async with asyncio.timeout(ABANDONED_S) as patience:
                async for _ in upstream.rest():
                    # It still sends, so it does not hang.
                    patience.reschedule(asyncio.get_running_loop().time() + ABANDONED_S)
        except TimeoutError:
            sys.stderr.write(f"edge: web process {self.process.number} hangs and is replaced\n")
            self.process.replace()
        finally:
            upstream.close()
            self._pool.returned(self.process)


_abandoned: set[asyncio.Task[None]] = set()


def _end_group(pid: int, how: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, how)
