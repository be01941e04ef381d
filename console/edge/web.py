"""The web processes behind the edge: start them, watch them, restart them, and lend out their threads."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from apps.core.errors import Unavailable
from console.edge.turns import Turns
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
# Of the threads, patient requests get one in so many.
PATIENT_PART = 4
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

    Requests that are sent before the answer to the one before them was taken are patient: they get few threads, and
    none that another request waits for. Browsers send none, and who sends hundreds at once is not waiting for each.
    """

    def __init__(self, folder: Path, *, processes: int, threads: int, queue_timeout_s: float) -> None:
        self.processes = [WebProcess(self, number, folder, threads) for number in range(1, processes + 1)]
        self.has_served = False
        self._queue_timeout_s = queue_timeout_s
        self._turns, self._patient_turns = Turns(), Turns()
        self._most_patient = max(1, processes * threads // PATIENT_PART)
        self._lent_to_patient = 0

    @property
    def up(self) -> int:
        """The number of processes that serve."""
        return sum(process.is_up for process in self.processes)

    @asynccontextmanager
    async def thread(self, address: str, *, is_patient: bool = False) -> AsyncIterator[Lease]:
        """Lend a thread of the process with the most free threads. Raises `Unavailable` when none is free in time."""
        lease = Lease(self, await self._take(address, is_patient=is_patient), is_patient=is_patient)
        try:
            yield lease
        finally:
            lease.give_back()

    async def _take(self, address: str, *, is_patient: bool) -> WebProcess:
        turns = self._patient_turns if is_patient else self._turns
        if not turns and (process := self._free_for(is_patient=is_patient)) is not None:
            self._lend(process, is_patient=is_patient)
            return process
        return await self._wait(turns, address, is_patient=is_patient)

    def _free_for(self, *, is_patient: bool) -> WebProcess | None:
        if is_patient and (self._turns or self._lent_to_patient >= self._most_patient):
            return None
        free = [process for process in self.processes if process.is_up and process.lent < process.threads]
        return min(free, key=lambda process: process.lent, default=None)

    def _lend(self, process: WebProcess, *, is_patient: bool) -> None:
        process.lent += 1
        self._lent_to_patient += is_patient

    async def _wait(self, turns: Turns, address: str, *, is_patient: bool) -> WebProcess:
        turn = turns.add(address)
        try:
            await asyncio.wait_for(asyncio.shield(turn), self._queue_timeout_s)
        except TimeoutError:
            if not turn.done():
                raise Unavailable(BUSY, headers={"Retry-After": "5"}) from None
        except asyncio.CancelledError:
            if turn.done():
                self.returned(turn.result(), is_patient=is_patient)
            raise
        finally:
            if not turn.done():
                turn.cancel()
                turns.forget(address, turn)
        return turn.result()

    def came_up(self) -> None:
        """Note that a process now serves."""
        self.has_served = True
        self._hand_out()

    def returned(self, process: WebProcess, *, is_patient: bool) -> None:
        process.lent -= 1
        self._lent_to_patient -= is_patient
        self._hand_out()

    def _hand_out(self) -> None:
        for turns, is_patient in ((self._turns, False), (self._patient_turns, True)):
            while turns and (process := self._free_for(is_patient=is_patient)) is not None:
                turn = turns.take()
                if not turn.done():
                    self._lend(process, is_patient=is_patient)
                    turn.set_result(process)


class Lease:
    """One thread of one web process, until ``give_back``."""

    def __init__(self, pool: Pool, process: WebProcess, *, is_patient: bool) -> None:
        self.process = process
        self._pool = pool
        self._is_patient = is_patient
        self._is_ours = True

    def give_back(self) -> None:
        if self._is_ours:
            self._is_ours = False
            self._pool.returned(self.process, is_patient=self._is_patient)

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
            self._pool.returned(self.process, is_patient=self._is_patient)


_abandoned: set[asyncio.Task[None]] = set()


def _end_group(pid: int, how: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, how)
