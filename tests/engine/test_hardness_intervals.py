"""The interval of a hardness is as wide as incidents differ, and no wider."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from apps.engine.edges.hardness import Hardness, measure
from apps.engine.types import Floats

DAYS = 28
HOURS = DAYS * 24
HOUR = 3_600
PASTS = 40
MEAN = 0.5

type Draw = Callable[[np.random.Generator], float]

DIFFERING: dict[str, Draw] = {
    "anything": lambda generator: float(generator.random()),
    "all_or_nothing": lambda generator: float(generator.random() < MEAN),
    "about_half": lambda generator: float(generator.beta(5, 5)),
}


def _measured(incidents: int, hours: int, draw: Draw, seed: int) -> list[Hardness]:
    """The hardness found in some pasts of a dependency that failed on so many days, ``hours`` each time; every
    incident has a hardness of its own.
    """
    generator = np.random.default_rng(seed)
    total = 5_000 + 2_000 * np.sin(np.arange(HOURS) / 24 * 2 * np.pi) + generator.normal(0, 200, HOURS)
    calls: Floats = np.zeros((PASTS, 1, HOURS))
    bad = generator.poisson(2.0, (PASTS, HOURS)).astype(np.float64)
    for past in range(PASTS):
        for day in generator.choice(DAYS, incidents, replace=False):
            first = day * 24 + generator.integers(0, 25 - hours)
            during = slice(first, first + hours)
            calls[past, 0, during] = np.round(0.1 * total[during])
            bad[past, during] += generator.binomial(calls[past, 0, during].astype(int), draw(generator))
    return [each for (each,) in measure(total, bad, calls, [0.6], HOUR)]


def _share_that_holds(found: list[Hardness]) -> float:
    return sum(each.low <= MEAN <= each.high for each in found) / len(found)


@pytest.mark.parametrize("draw", DIFFERING.values(), ids=DIFFERING)
@pytest.mark.parametrize(("incidents", "hours"), [(8, 1), (8, 3), (12, 1), (12, 3), (20, 3)])
def test_where_incidents_differ_the_interval_holds_their_mean(incidents: int, hours: int, draw: Draw) -> None:
    """Nine times in ten, less what a deviation of so few incidents is off by."""
    assert _share_that_holds(_measured(incidents, hours, draw, 1)) >= 0.75


@pytest.mark.parametrize(("incidents", "hours"), [(8, 1), (8, 3), (20, 3)])
def test_where_incidents_are_alike_the_interval_stays_narrow(incidents: int, hours: int) -> None:
    found = _measured(incidents, hours, lambda _: MEAN, 1)
    assert _share_that_holds(found) >= 0.75
    assert np.mean([each.high - each.low for each in found]) < 0.05
    assert all(each.is_observed for each in found)


def test_the_more_incidents_differ_the_wider_the_interval() -> None:
    widths = [
        np.mean([each.high - each.low for each in _measured(12, 1, draw, 2)])
        for draw in (
            lambda _: MEAN,
            DIFFERING["about_half"],
            DIFFERING["anything"],
            DIFFERING["all_or_nothing"],
        )
    ]
    assert widths == sorted(widths)
    assert widths[-1] > 3 * widths[1]


def test_incidents_that_differ_altogether_leave_hardness_unobserved() -> None:
    found = _measured(8, 1, DIFFERING["all_or_nothing"], 1)
    assert sum(each.is_observed for each in found) < PASTS / 2
