"""How long requests take: a distribution of two parts, and what moves it from hour to hour.

Latencies are log-normal with a second, slower part (a cache miss, a heavy tail). Load, noisy neighbours, deploys, slow
trends, nightly jobs and incidents shift all latencies, change the share of the slower part, or slow down a part of the
requests. Every behaviour can be continued from the end of a history any number of times.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from apps.engine.simulation.paths import loguniform, outages, wandering
from apps.engine.types import Floats

LONGEST_INCIDENT_HOURS = 72.0

type State = tuple[float, float, float, tuple[float, float], float]
"""Hourly wander, daily wander, wander of the slower part, the current incident, and the sum of jumps so far."""


@dataclass(frozen=True, slots=True)
class Hours:
    """The values of each hour; each array has shape ``(count or 1, hours or 1)``.

    ``shift`` moves the logarithm of all latencies; ``share`` is the slower part's; a part ``slowed`` of the requests
    takes ``exp(slow_shift)`` times as long.
    """

    shift: Floats
    share: Floats
    slowed: Floats | None
    slow_shift: float


@dataclass(frozen=True, slots=True)
class Shape:
    """Natural logarithms of milliseconds: ``middle`` and ``spread`` of the usual part; of the slower part, its distance
    above the usual one (``gap``), its spread and its usual share.
    """

    middle: float
    spread: float
    gap: float
    slow_spread: float
    share: float

    @classmethod
    def draw(cls, generator: np.random.Generator, *, is_bimodal: bool = False) -> Shape:
        middle = float(np.log(loguniform(generator, 2, 400)))
        if is_bimodal:
            return cls(
                middle,
                generator.uniform(0.15, 0.5),
                generator.uniform(1.0, 3.5),
                generator.uniform(0.15, 0.5),
                loguniform(generator, 0.01, 0.5),
            )
        share = 0.0 if generator.random() < 0.3 else loguniform(generator, 0.001, 0.08)
        return cls(
            middle,
            generator.uniform(0.2, 0.9),
            generator.uniform(0.7, 2.5),
            generator.uniform(0.2, 0.8),
            share,
        )

    def below(self, log_ms: float, hours: Hours) -> Floats:
        """Return the share of each hour's requests that took at most ``exp(log_ms)``: shape ``(count, hours)``."""
        usual = self._mixed(log_ms, hours.shift, hours.share)
        if hours.slowed is None:
            return usual
        shape = np.broadcast_shapes(usual.shape, hours.slowed.shape)
        found = np.array(np.broadcast_to(usual, shape))
        at = np.nonzero(np.broadcast_to(hours.slowed, shape) > 0)
        if at[0].size:
            part = np.broadcast_to(hours.slowed, shape)[at]
            shift = np.broadcast_to(hours.shift, shape)[at] + hours.slow_shift
            share = np.broadcast_to(hours.share, shape)[at]
            found[at] = (1 - part) * found[at] + part * self._mixed(log_ms, shift, share)
        return found

    def _mixed(self, log_ms: float, shift: Floats, share: Floats) -> Floats:
        usual = ndtr((log_ms - self.middle - shift) / self.spread)
        if share.size == 1 and share.flat[0] <= 0:
            return np.asarray(usual)
        slow = ndtr((log_ms - self.middle - self.gap - shift) / self.slow_spread)
        return np.asarray(usual + share * (slow - usual))

    def quantile(self, share: float) -> float:
        """Return the usual quantile, in milliseconds."""
        still = Hours(np.zeros((1, 1)), np.full((1, 1), self.share), None, 0.0)
        low, high = self.middle - 12, self.middle + 24
        for _ in range(60):
            middle = (low + high) / 2
            is_below = float(self.below(middle, still)[0, 0]) < share
            low, high = (middle, high) if is_below else (low, middle)
        return float(np.exp(high))


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What moves latencies. Spreads and shifts are natural logarithms; 0 (or infinity) leaves an ingredient out."""

    load_power: float = 0.0
    hourly: float = 0.0
    hourly_memory: float = 0.0
    daily: float = 0.0
    daily_memory: float = 0.0
    per_hour: float = 0.0
    at_hour: float = 0.0
    jump: float = 0.0
    gap_hours: float = np.inf
    share_spread: float = 0.0
    share_memory: float = 0.0
    batch_hour: int = 0
    batch_hours: int = 0
    batch_shift: float = 0.0
    incident_gap_hours: float = np.inf
    incident_median_hours: float = 1.0
    incident_tail: float = 1.0
    incident_is_pareto: bool = False
    least_part: float = 0.1
    most_part: float = 1.0
    slow_shift: float = 0.0

    def hours(
        self,
        generator: np.random.Generator,
        shape: Shape,
        count: int,
        first_hour: int,
        load: Floats,
        state: State | None,
    ) -> tuple[Hours, State]:
        """Return the values of each hour of ``count`` paths with ``load`` ``(count or 1, hours)``, continued from
        ``state``.
        """
        size = load.shape[1]
        at = first_hour + np.arange(size)
        jumped = 0.0 if state is None else state[4]
        moves = self.per_hour * (at - 45 * 24) + np.where(at >= self.at_hour, self.jump, 0.0) + jumped
        if self.batch_hours:
            moves = moves + np.where((at - self.batch_hour) % 24 < self.batch_hours, self.batch_shift, 0.0)
        shift = np.asarray(moves, dtype=np.float64)[None, :]
        if self.load_power:
            shift = shift + self.load_power * np.log(np.maximum(load, 0.02))
        if np.isfinite(self.gap_hours):
            jumps = generator.random((count, size)) < 1 / self.gap_hours
            further = np.cumsum(np.where(jumps, generator.normal(0, 0.3, (count, size)), 0.0), axis=1)
            shift, jumped = shift + further, jumped + float(further[0, -1])
        hour, day, part = 0.0, 0.0, 0.0
        if self.hourly:
            values, hour = wandering(
                generator,
                count,
                size,
                spread=self.hourly,
                memory=self.hourly_memory,
                start=None if state is None else state[0],
            )
            shift = shift + values
        if self.daily:
            values, day = wandering(
                generator,
                count,
                size // 24 + 1,
                spread=self.daily,
                memory=self.daily_memory,
                start=None if state is None else state[1],
            )
            shift = shift + np.repeat(values, 24, axis=1)[:, :size]
        share = np.full((1, 1), shape.share)
        if self.share_spread:
            values, part = wandering(
                generator,
                count,
                size // 24 + 1,
                spread=self.share_spread,
                memory=self.share_memory,
                start=None if state is None else state[2],
            )
            odds = shape.share / (1 - shape.share) * np.exp(np.repeat(values, 24, axis=1)[:, :size])
            share = odds / (1 + odds)
        slowed, running = None, (0.0, 0.0)
        if np.isfinite(self.incident_gap_hours):
            slowed, running = outages(
                generator,
                count,
                size,
                gap_hours=self.incident_gap_hours,
                durations=lambda number: self._durations(generator, number),
                severities=lambda number: np.exp(
                    generator.uniform(np.log(self.least_part), np.log(self.most_part), number)
                ),
                running=(0.0, 0.0) if state is None else state[3],
            )
        return Hours(shift, share, slowed, self.slow_shift), (hour, day, part, running, jumped)

    def _durations(self, generator: np.random.Generator, number: int) -> Floats:
        if self.incident_is_pareto:
            least = self.incident_median_hours / 2 ** (1 / self.incident_tail)
            lasts = least * (1 + generator.pareto(self.incident_tail, number))
        else:
            lasts = generator.lognormal(np.log(self.incident_median_hours), self.incident_tail, number)
        return np.minimum(LONGEST_INCIDENT_HOURS, lasts)


def draw_stationary(generator: np.random.Generator) -> Behaviour:
    """Steady, at most with a little noise from hour to hour."""
    return Behaviour(
        hourly=0.0 if generator.random() < 0.5 else generator.uniform(0.01, 0.1), hourly_memory=0.3
    )


def draw_load_dependent(generator: np.random.Generator) -> Behaviour:
    """Slower under load, some with a job every night."""
    has_batch = generator.random() < 0.3
    return Behaviour(
        load_power=generator.uniform(0.1, 1.2),
        hourly=generator.uniform(0.0, 0.1),
        hourly_memory=0.5,
        batch_hour=int(generator.integers(0, 24)),
        batch_hours=int(generator.integers(1, 5)) if has_batch else 0,
        batch_shift=generator.uniform(0.2, 1.5),
    )


def draw_step(generator: np.random.Generator) -> Behaviour:
    """Changed by a deploy; some change again and again."""
    return Behaviour(
        at_hour=24 * generator.uniform(4, 87),
        jump=generator.uniform(0.05, 0.9) * (1 if generator.random() < 0.6 else -1),
        gap_hours=np.inf if generator.random() < 0.7 else 24 * loguniform(generator, 40, 240),
        daily=0.0 if generator.random() < 0.5 else generator.uniform(0.02, 0.2),
    )


def draw_trend(generator: np.random.Generator) -> Behaviour:
    """Slowly rising or falling, and continuing so in the future."""
    return Behaviour(
        per_hour=generator.uniform(-0.8, 0.8) / (90 * 24),
        daily=0.0 if generator.random() < 0.4 else generator.uniform(0.02, 0.2),
        hourly=generator.uniform(0.0, 0.1),
    )


def draw_incidents(generator: np.random.Generator) -> Behaviour:
    """Occasional slow incidents, heavy-tailed, of all or of a part of the requests."""
    is_pareto = bool(generator.random() < 0.5)
    least = loguniform(generator, 0.02, 0.6)
    return Behaviour(
        incident_gap_hours=24 * loguniform(generator, 2, 90),
        incident_median_hours=loguniform(generator, 0.2, 6),
        incident_tail=generator.uniform(1.1, 3.0) if is_pareto else generator.uniform(0.4, 1.5),
        incident_is_pareto=is_pareto,
        least_part=least,
        most_part=min(1.0, least * loguniform(generator, 1.5, 20)),
        slow_shift=generator.uniform(0.5, 3.0),
        hourly=generator.uniform(0.0, 0.08),
    )


def draw_bimodal(generator: np.random.Generator) -> Behaviour:
    """The share of cache misses drifts from day to day."""
    return Behaviour(
        share_spread=generator.uniform(0.05, 0.7),
        share_memory=generator.uniform(0.3, 0.97),
        hourly=generator.uniform(0.0, 0.05),
    )


def draw_noisy(generator: np.random.Generator) -> Behaviour:
    """Noisy neighbours and throttling: hours and days differ, with a memory from one to the next."""
    return Behaviour(
        hourly=generator.uniform(0.05, 0.6),
        hourly_memory=generator.uniform(0.0, 0.98),
        daily=generator.uniform(0.0, 0.3),
        daily_memory=generator.uniform(0.0, 0.9),
    )


def draw_mixed(generator: np.random.Generator) -> Behaviour:
    """A little of several at once."""
    incidents, step, trend = draw_incidents(generator), draw_step(generator), draw_trend(generator)
    chance = generator.random(4)
    return Behaviour(
        load_power=generator.uniform(0.0, 0.8) if chance[0] < 0.6 else 0.0,
        hourly=generator.uniform(0.0, 0.3),
        hourly_memory=generator.uniform(0.0, 0.95),
        daily=generator.uniform(0.0, 0.15),
        daily_memory=generator.uniform(0.0, 0.9),
        per_hour=trend.per_hour / 2 if chance[1] < 0.3 else 0.0,
        at_hour=step.at_hour,
        jump=step.jump if chance[2] < 0.3 else 0.0,
        incident_gap_hours=incidents.incident_gap_hours if chance[3] < 0.4 else np.inf,
        incident_median_hours=incidents.incident_median_hours,
        incident_tail=incidents.incident_tail,
        incident_is_pareto=incidents.incident_is_pareto,
        least_part=incidents.least_part,
        most_part=incidents.most_part,
        slow_shift=incidents.slow_shift,
    )
