"""How often the 90 % intervals of call probability and hardness hold the truth: prints a table."""

from __future__ import annotations

import time
from typing import Any

from apps.engine.evaluation.dependencies_report import EDGE_TITLES
from apps.engine.evaluation.edges import summarise_edges
from apps.slos.evaluation.evaluating import run_edges

SEEDS = (1, 2, 3)
SERVICES = 250


def test_it_prints_the_coverage_of_edge_intervals() -> None:
    """Print coverage over three fleets, where edges are seen and where only their targets are."""
    print(f"\n{'figure, truth':<52}" + "".join(f"{f'seed {seed}':>16}" for seed in SEEDS))
    start = time.perf_counter()
    tables: list[Any] = [summarise_edges(run_edges(seed, SERVICES)) for seed in SEEDS]
    for name, title in EDGE_TITLES.items():
        for where, words in (("inside", "between 0 and 1"), ("at_0_or_1", "0 or 1")):
            cells = [each[name][where] for each in tables]
            row = [f"{cell['covered']:>8.1%} of {cell['edges']:<4}" for cell in cells]
            print(f"{f'{title}, {words}':<52}" + "".join(row))
    print(f"{time.perf_counter() - start:.0f} s for {2 * len(SEEDS) * SERVICES} services")
