"""How often the 90 % intervals of call probability and hardness hold the truth: prints a table."""

from __future__ import annotations

import time
from typing import get_args

from tests.engine.simulated_edges import Seen, coverage

SEEDS = (1, 2, 3)
SERVICES = 250


def test_it_prints_the_coverage_of_edge_intervals() -> None:
    """Print coverage over three fleets, with edge series and without."""
    print(f"\n{'series':<8}{'figure, source':<30}" + "".join(f"{f'seed {seed}':>16}" for seed in SEEDS))
    start = time.perf_counter()
    for seen in get_args(Seen.__value__):
        found = [coverage(seed, SERVICES, seen) for seed in SEEDS]
        for name in sorted({name for each in found for name in each}):
            row = [each.get(name) for each in found]
            cells = [f"{each.share:>8.1%} of {each.intervals:<4}" if each else f"{'':>16}" for each in row]
            print(f"{seen:<8}{name:<30}" + "".join(cells))
            assert any(row)
    print(f"{time.perf_counter() - start:.0f} s for {2 * len(SEEDS) * SERVICES} services")
