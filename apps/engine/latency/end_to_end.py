"""End-to-end latency of a path over services, and a latency budget divided among them.

Percentiles neither add nor multiply. The sum of two p99s is the p99 of the sum only where both are slow together; of
requests with 100 parallel calls, each within its p99 in 99 % of cases, 63 % wait for one that is not (Dean and Barroso
2013, *The Tail at Scale*). So journeys are drawn one by one (Monte Carlo) from the services' histograms, with the
dependence that their hours show. Percentiles are read from the draws, each with its Monte Carlo error.

Each call's distribution must be of the time spent in that call alone. A service's measured latency already includes the
calls it waits for, so a path joins services that are called one after the other or in parallel from outside, or own
times where those are measured.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from apps.engine.latency.dependence import Dependence, Draws, LatencyDistribution
from apps.engine.seeding import generator_for
from apps.engine.types import Floats

SAMPLES = 100_000
BUDGET_SAMPLES = 40_000
NEAR = 0.2
"""Journeys whose rank is this close to ``share``, relative to ``1 - share``, show where slow journeys spend their
time.
"""


@dataclass(frozen=True, slots=True)
class Call:
    """One call to a service, made in this share of the journeys."""

    service_id: str
    probability: float = 1.0


@dataclass(frozen=True, slots=True)
class Serial:
    """Parts one after the other: their times add."""

    parts: tuple[Path, ...]
    probability: float = 1.0


@dataclass(frozen=True, slots=True)
class Parallel:
    """Parts begun together; the slowest counts."""

    parts: tuple[Path, ...]
    probability: float = 1.0


type Path = Call | Serial | Parallel


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure from draws and its standard error (Monte Carlo alone, not the histograms' own error)."""

    value: float
    standard_error: float


@dataclass(frozen=True, slots=True)
class EndToEnd:
    """Draws of whole journeys, ascending, in milliseconds: ``(samples,)``."""

    latencies_ms: Floats

    def percentile(self, share: float) -> Estimate:
        """Return the time within which this share of the journeys ends; infinite if it lies in a ``+Inf`` bucket.

        Its error is that of an order statistic: half the distance between those a standard deviation of the binomial
        rank apart (David and Nagaraja 2003, §7.1).
        """
        if not 0 < share < 1:
            raise ValueError("share must lie between 0 and 1")
        size = self.latencies_ms.size
        at = min(size - 1, math.ceil(share * size) - 1)
        off = max(1, round(math.sqrt(size * share * (1 - share))))
        low, high = self.latencies_ms[max(0, at - off)], self.latencies_ms[min(size - 1, at + off)]
        error = float(high - low) / 2 if math.isfinite(high) else math.inf
        return Estimate(float(self.latencies_ms[at]), error)

    def chance_above(self, ms: float) -> Estimate:
        """Return the share of the journeys slower than ``ms``."""
        size = self.latencies_ms.size
        share = 1 - float(np.searchsorted(self.latencies_ms, ms, side="right")) / size
        return Estimate(share, math.sqrt(max(share * (1 - share), 1 / size) / size))


@dataclass(frozen=True, slots=True)
class Allotment:
    """What one call to a service may take, and how often it takes longer today.

    ``near_ms`` is what all calls to the service take together in journeys near the percentile, on average; infinite
    where those lie in a ``+Inf`` bucket.
    """

    budget_ms: float
    chance_over: float
    near_ms: float


def services_of(path: Path) -> tuple[str, ...]:
    """Return ids of the services on a path, in order of first appearance. Raises ``ValueError`` for a malformed
    path.
    """
    if not 0 <= path.probability <= 1:
        raise ValueError("a probability must lie between 0 and 1")
    if isinstance(path, Call):
        return (path.service_id,)
    if not path.parts:
        raise ValueError("a serial or parallel path needs parts")
    return tuple(dict.fromkeys(each for part in path.parts for each in services_of(part)))


def end_to_end(
    path: Path,
    distributions: Mapping[str, LatencyDistribution],
    dependence: Dependence | None = None,
    *,
    samples: int = SAMPLES,
    seed: int = 0,
) -> EndToEnd:
    """Draw ``samples`` journeys over ``path``.

    ``distributions`` has one for every service on the path. Without ``dependence`` (:meth:`Dependence.estimated`),
    calls are independent. The same arguments give the same draws. Raises ``ValueError`` for a malformed path or a
    service without a distribution.
    """
    draws = _draws(path, distributions, dependence, samples, seed)
    return EndToEnd(np.sort(_duration(path, draws)))


def mixed(drawn: Sequence[EndToEnd], shares: Sequence[float]) -> EndToEnd:
    """Combine journeys of which ``shares`` take each path: as many draws of each, evenly over their ranks.

    Percentiles of a mixture are read from its draws; those of its parts cannot be averaged. Raises ``ValueError``
    without a path, and for shares that are not above 0 or do not add up to 1.
    """
    if not drawn or len(drawn) != len(shares) or min(shares) <= 0 or abs(math.fsum(shares) - 1) > 1e-9:
        raise ValueError("every path needs a share above 0, and the shares must add up to 1")
    samples = min(each.latencies_ms.size for each in drawn)
    parts = []
    for each, share in zip(drawn, shares, strict=True):
        size = max(1, round(share * samples))
        ranks = (np.arange(size) + 0.5) / size
        parts.append(each.latencies_ms[(ranks * each.latencies_ms.size).astype(np.intp)])
    return EndToEnd(np.sort(np.concatenate(parts)))


def share_out(
    path: Path,
    distributions: Mapping[str, LatencyDistribution],
    budget_ms: float,
    *,
    share: float = 0.95,
    dependence: Dependence | None = None,
    samples: int = BUDGET_SAMPLES,
    seed: int = 0,
) -> dict[str, Allotment]:
    """Divide a journey's latency budget among its services: what each call may take.

    Serial parts divide a budget as they divide the time of journeys near the ``share`` percentile (conditional
    expectations add, percentiles do not; Tasche 1999). Parallel parts each get the whole. A part made in only some
    journeys counts with the time that it takes where it is made, so the budget is what such journeys spend on average.
    Where all parts are always made and every call keeps its allotment, each journey keeps its budget. A service called
    more than once gets the smallest of its calls' allotments. Raises ``ValueError`` as :func:`end_to_end` does, and for
    a budget or share out of range.
    """
    if not budget_ms > 0 or not 0 < share < 1:
        raise ValueError("the budget must be above 0 and the share between 0 and 1")
    draws = _draws(path, distributions, dependence, samples, seed)
    drawn = _draw(path, draws)
    order = np.argsort(drawn.duration, kind="stable")
    reach = NEAR * (1 - share)
    first, last = int((share - reach) * samples), math.ceil((share + reach) * samples)
    near = order[first : max(last, first + 1)]
    readable = near[np.isfinite(drawn.duration[near])]
    allotted: dict[str, float] = {}
    taken: dict[str, float] = {}
    _allot(drawn, budget_ms, near, allotted)
    _take(drawn, readable, taken)
    return {
        name: Allotment(budget, distributions[name].chance_above(budget), taken[name])
        for name, budget in allotted.items()
    }


def _draws(
    path: Path,
    distributions: Mapping[str, LatencyDistribution],
    dependence: Dependence | None,
    samples: int,
    seed: int,
) -> Draws:
    names = services_of(path)
    missing = [name for name in names if name not in distributions]
    if missing:
        raise ValueError(f"there are no latencies of {', '.join(missing)}")
    if samples < 1:
        raise ValueError("samples must be at least 1")
    generator = generator_for("\0".join(names), seed, "journey latency")
    return Draws(generator, distributions, dependence or Dependence.independent(names), samples)


def _duration(path: Path, draws: Draws) -> Floats:
    if isinstance(path, Call):
        duration = draws.call(path.service_id)
    else:
        duration = _duration(path.parts[0], draws)
        for part in path.parts[1:]:
            further = _duration(part, draws)
            duration = duration + further if isinstance(path, Serial) else np.maximum(duration, further)
    return np.where(draws.happens(path.probability), duration, 0.0) if path.probability < 1 else duration


@dataclass(frozen=True, slots=True)
class _Drawn:
    """A part of the path with its times in every journey."""

    path: Path
    duration: Floats
    parts: Sequence[_Drawn] = ()


def _draw(path: Path, draws: Draws) -> _Drawn:
    parts: list[_Drawn] = []
    if isinstance(path, Call):
        duration = draws.call(path.service_id)
    else:
        parts = [_draw(part, draws) for part in path.parts]
        together = np.stack([part.duration for part in parts])
        duration = together.sum(axis=0) if isinstance(path, Serial) else together.max(axis=0)
    if path.probability < 1:
        duration = np.where(draws.happens(path.probability), duration, 0.0)
    return _Drawn(path, duration, parts)


def _allot(
    drawn: _Drawn,
    budget: float,
    near: np.ndarray[tuple[int, ...], np.dtype[np.intp]],
    allotted: dict[str, float],
) -> None:
    if isinstance(drawn.path, Call):
        name = drawn.path.service_id
        allotted[name] = min(budget, allotted.get(name, math.inf))
        return
    budgets = [budget] * len(drawn.parts)
    if isinstance(drawn.path, Serial):
        times = np.stack([part.duration[near] for part in drawn.parts])
        finite = times[:, np.isfinite(times).all(axis=0)]
        whole = float(finite.sum(axis=0).mean()) if finite.size else 0.0
        budgets = [
            min(budget, budget * _where_made(part, of) / whole) if whole > 0 else budget / len(drawn.parts)
            for part, of in zip(drawn.parts, finite, strict=True)
        ]
    for part, portion in zip(drawn.parts, budgets, strict=True):
        _allot(part, portion, near, allotted)


def _where_made(drawn: _Drawn, near: Floats) -> float:
    """Return what a part takes on average where it is made: near the percentile, else in any journey."""
    for times in (near, drawn.duration):
        made = times[(times > 0) & np.isfinite(times)]
        if made.size:
            return float(made.mean())
    return 0.0


def _take(
    drawn: _Drawn, near: np.ndarray[tuple[int, ...], np.dtype[np.intp]], taken: dict[str, float]
) -> None:
    for part in drawn.parts:
        _take(part, near, taken)
    if isinstance(drawn.path, Call):
        name = drawn.path.service_id
        mean = float(drawn.duration[near].mean()) if near.size else math.inf
        taken[name] = taken.get(name, 0.0) + mean
