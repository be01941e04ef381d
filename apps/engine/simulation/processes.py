"""How services fail: one class for each kind of process, with parameters drawn from wide ranges.

A process turns the load of each hour into a failure rate. ``rates`` is called first for the history, with ``state``
``None``, and then for any number of futures with the state in which the history ended.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from apps.engine.simulation.paths import Draw, loguniform, outages, switching, wandering
from apps.engine.types import Floats

HIGHEST_RATE = 0.98
"""Highest failure rate of a service, since even a deep outage leaves some requests; a site that is down answers
none.
"""
LONGEST_OUTAGE_HOURS = 48.0
WANDER_MEMORY = 0.93
MOST_INTENSE = 8.0

type State = tuple[float, ...]


class Process(Protocol):
    """Failure rates of a service."""

    def rates(
        self, generator: np.random.Generator, count: int, first_hour: int, load: Floats, state: State | None
    ) -> tuple[Floats, State]:
        """Return the rates of ``count`` paths: shape ``(count, hours)`` for ``load`` of shape ``(count or 1, hours)``.

        ``first_hour`` counts from the beginning of the history. The state is that of the first path.
        """
        ...


@dataclass(frozen=True, slots=True)
class Independent:
    """Every request fails with the same chance."""

    rate: float

    @classmethod
    def draw(cls, generator: np.random.Generator) -> Independent:
        return cls(loguniform(generator, 3e-6, 5e-3))

    def rates(
        self, generator: np.random.Generator, count: int, first_hour: int, load: Floats, state: State | None
    ) -> tuple[Floats, State]:
        return np.full((count, load.shape[1]), self.rate), ()


@dataclass(frozen=True, slots=True)
class Modulated:
    """A good and a bad state that alternate (Markov-modulated)."""

    good: float
    bad: float
    bad_hours: float
    good_hours: float

    @classmethod
    def draw(cls, generator: np.random.Generator) -> Modulated:
        good = loguniform(generator, 1e-6, 1e-3)
        bad = min(0.15, good * loguniform(generator, 3, 150))
        return cls(good, bad, loguniform(generator, 1, 72), loguniform(generator, 12, 480))

    def rates(
        self, generator: np.random.Generator, count: int, first_hour: int, load: Floats, state: State | None
    ) -> tuple[Floats, State]:
        is_bad, ends_bad = switching(
            generator,
            count,
            load.shape[1],
            on_hours=self.bad_hours,
            off_hours=self.good_hours,
            is_on=None if state is None else bool(state[0]),
        )
        return np.where(is_bad, self.bad, self.good), (float(ends_bad),)


@dataclass(frozen=True, slots=True)
class Incidents:
    """Occasional incidents above an even level; their durations are log-normal or Pareto, heavy-tailed."""

    ground: float
    gap_hours: float
    median_hours: float
    tail: float
    is_pareto: bool
    least_depth: float
    most_depth: float
    longest_hours: float = LONGEST_OUTAGE_HOURS
    highest: float = HIGHEST_RATE
    wander: float = 0.0
    """Standard deviation, from week to week, of the logarithm of the rate of incidents."""

    @classmethod
    def draw_rare(cls, generator: np.random.Generator) -> Incidents:
        """Every few days to weeks, lasting minutes to days."""
        is_pareto = bool(generator.random() < 0.5)
        least = loguniform(generator, 0.005, 0.3)
        return cls(
            ground=loguniform(generator, 1e-6, 1e-3),
            gap_hours=24 * loguniform(generator, 4, 60),
            median_hours=loguniform(generator, 0.1, 3),
            tail=generator.uniform(1.2, 3.0) if is_pareto else generator.uniform(0.5, 1.4),
            is_pareto=is_pareto,
            least_depth=least,
            most_depth=min(1.0, least * loguniform(generator, 1.5, 30)),
        )

    @classmethod
    def draw_deep(cls, generator: np.random.Generator) -> Incidents:
        """Nearly clean, with one deep outage every few months."""
        return cls(
            ground=0.0 if generator.random() < 0.3 else loguniform(generator, 1e-7, 5e-5),
            gap_hours=24 * loguniform(generator, 45, 270),
            median_hours=loguniform(generator, 0.2, 4),
            tail=generator.uniform(0.3, 1.1),
            is_pareto=False,
            least_depth=loguniform(generator, 0.1, 0.7),
            most_depth=1.0,
        )

    @classmethod
    def draw_frequent(cls, generator: np.random.Generator) -> Incidents:
        """Several a week, mostly short and shallow."""
        least = loguniform(generator, 0.003, 0.1)
        return cls(
            ground=loguniform(generator, 1e-6, 1e-3),
            gap_hours=loguniform(generator, 6, 96),
            median_hours=loguniform(generator, 0.1, 3),
            tail=generator.uniform(0.2, 1.0),
            is_pareto=False,
            least_depth=least,
            most_depth=min(1.0, least * loguniform(generator, 1.5, 30)),
        )

    @classmethod
    def draw_site(cls, generator: np.random.Generator) -> Incidents:
        """A site that is up or down, as probes see it: some go down hourly, some never, some are dead."""
        is_pareto = bool(generator.random() < 0.7)
        return cls(
            ground=1.0 if generator.random() < 0.03 else 0.0,
            gap_hours=24 * loguniform(generator, 0.1, 400),
            median_hours=loguniform(generator, 0.08, 2),
            tail=generator.uniform(0.6, 2.5) if is_pareto else generator.uniform(0.6, 1.9),
            is_pareto=is_pareto,
            least_depth=1.0,
            most_depth=1.0,
            longest_hours=24 * loguniform(generator, 0.5, 25),
            highest=1.0,
            wander=0.0 if generator.random() < 0.3 else generator.uniform(0.3, 2.2),
        )

    def rates(
        self, generator: np.random.Generator, count: int, first_hour: int, load: Floats, state: State | None
    ) -> tuple[Floats, State]:
        intensity, wandered = None, 0.0
        if self.wander > 0:
            weeks, wandered = wandering(
                generator,
                count,
                load.shape[1] // 168 + 1,
                spread=self.wander,
                memory=WANDER_MEMORY,
                start=None if state is None else state[2],
            )
            intensity = np.minimum(MOST_INTENSE, np.exp(np.repeat(weeks, 168, axis=1)[:, : load.shape[1]]))
        added, running = outages(
            generator,
            count,
            load.shape[1],
            gap_hours=self.gap_hours,
            intensity=intensity,
            durations=self._durations(generator),
            severities=lambda size: np.exp(
                generator.uniform(np.log(self.least_depth), np.log(self.most_depth), size)
            ),
            running=(0.0, 0.0) if state is None else (state[0], state[1]),
        )
        return np.minimum(self.highest, self.ground + added), (*running, wandered)

    def _durations(self, generator: np.random.Generator) -> Draw:
        if self.is_pareto:
            least = self.median_hours / 2 ** (1 / self.tail)
            return lambda size: np.minimum(
                self.longest_hours, least * (1 + generator.pareto(self.tail, size))
            )
        return lambda size: np.minimum(
            self.longest_hours, generator.lognormal(np.log(self.median_hours), self.tail, size)
        )


@dataclass(frozen=True, slots=True)
class LoadDependent:
    """Failures rise with a power of the load."""

    rate: float
    power: float

    @classmethod
    def draw(cls, generator: np.random.Generator) -> LoadDependent:
        return cls(loguniform(generator, 3e-6, 1e-3), generator.uniform(0.7, 4.5))

    def rates(
        self, generator: np.random.Generator, count: int, first_hour: int, load: Floats, state: State | None
    ) -> tuple[Floats, State]:
        rates = np.minimum(0.5, self.rate * load**self.power)
        return np.broadcast_to(rates, (count, load.shape[1])), ()


@dataclass(frozen=True, slots=True)
class Trend:
    """A slow rise or fall, linear in the logarithm, which continues in the future."""

    rate: float
    per_hour: float
    spread: float

    @classmethod
    def draw(cls, generator: np.random.Generator) -> Trend:
        return cls(
            loguniform(generator, 1e-5, 1.5e-3),
            generator.uniform(-3, 3) / (90 * 24),
            0.0 if generator.random() < 0.4 else generator.uniform(0.05, 0.8),
        )

    def rates(
        self, generator: np.random.Generator, count: int, first_hour: int, load: Floats, state: State | None
    ) -> tuple[Floats, State]:
        hours = load.shape[1]
        days = generator.normal(0.0, self.spread, (count, hours // 24 + 1)) - self.spread**2 / 2
        rises = self.per_hour * (first_hour + np.arange(hours) - 45 * 24)
        return np.minimum(0.6, self.rate * np.exp(rises + np.repeat(days, 24, axis=1)[:, :hours])), ()


@dataclass(frozen=True, slots=True)
class Step:
    """The rate jumps with a deploy in the history; ``gap_hours`` is the mean time to further jumps."""

    rate: float
    at_hour: float
    jump: float
    spread: float
    gap_hours: float

    @classmethod
    def draw(cls, generator: np.random.Generator) -> Step:
        jump = generator.uniform(0.4, 3.0) * (1 if generator.random() < 0.6 else -1)
        return cls(
            loguniform(generator, 1e-5, 1e-3),
            24 * generator.uniform(4, 87),
            jump,
            0.0 if generator.random() < 0.5 else generator.uniform(0.05, 0.8),
            np.inf if generator.random() < 0.7 else 24 * loguniform(generator, 60, 240),
        )

    def rates(
        self, generator: np.random.Generator, count: int, first_hour: int, load: Floats, state: State | None
    ) -> tuple[Floats, State]:
        hours = load.shape[1]
        at = first_hour + np.arange(hours)
        level = np.where(at >= self.at_hour, self.jump, 0.0) + (0.0 if state is None else state[0])
        further = np.zeros((count, hours))
        if np.isfinite(self.gap_hours):
            jumps = generator.random((count, hours)) < 1 / self.gap_hours
            further = np.cumsum(np.where(jumps, generator.normal(0, 1.2, (count, hours)), 0.0), axis=1)
        days = generator.normal(0.0, self.spread, (count, hours // 24 + 1)) - self.spread**2 / 2
        exponent = level + further + np.repeat(days, 24, axis=1)[:, :hours]
        return np.minimum(0.6, self.rate * np.exp(exponent)), (
            float(further[0, -1]) + (0.0 if state is None else state[0]),
        )


@dataclass(frozen=True, slots=True)
class Bursts:
    """Overdispersed: hours and days differ greatly, with a memory from one to the next."""

    rate: float
    hourly: float
    hourly_memory: float
    daily: float
    daily_memory: float

    @classmethod
    def draw(cls, generator: np.random.Generator) -> Bursts:
        return cls(
            loguniform(generator, 1e-5, 2e-3),
            generator.uniform(0.3, 2.4),
            generator.uniform(0.0, 0.97),
            generator.uniform(0.0, 1.4),
            generator.uniform(0.0, 0.8),
        )

    @classmethod
    def draw_quiet(cls, generator: np.random.Generator) -> Bursts:
        """Few requests: an even rate, or one that differs from day to day."""
        is_even = generator.random() < 0.5
        daily = 0.0 if is_even else generator.uniform(0.2, 1.5)
        return cls(loguniform(generator, 1e-5, 1.5e-2), 0.0, 0.0, daily, generator.uniform(0.0, 0.6))

    def rates(
        self, generator: np.random.Generator, count: int, first_hour: int, load: Floats, state: State | None
    ) -> tuple[Floats, State]:
        hours = load.shape[1]
        hourly, last_hour = wandering(
            generator,
            count,
            hours,
            spread=self.hourly,
            memory=self.hourly_memory,
            start=None if state is None else state[0],
        )
        daily, last_day = wandering(
            generator,
            count,
            hours // 24 + 1,
            spread=self.daily,
            memory=self.daily_memory,
            start=None if state is None else state[1],
        )
        mean = (self.hourly**2 + self.daily**2) / 2
        exponent = hourly + np.repeat(daily, 24, axis=1)[:, :hours] - mean
        return np.minimum(0.6, self.rate * np.exp(exponent)), (last_hour, last_day)
