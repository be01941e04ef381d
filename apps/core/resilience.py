"""Guards for every call to another system: a deadline, bounded retries with jitter, a circuit breaker.

Errors::

    ResilienceError
    ├── DeadlineExceeded    the time for the whole call is over
    ├── CircuitOpen         the breaker refuses the call; `retry_after` says when a probe is due
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

#: One try and two retries. After three failures in a row a fourth try seldom helps.
DEFAULT_ATTEMPTS = 3
#: Seconds before the second try. The wait doubles, plus up to as much jitter, so that clients do not return in step.
WAIT_INITIAL_SECONDS = 0.2
WAIT_MAX_SECONDS = 2.0

FAILURES_TO_OPEN = 10
OPEN_SECONDS = 30.0


class ResilienceError(Exception):
    """Root of the errors that this module raises."""


class DeadlineExceeded(ResilienceError):
    """The time for a call, retries included, is over.

    Parameters:
        seconds: the whole time that the call had.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__(f"No complete answer within {seconds:g} s.")
        self.seconds = seconds


class CircuitOpen(ResilienceError):
    """The breaker refuses the call because the last ones failed.

    Parameters:
        name: what the breaker guards.
        failures: how many failures in a row open the breaker.
        retry_after: seconds until a probe is allowed.
    """

    def __init__(self, name: str, failures: int, retry_after: float) -> None:
        super().__init__(f"{name} failed {failures} times in a row; next attempt in {retry_after:.0f} s.")
        self.name = name
        self.retry_after = retry_after


class BulkheadFull(ResilienceError):
    """The most callers that may wait for the other side at once already do.

    Parameters:
        name: what the bulkhead guards.
        places: how many may wait.
    """

    def __init__(self, name: str, places: int) -> None:
        super().__init__(f"{places} already wait for {name}.")
        self.name = name
        self.places = places


class Bulkhead:
    """Bounds how many threads of this process wait for one other system, so that the rest stay free for other work.

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
    """The instant at which a call gives up.

    Parameters:
        seconds: the time from the moment of creation.
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
        """Raise :class:`DeadlineExceeded` if no time is left."""
        if self.remaining() <= 0.0:
            raise DeadlineExceeded(self.seconds)


def call_with_retries[T](
    call: Callable[[], T],
    *,
    retry_on: Callable[[Exception], bool | float],
    deadline: Deadline,
    attempts: int = DEFAULT_ATTEMPTS,
) -> T:
    """Call, and retry while ``retry_on`` says that it may help.

    Before a retry it waits the seconds that ``retry_on`` gives, or a short time with jitter.

    Only for calls that can safely run twice. Raises the last error unchanged. No try starts after the deadline.
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
    """Stops calls to a part that keeps failing, and tries again with one probe at a time.

    After ``failures_to_open`` failures in a row calls are refused for ``open_seconds``. Then one call, the probe, is
    allowed while the others are still refused. Its success closes the breaker, its failure opens it again. A probe that
    never reports back, because its thread was killed, makes room for another after ``open_seconds``. Safe to share
    among threads.

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
        """The state now. Reading it does not change it."""
        with self._lock:
            if self._retry_at is None:
                return BreakerState.CLOSED
            return BreakerState.HALF_OPEN if self._probing else BreakerState.OPEN

    @contextmanager
    def guard(self, counts: Callable[[Exception], bool] = lambda _error: True) -> Iterator[None]:
        """Let one call through, and count how it ends.

        Parameters:
            counts: returns whether an error counts as a failure of the other side. Any other error, such as a refused
            query, shows that the other side answers, and counts as a success.

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
