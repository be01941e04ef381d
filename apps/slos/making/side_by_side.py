"""Services assessed by several processes in parallel, where there are many.

An assessment depends on its own service's input alone (:mod:`apps.engine.assessment`), so a fleet may be split in any
way: each result is the same, byte for byte. The asking process reads the edges (:mod:`apps.engine.reading`) and
composes the graph from them while the other processes assess. These load the engine and nothing of Django, and end with
the process that started them, however that ends.
"""

from __future__ import annotations

import os
import signal
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import forkserver, get_context, parent_process
from multiprocessing.process import BaseProcess

import structlog

from apps.engine.archetypes import Archetypes
from apps.engine.assessment import Assessment, assess
from apps.engine.freed_memory import keep_freed_memory
from apps.engine.reading import Known, Reading, read
from apps.engine.types import ServiceInput

logger = structlog.get_logger(__name__)

LEAST_SERVICES = 100
"""With fewer services, loading the engine in further processes, as the first run does, takes longer than it saves."""
MOST_PROCESSES = 4
AT_ONCE = 5
"""Services that a process takes at a time."""
PARTS_AHEAD = 240
"""Parts that may wait for a process. This bounds the series held: half a megabyte for a service of five edges.

When all services are read, enough parts are left that the others have work while the graph is composed and most is
stored.
"""
GIVES_WAY_BY = 5
"""Niceness of the processes: pages, the database and the reading process come first."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What the assessments of several services have in common; see :func:`apps.engine.assessment.assess`."""

    as_of: int
    window_days: int
    seed: int
    archetypes: Archetypes


@dataclass(frozen=True, slots=True)
class NotAssessed:
    """The result of a service that could not be assessed: the engine's traceback."""

    error: str


type Found = Assessment | NotAssessed


@dataclass(slots=True)
class Computers:
    """Who computes: this process, or those of ``pool``."""

    pool: ProcessPoolExecutor | None = None
    _latest: deque[Future[list[Found]]] = field(default_factory=deque)
    _begun: dict[str, tuple[Future[list[Found]], int]] = field(default_factory=dict)

    def begin(self, services: Sequence[ServiceInput], asked: Asked) -> dict[str, Known]:
        """Read services now, and let the pool assess them while the caller goes on; without a pool, assess them now.

        Waits where the pool is too far behind. Returns what the graph needs to know of each service that could be read.
        """
        known: dict[str, Known] = {}
        for part in _parts(services):
            readings: list[Reading] = []
            for service in part:
                reading = _guarded(read, service, asked.as_of)
                if isinstance(reading, NotAssessed):
                    self._note([service.service_id], _done([reading]))
                else:
                    known[service.service_id] = reading.known
                    readings.append(reading)
            if readings:
                self._note([each.service.service_id for each in readings], self._assess(readings, asked))
        return known

    def found(self, name: str) -> Found:
        """Return the result of a service that was begun, when it is there; it can be fetched once."""
        self._latest.clear()
        future, at = self._begun.pop(name)
        return future.result()[at]

    def _note(self, names: Sequence[str], future: Future[list[Found]]) -> None:
        self._begun |= {name: (future, at) for at, name in enumerate(names)}

    def _assess(self, readings: Sequence[Reading], asked: Asked) -> Future[list[Found]]:
        if self.pool is not None:
            if len(self._latest) >= PARTS_AHEAD:
                self._latest.popleft().result()
            try:
                self._latest.append(self.pool.submit(_assessed, readings, asked))
                return self._latest[-1]
            except OSError as error:
                self.pool = None
                _say_that_it_computes_alone(error)
        return _done(_assessed(readings, asked))


@contextmanager
def computers(services: int) -> Iterator[Computers]:
    """Yield as many processes as so many services are worth; none where they are few or there is one processor.

    The processes start when there is work. The process that they are forked from starts now, while the caller reads. If
    processes cannot be started, this one computes alone.
    """
    processes = min(MOST_PROCESSES, len(os.sched_getaffinity(0)))
    if services < LEAST_SERVICES or processes < 2:
        yield Computers()
        return
    # Do not fork this process: workers have threads, and a forked child may wait for ever for a lock that one of them
    # held. The processes are forked from one without threads, which stays for the next run and has the engine loaded.
    # (Where the project's folder is not the working directory, it does not find the engine, and each process loads it.)
    context = get_context("forkserver")
    context.set_forkserver_preload([__name__])
    try:
        forkserver.ensure_running()
    except OSError as error:
        _say_that_it_computes_alone(error)
        yield Computers()
        return
    pool = ProcessPoolExecutor(processes, mp_context=context, initializer=_begin)
    try:
        yield Computers(pool)
    finally:
        pool.shutdown(cancel_futures=True)


def _say_that_it_computes_alone(error: OSError) -> None:
    """Warn: the fork server's socket was removed from the folder for temporary files, or the path to it is too long."""
    logger.warning(
        "slos.computes_alone", error=str(error), hint="Check the folder for temporary files, and restart."
    )


def _begin() -> None:
    """Lower the priority, and end with the asking process, however that ends; that process handles interrupts."""
    os.nice(GIVES_WAY_BY)
    keep_freed_memory()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(parent_process(),), daemon=True).start()


def _end_with(asking: BaseProcess | None) -> None:
    if asking is not None:
        asking.join()
    os._exit(1)


def _parts(services: Sequence[ServiceInput]) -> list[Sequence[ServiceInput]]:
    return [services[start : start + AT_ONCE] for start in range(0, len(services), AT_ONCE)]


def _assessed(readings: Sequence[Reading], asked: Asked) -> list[Found]:
    return [_guarded(_assess, reading, asked) for reading in readings]


def _assess(reading: Reading, asked: Asked) -> Assessment:
    return assess(
        reading,
        window_days=asked.window_days,
        seed=asked.seed,
        archetypes=asked.archetypes,
    )


def _guarded[**Given, Result](
    work: Callable[Given, Result], *args: Given.args, **options: Given.kwargs
) -> Result | NotAssessed:
    """Catch any failure, because one service that cannot be assessed must not keep others from their numbers."""
    try:
        return work(*args, **options)
    except Exception:
        return NotAssessed(traceback.format_exc())


def _done(found: list[Found]) -> Future[list[Found]]:
    future: Future[list[Found]] = Future()
    future.set_result(found)
    return future
