"""Services assessed by several processes side by side, where there are many to make.

An assessment depends on its own service's input alone (:mod:`apps.engine.assessment`), so a fleet may be split as one
likes: each comes out the same, byte for byte. The processes load the engine and
nothing of Django, and end with the one that began them, however that ends.
"""

from __future__ import annotations

import ctypes
import os
import signal
import traceback
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context

from apps.engine.archetypes import Archetypes
from apps.engine.assessment import Assessment, assess
from apps.engine.freed_memory import keep_freed_memory
from apps.engine.types import ServiceInput

LEAST_SERVICES = 100
"""Below so many, loading the engine again takes longer than it saves."""
MOST_PROCESSES = 4
AT_ONCE = 5
"""Services that a process takes at a time."""
PARTS_AHEAD = 80
"""Parts that may wait for a process: what bounds the series held."""
GIVES_WAY_BY = 5
"""Niceness of the processes: pages, the database and what is read for them come first."""
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True)
class Asked:
    """What the assessments of some services have in common; see :func:`apps.engine.assessment.assess`."""

    as_of: int
    window_days: int
    seed: int
    archetypes: Archetypes


@dataclass(frozen=True, slots=True)
class NotAssessed:
    """What there is of a service that could not be assessed: the engine's traceback."""

    error: str


type Found = Assessment | NotAssessed


@dataclass(slots=True)
class Computers:
    """Who computes: this process, or those of ``pool``."""

    pool: ProcessPoolExecutor | None = None
    _latest: deque[Future[list[Found]]] = field(default_factory=deque)
    _begun: dict[str, tuple[Future[list[Found]], int]] = field(default_factory=dict)

    def begin(self, services: Sequence[ServiceInput], asked: Asked) -> None:
        """Assess services while the caller goes on, or waits where it is too far ahead; without a pool they are
        assessed now.
        """
        for part in _parts(services):
            if self.pool is None:
                future: Future[list[Found]] = Future()
                future.set_result(_assessed(part, asked))
            else:
                if len(self._latest) >= PARTS_AHEAD:
                    self._latest.popleft().result()
                future = self.pool.submit(_assessed, part, asked)
                self._latest.append(future)
            self._begun |= {service.service_id: (future, at) for at, service in enumerate(part)}

    def found(self) -> dict[str, Found]:
        """What came of all that were begun, by service, when it is there."""
        return {name: future.result()[at] for name, (future, at) in self._begun.items()}


@contextmanager
def computers(services: int) -> Iterator[Computers]:
    """Begin as many processes as so many services are worth; none where they are few or there is one processor.

    They load the engine at once, while the caller reads what they will need.
    """
    processes = min(MOST_PROCESSES, len(os.sched_getaffinity(0)))
    if services < LEAST_SERVICES or processes < 2:
        yield Computers()
        return
    # Spawned, not forked: workers have threads, and a forked child may wait for ever for a lock that one of them held.
    pool = ProcessPoolExecutor(
        processes, mp_context=get_context("spawn"), initializer=_begin, initargs=(os.getpid(),)
    )
    try:
        for _ in range(processes):
            pool.submit(os.getpid)
        yield Computers(pool)
    finally:
        # They take a while to end, and nobody need wait for that.
        pool.shutdown(wait=False, cancel_futures=True)


def _begin(parent: int) -> None:
    """Give way to others, and have the kernel end this process when its parent ends; an interrupt is the parent's to
    handle.
    """
    os.nice(GIVES_WAY_BY)
    keep_freed_memory()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _parts(services: Sequence[ServiceInput]) -> list[Sequence[ServiceInput]]:
    return [services[start : start + AT_ONCE] for start in range(0, len(services), AT_ONCE)]


def _assessed(services: Sequence[ServiceInput], asked: Asked) -> list[Found]:
    return [_assess(service, asked) for service in services]


def _assess(service: ServiceInput, asked: Asked) -> Found:
    """One that cannot be assessed must not keep others from their numbers."""
    try:
        return assess(
            service,
            as_of=asked.as_of,
            window_days=asked.window_days,
            seed=asked.seed,
            archetypes=asked.archetypes,
        )
    except Exception:
        return NotAssessed(traceback.format_exc())
