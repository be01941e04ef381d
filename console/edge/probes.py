"""The two probes. The edge answers them itself, so that no page, web thread or slow client delays them."""

from __future__ import annotations

import asyncio
import os
import threading
from concurrent.futures import ThreadPoolExecutor

from apps.core.errors import MethodNotAllowed
from console.edge.answers import Headers, document
from console.edge.heads import Head
from console.edge.web import Pool

LIVE, READY = "/-/healthz", "/-/ready"
# How long a probe waits for the database where there is a recent result. A later one answers the next probe.
READY_TIMEOUT_S = 0.08
# How old an answer may be. However many probes come, the database is asked only this often.
FRESH_S = 1.0
# A result that is older than this is not given while a new one may still come.
RECENT_S = 2.0
# A check that runs for longer than this means that the database does not answer.
HANGS_AFTER_S = 3.0


class Probes:
    """Liveness comes from the edge's view of the web processes, readiness from a thread with its own connection."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="readiness")
        self._check: asyncio.Future[tuple[bool, dict[str, str]]] | None = None
        self._began = 0.0
        self._found: tuple[bool, dict[str, str]] | None = None
        self._found_at = 0.0

    async def answer(self, head: Head) -> tuple[int, Headers, bytes] | None:
        """Return the answer to a probe, or ``None`` where the request is for something else."""
        if head.path not in (LIVE, READY):
            return None
        if not head.is_safe:
            raise MethodNotAllowed("A probe takes GET and HEAD.", headers={"Allow": "GET, HEAD"})
        return self.live() if head.path == LIVE else await self.ready()

    def live(self) -> tuple[int, Headers, bytes]:
        """Return 200 while at least one web process serves, however busy it is."""
        if self._pool.up:
            return document(200, {"status": "alive", "checks": {}})
        return document(503, {"status": "unavailable", "checks": {"web": "no web process serves"}})

    async def ready(self) -> tuple[int, Headers, bytes]:
        """Return whether pages can be served: the web processes, and `apps.core.queries.readiness` for the rest."""
        is_ready, checks = await self._readiness()
        up, of = self._pool.up, len(self._pool.processes)
        checks = {"web": "ok" if up == of else f"{up} of {of} processes serve"} | checks
        is_ready = is_ready and up > 0
        degraded = any(state != "ok" for state in checks.values())
        status = ("degraded" if degraded else "ready") if is_ready else "unavailable"
        return document(200 if is_ready else 503, {"status": status, "checks": checks})

    async def _readiness(self) -> tuple[bool, dict[str, str]]:
        loop = asyncio.get_running_loop()
        if self._found is None or loop.time() - self._found_at > FRESH_S:
            if self._check is None:
                self._began = loop.time()
                self._check = loop.run_in_executor(self._thread, _check)
                self._check.add_done_callback(self._note)
            is_recent = self._found is not None and loop.time() - self._found_at < RECENT_S
            # A recent result can answer a probe at once. An old one says nothing about now.
            left_s = READY_TIMEOUT_S if is_recent else self._began + HANGS_AFTER_S - loop.time()
            await asyncio.wait({self._check}, timeout=max(left_s, READY_TIMEOUT_S))
        if self._found is None or loop.time() - self._found_at >= HANGS_AFTER_S:
            return False, {"postgresql": f"no answer within {HANGS_AFTER_S:.0f} s"}
        return self._found

    def _note(self, check: asyncio.Future[tuple[bool, dict[str, str]]]) -> None:
        self._check = None
        self._found_at = asyncio.get_running_loop().time()
        error = None if check.cancelled() else check.exception()
        self._found = (False, {"postgresql": type(error).__name__}) if error else check.result()

    def warm_up(self) -> None:
        """Load the first check's modules while nobody waits."""
        self._thread.submit(_load)

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)


_loaded = threading.Event()


def _load() -> None:
    """Load Django in this process, without a pool: one thread needs one connection."""
    if _loaded.is_set():
        return
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "console.settings")
    import django
    from django.conf import settings

    settings.DATABASES["default"]["OPTIONS"].pop("pool", None)
    django.setup()
    _loaded.set()


def _check() -> tuple[bool, dict[str, str]]:
    _load()
    from django.db import connection

    from apps.core.queries import readiness

    found = readiness()
    if not found.is_ready:
        # The next check makes a new connection, because another server may have taken over by then.
        connection.close()
    return found.is_ready, found.checks
