"""A connection that never waits for ever.

A server's own ``statement_timeout`` does nothing while the server is stopped, and neither do keepalives, because the
kernel goes on acknowledging them. So the client watches the clock.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import errors, waiting
from psycopg.abc import PQGen

from apps.core.database.errors import ServerSilent
from apps.core.database.watch import ServerWatch

INTERVAL_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait for one answer.

    Parameters:
        seconds: the silence after which the server is asked whether it lives, and the pause until it is asked again.
        at_most: the longest silence in seconds, even where the server lives; ``None`` for no limit.
    """

    seconds: float
    at_most: float | None = None


class PatientConnection(psycopg.Connection[Any]):
    """A psycopg connection that closes itself when the server gives no sign of life.

    Its maker sets ``patience`` and ``watch``. Without a watch, it gives up after ``patience.seconds`` of silence.
    """

    patience: Patience | None = None
    watch: ServerWatch | None = None

    def wait[RV](
        self, gen: PQGen[RV], interval: float = INTERVAL_SECONDS, timeout: float | None = None
    ) -> RV:
        patience = self.patience
        if timeout is not None or patience is None:
            return super().wait(gen, interval, timeout)
        began = time.monotonic()
        while True:
            try:
                return super().wait(gen, interval, patience.seconds)
            except errors._WaitTimeout:
                waited = time.monotonic() - began
                if self._is_over(patience, waited):
                    self.pgconn.finish()
                    raise ServerSilent(f"PostgreSQL has not answered for {waited:.1f} s.") from None
                gen = _resumed(gen)

    def _is_over(self, patience: Patience, waited: float) -> bool:
        if patience.at_most is not None and waited >= patience.at_most:
            return True
        return self.watch is None or self.watch.is_silent()

    @contextmanager
    def with_patience(self, patience: Patience) -> Iterator[None]:
        """Use another patience inside the block."""
        before, self.patience = self.patience, patience
        try:
            yield
        finally:
            self.patience = before


def _resumed[RV](gen: PQGen[RV]) -> PQGen[RV]:
    """Continue a generator that was waiting when the time was over, as if it were a new one."""
    try:
        state = gen.send(waiting.READY_NONE)
        while True:
            ready = yield state
            state = gen.send(ready)
    except StopIteration as end:
        result: RV = end.value
        return result
