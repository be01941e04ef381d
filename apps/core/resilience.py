"""What every call to another system goes through: a deadline, a bounded retry with jitter, a circuit breaker.

Errors::

    ResilienceError
    ├── DeadlineExceeded    the time given to the whole call is over
    ├── CircuitOpen         the breaker refuses; `retry_after` says when a probe is due
    └── BulkheadFull        as many callers as may wait for the other side do so already
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum

import stamina

type Clock = Callable[[], float]

#: One try and two more: a third failure in a row is seldom helped by a fourth.
DEFAULT_ATTEMPTS = 3
#: The wait before the second try; it doubles, with as much jitter again so that clients don't return in step.
WAIT_INITIAL_SECONDS = 0.2
WAIT_MAX_SECONDS = 2.0

FAILURES_TO_OPEN = 10
OPEN_SECONDS = 30.0


class ResilienceError(Exception):
    """Root of the errors that this module raises."""


class DeadlineExceeded(ResilienceError):
    """The time given to a call, retries included, is over.

    Parameters:
        seconds: the time that was given.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__(f"No complete answer within {seconds:g} s.")
        self.seconds = seconds


class CircuitOpen(ResilienceError):
    """The breaker refuses the call because the last ones failed.

    Parameters:
        name: what the breaker guards.
        failures: how many in a row open it.
        retry_after: seconds until a probe is let through.
    """

    def __init__(self, name: str, failures: int, retry_after: float) -> None:
        super().__init__(f"{name} failed {failures} times in a row; next attempt in {retry_after:.0f} s.")
        self.name = name
        self.retry_after = retry_after


class BulkheadFull(ResilienceError):
    """As many callers as may wait for the other side at once do so already.

    Parameters:
        name: what is guarded.
        places: how many may wait.
    """

    def __init__(self, name: str, places: int) -> None:
        super().__init__(f"{places} already wait for {name}.")
        self.name = name
        self.places = places


class Bulkhead:
    """Bounds how many threads of this process wait for one other side, so that the rest stay free for other work.

    Parameters:
        name: what is guarded, for messages.
        places: how many may wait at once.
        wait_seconds: how long a caller waits for a place.
    """

    def __init__(self, name: str, *, places: int, wait_seconds: float = 0.0) -> None:
        self.name = name
        self.places = places
        self._wait_seconds = wait_seconds
        self._free = threading.BoundedSemaphore(places)

    @contextmanager
    def place(self) -> Iterator[None]:
        """Hold one place during the block.

        Raises:
            BulkheadFull: none was free in time.
        """
        if not self._free.acquire(timeout=self._wait_seconds):
            raise BulkheadFull(self.name, self.places)
        try:
            yield
        finally:
            self._free.release()


@dataclass(frozen=True, slots=True)
class Deadline:
    """An instant after which nobody waits any more.

    Parameters:
        seconds: the time given from the moment of creation.
        clock: monotonic seconds.
    """

    seconds: float
    clock: Clock = time.monotonic
    _at: float = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_at", self.clock() + self.seconds)

    def remaining(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, self._at - self.clock())

    def check(self) -> None:
        """Raise :class:`DeadlineExceeded` when no time is left."""
        if self.remaining() <= 0.0:
            raise DeadlineExceeded(self.seconds)


def call_with_retries[T](
    call: Callable[[], T],
    *,
    retry_on: Callable[[Exception], bool | float],
    deadline: Deadline,
    attempts: int = DEFAULT_ATTEMPTS,
) -> T:
    """Call, and call again while ``retry_on`` says that it may help: after a short, jittered wait, or after as many
    seconds as it says.

    Only for calls that may safely run twice. The last error is raised as it came. No try starts after the
    deadline.
    """

    def worth_another_try(error: Exception) -> bool | float:
        return deadline.remaining() > 0.0 and retry_on(error)

    caller = stamina.RetryingCaller(
        attempts=attempts,
        timeout=deadline.seconds,
        wait_initial=WAIT_INITIAL_SECONDS,
        wait_max=WAIT_MAX_SECONDS,
        wait_jitter=WAIT_INITIAL_SECONDS,
    )
    return caller.on(worth_another_try)(call)


class BreakerState(StrEnum):
    """Closed lets calls through, open refuses them, half-open has one probe under way."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class CircuitBreaker:
    """Stops calling what keeps failing, and asks again with one probe at a time.

    After ``failures_to_open`` failures in a row calls are refused for ``open_seconds``; then one call is let
    through while the others are still refused. Its success closes the breaker, its failure opens it anew. A
    probe that never reports back (its thread was killed) frees its place after another ``open_seconds``. Safe
    to share among threads.

    Parameters:
        name: what is guarded, for messages.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        name: str,
        *,
        failures_to_open: int = FAILURES_TO_OPEN,
        open_seconds: float = OPEN_SECONDS,
        clock: Clock = time.monotonic,
    ) -> None:
        self.name = name
        self._failures_to_open = failures_to_open
        self._open_seconds = open_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._failures = 0
        self._retry_at: float | None = None
        self._probing = False

    @property
    def state(self) -> BreakerState:
        """The state now; looking does not change it."""
        with self._lock:
            if self._retry_at is None:
                return BreakerState.CLOSED
            return BreakerState.HALF_OPEN if self._probing else BreakerState.OPEN

    @contextmanager
    def guard(self, counts: Callable[[Exception], bool] = lambda _error: True) -> Iterator[None]:
        """Let one call through, and learn from how it ends.

        Parameters:
            counts: whether an error speaks against the other side. One that does not (a refused query, say)
                shows that the other side answers, and counts as a success.

        Raises:
            CircuitOpen: the call is refused.
        """
        self._enter()
        try:
            yield
        except Exception as error:
            if counts(error):
                self._failed()
            else:
                self._succeeded()
            raise
        except BaseException:
            self._gave_up()
            raise
        else:
            self._succeeded()

    def _enter(self) -> None:
        with self._lock:
            if self._retry_at is None:
                return
            now = self._clock()
            if now < self._retry_at:
                raise CircuitOpen(self.name, self._failures_to_open, self._retry_at - now)
            self._probing = True
            self._retry_at = now + self._open_seconds

    def _succeeded(self) -> None:
        with self._lock:
            self._failures = 0
            self._retry_at = None
            self._probing = False

    def _failed(self) -> None:
        with self._lock:
            self._failures += 1
            self._probing = False
            if self._failures >= self._failures_to_open:
                self._retry_at = self._clock() + self._open_seconds

    def _gave_up(self) -> None:
        with self._lock:
            if self._probing:
                self._probing = False
                self._retry_at = self._clock()
