"""How often simulated services miss their tiers: prints a table, asserts nothing about the figures.

Ninety days are shown to the engine, the next 28 are held out. The processes are those that fleets are made
of; the engine knows none of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from apps.engine.recommend import recommend
from apps.engine.types import CountSeries, Floats, ServiceInput

START = 1_780_272_000
PAST_DAYS, FUTURE_DAYS = 90, 28
SERVICES = 60
TIERS = ("conservative", "balanced", "aggressive")

type Process = Callable[[np.random.Generator, int], Floats]


def _steady(generator: np.random.Generator, hours: int) -> Floats:
    return np.full(hours, 10 ** generator.uniform(-4.5, -2.5))


def _uneven_days(generator: np.random.Generator, hours: int) -> Floats:
    days = generator.gamma(0.5, 2.0, hours // 24 + 1)
    return np.repeat(days, 24)[:hours] * 10 ** generator.uniform(-4.5, -3)


def _rare_incidents(generator: np.random.Generator, hours: int) -> Floats:
    rates = np.full(hours, 1e-5)
    for start in np.flatnonzero(generator.random(hours) < 1 / (24 * 45)):
        lasts = int(np.ceil(generator.lognormal(0.7, 1.0)))
        rates[start : start + lasts] = generator.uniform(0.05, 0.9)
    return rates


def _frequent_incidents(generator: np.random.Generator, hours: int) -> Floats:
    rates = np.full(hours, 1e-5)
    for start in np.flatnonzero(generator.random(hours) < 1 / (24 * 4)):
        rates[start : start + int(generator.integers(1, 4))] = generator.uniform(0.005, 0.1)
    return rates


def _slow_drift(generator: np.random.Generator, hours: int) -> Floats:
    steps = generator.normal(0, 0.15, hours // 24 + 1).cumsum()
    return np.repeat(np.exp(steps - steps[0]), 24)[:hours] * 10 ** generator.uniform(-4, -3)


PROCESSES: Mapping[str, Process] = {
    "steady": _steady,
    "uneven days": _uneven_days,
    "frequent incidents": _frequent_incidents,
    "rare incidents": _rare_incidents,
    "slow drift": _slow_drift,
}


def _misses(name: str, process: Process) -> dict[str, int]:
    missed = dict.fromkeys(TIERS, 0)
    hours = (PAST_DAYS + FUTURE_DAYS) * 24
    cut = PAST_DAYS * 24
    for number in range(SERVICES):
        generator = np.random.default_rng(number)
        total = generator.poisson(2_000, hours).astype(float)
        bad = generator.binomial(total.astype(int), np.minimum(1.0, process(generator, hours))).astype(float)
        past = CountSeries(START, 3_600, total[:cut], bad[:cut])
        service = ServiceInput(f"{name}-{number}", counts=past)
        document: Any = recommend(service, as_of=START + cut * 3_600)
        future = 1 - bad[cut:].sum() / total[cut:].sum()
        for tier in TIERS:
            missed[tier] += bool(future < document["availability"]["tiers"][tier]["target"])
    return missed


def test_it_prints_how_often_tiers_were_missed() -> None:
    """Print the share of services below each tier in the held-out window, per process and over all."""
    print(f"\n{'process':<22}" + "".join(f"{tier:>14}" for tier in TIERS))
    print(f"{'said':<22}{'1 %':>14}{'5 %':>14}{'20 %':>14}")
    overall = dict.fromkeys(TIERS, 0)
    for name, process in PROCESSES.items():
        missed = _misses(name, process)
        print(f"{name:<22}" + "".join(f"{missed[tier] / SERVICES:>14.1%}" for tier in TIERS))
        for tier in TIERS:
            overall[tier] += missed[tier]
    services = SERVICES * len(PROCESSES)
    print(f"{'all':<22}" + "".join(f"{overall[tier] / services:>14.1%}" for tier in TIERS))
    assert all(0 <= overall[tier] <= services for tier in TIERS)
