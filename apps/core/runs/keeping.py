"""One thread of a worker that renews the leases of all its runs, on its own connection.

The work itself may be in a long transaction or a long computation. The lease is renewed while the process lives; if the
process is killed or frozen, the lease runs out.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from django.db import DatabaseError, connection

from apps.core.runs.holding import BEAT_SECONDS, Holding

logger = structlog.get_logger(__name__)


class Keeper:
    """Renews leases until it is closed."""

    def __init__(self) -> None:
        self._held: dict[int, tuple[Holding, float]] = {}
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="run-keeper", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop renewing."""
        self._closing.set()
        self._thread.join(timeout=5)

    @contextmanager
    def keeping(self, holding: Holding) -> Iterator[None]:
        """Renew the lease of a run inside the block, for at most the time limit of its kind and a minute."""
        longest = time.monotonic() + holding.kind.time_limit.total_seconds() + 60
        holding.is_kept = True
        with self._lock:
            self._held[id(holding)] = holding, longest
        try:
            yield
        finally:
            with self._lock:
                del self._held[id(holding)]
            holding.is_kept = False

    def _run(self) -> None:
        while not self._closing.wait(BEAT_SECONDS):
            with self._lock:
                held = list(self._held.values())
            for holding, longest in held:
                # A thread that hangs beyond its limit loses the run to another worker.
                if time.monotonic() < longest and not holding.is_over:
                    self._beat(holding)
        connection.close()

    def _beat(self, holding: Holding) -> None:
        try:
            holding.beat()
        except DatabaseError as error:
            # The lease is still valid for a while; the work notices when it has run out.
            logger.warning("run.lease_not_renewed", run=str(holding.run.pk), error=repr(error))
            connection.close()


_keeper: Keeper | None = None
_making = threading.Lock()


@contextmanager
def kept(holding: Holding) -> Iterator[None]:
    """Have this process's keeper renew the lease inside the block.

    Inside a transaction no other connection sees the claim, so the work renews the lease itself. This happens in tests
    that run in one transaction.
    """
    global _keeper
    if connection.in_atomic_block:
        yield
        return
    with _making:
        if _keeper is None:
            _keeper = Keeper()
    with _keeper.keeping(holding):
        yield
