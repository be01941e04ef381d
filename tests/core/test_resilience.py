"""Deadlines, retries and the breaker, with time in the test's hands."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
import stamina

from apps.core.resilience import (
    FAILURES_TO_OPEN,
    OPEN_SECONDS,
    BreakerState,
    CircuitBreaker,
    CircuitOpen,
    Deadline,
    DeadlineExceeded,
    ResilienceError,
    call_with_retries,
)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class DownError(Exception):
    """The other side is down."""


class RefusedError(Exception):
    """The other side answers, and says no."""


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> CircuitBreaker:
    return CircuitBreaker("prometheus", clock=clock)


def state_of(breaker: CircuitBreaker) -> BreakerState:
    return breaker.state


def fail(breaker: CircuitBreaker, times: int = 1) -> None:
    for _ in range(times):
        with pytest.raises(DownError), breaker.guard():
            raise DownError


def test_a_deadline_counts_down_to_zero_and_then_raises(clock: Clock) -> None:
    deadline = Deadline(5, clock)
    clock.now += 3
    assert deadline.remaining() == 2
    deadline.check()
    clock.now += 3
    assert deadline.remaining() == 0
    with pytest.raises(DeadlineExceeded, match="5 s"):
        deadline.check()


def test_a_call_is_retried_until_it_succeeds(clock: Clock) -> None:
    outcomes = iter([DownError(), DownError(), "answer"])

    def call() -> str:
        outcome = next(outcomes)
        if isinstance(outcome, Exception):
            raise outcome
        return str(outcome)

    with stamina.set_testing(True, attempts=3, cap=True):
        assert (
            call_with_retries(call, retry_on=lambda e: isinstance(e, DownError), deadline=Deadline(9, clock))
            == "answer"
        )


def test_retries_are_bounded_and_the_last_error_comes_out(clock: Clock) -> None:
    calls = 0

    def call() -> None:
        nonlocal calls
        calls += 1
        raise DownError(f"call {calls}")

    with stamina.set_testing(True, attempts=3, cap=True), pytest.raises(DownError, match="call 3"):
        call_with_retries(call, retry_on=lambda e: isinstance(e, DownError), deadline=Deadline(9, clock))
    assert calls == 3


def test_an_error_that_will_not_pass_is_not_retried(clock: Clock) -> None:
    calls = 0

    def call() -> None:
        nonlocal calls
        calls += 1
        raise RefusedError

    with stamina.set_testing(True, attempts=3), pytest.raises(RefusedError):
        call_with_retries(call, retry_on=lambda e: isinstance(e, DownError), deadline=Deadline(9, clock))
    assert calls == 1


def test_nothing_is_retried_after_the_deadline(clock: Clock) -> None:
    calls = 0

    def call() -> None:
        nonlocal calls
        calls += 1
        clock.now += 10
        raise DownError

    with stamina.set_testing(True, attempts=3), pytest.raises(DownError):
        call_with_retries(call, retry_on=lambda e: True, deadline=Deadline(9, clock))
    assert calls == 1


def test_the_breaker_opens_after_ten_failures_in_a_row(breaker: CircuitBreaker) -> None:
    fail(breaker, FAILURES_TO_OPEN - 1)
    assert state_of(breaker) == BreakerState.CLOSED
    fail(breaker)
    assert state_of(breaker) == BreakerState.OPEN
    with pytest.raises(CircuitOpen, match="prometheus failed 10 times"), breaker.guard():
        pytest.fail("an open breaker lets nothing through")


def test_a_success_in_between_starts_the_count_anew(breaker: CircuitBreaker) -> None:
    fail(breaker, FAILURES_TO_OPEN - 1)
    with breaker.guard():
        pass
    fail(breaker, FAILURES_TO_OPEN - 1)
    assert state_of(breaker) == BreakerState.CLOSED


def test_it_stays_open_for_thirty_seconds_and_says_how_long(breaker: CircuitBreaker, clock: Clock) -> None:
    fail(breaker, FAILURES_TO_OPEN)
    clock.now += OPEN_SECONDS - 10
    with pytest.raises(CircuitOpen) as caught, breaker.guard():
        pytest.fail("still open")
    assert caught.value.retry_after == pytest.approx(10)


def test_one_probe_closes_it_when_it_succeeds(breaker: CircuitBreaker, clock: Clock) -> None:
    fail(breaker, FAILURES_TO_OPEN)
    clock.now += OPEN_SECONDS
    with breaker.guard():
        assert state_of(breaker) == BreakerState.HALF_OPEN
    assert state_of(breaker) == BreakerState.CLOSED


def test_a_failed_probe_opens_it_for_another_thirty_seconds(breaker: CircuitBreaker, clock: Clock) -> None:
    fail(breaker, FAILURES_TO_OPEN)
    clock.now += OPEN_SECONDS
    fail(breaker)
    assert state_of(breaker) == BreakerState.OPEN
    clock.now += OPEN_SECONDS - 1
    with pytest.raises(CircuitOpen), breaker.guard():
        pytest.fail("still open")


def test_only_one_of_many_threads_gets_to_probe(breaker: CircuitBreaker, clock: Clock) -> None:
    fail(breaker, FAILURES_TO_OPEN)
    clock.now += OPEN_SECONDS
    together = Barrier(8)
    finished = Barrier(8)

    def knock() -> bool:
        together.wait(timeout=10)
        try:
            with breaker.guard():
                finished.wait(timeout=10)
                return True
        except CircuitOpen:
            finished.wait(timeout=10)
            return False

    with ThreadPoolExecutor(8) as pool:
        let_through = [future.result() for future in [pool.submit(knock) for _ in range(8)]]
    assert sum(let_through) == 1


def test_a_probe_that_never_reports_back_frees_its_place(breaker: CircuitBreaker, clock: Clock) -> None:
    fail(breaker, FAILURES_TO_OPEN)
    clock.now += OPEN_SECONDS
    lost = breaker.guard()
    lost.__enter__()
    with pytest.raises(CircuitOpen), breaker.guard():
        pytest.fail("the probe is under way")
    clock.now += OPEN_SECONDS
    with breaker.guard():
        pass
    assert state_of(breaker) == BreakerState.CLOSED


def test_an_answer_that_refuses_shows_that_the_other_side_is_up(
    breaker: CircuitBreaker, clock: Clock
) -> None:
    fail(breaker, FAILURES_TO_OPEN)
    clock.now += OPEN_SECONDS
    with pytest.raises(RefusedError), breaker.guard(counts=lambda error: not isinstance(error, RefusedError)):
        raise RefusedError
    assert state_of(breaker) == BreakerState.CLOSED


def test_a_probe_that_is_interrupted_leaves_room_for_the_next(breaker: CircuitBreaker, clock: Clock) -> None:
    fail(breaker, FAILURES_TO_OPEN)
    clock.now += OPEN_SECONDS
    with pytest.raises(KeyboardInterrupt), breaker.guard():
        raise KeyboardInterrupt
    with breaker.guard():
        pass
    assert state_of(breaker) == BreakerState.CLOSED


def test_all_errors_have_one_root() -> None:
    assert issubclass(DeadlineExceeded, ResilienceError)
    assert issubclass(CircuitOpen, ResilienceError)
