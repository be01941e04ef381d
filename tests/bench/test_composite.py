"""How far the composite of 1,000 random graphs is from brute force, and how long a whole fleet takes: prints tables."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from apps.engine.evaluation.composite import by_chance, summarise_composite
from apps.engine.graph.composing import compose_fleet
from apps.engine.graph.fleet import FleetEdge, FleetGraph
from apps.slos.evaluation.evaluating import run_composite

GRAPHS = 1_000
SERVICES, EDGES = 5_000, 25_000


def test_it_prints_how_far_the_composite_is_from_brute_force() -> None:
    """Print the share of nodes beyond one, two and three standard errors, enumerated and sampled."""
    start = time.perf_counter()
    found: Any = summarise_composite(run_composite(1, GRAPHS))
    print(
        f"\n{'':<12}{'nodes':>8}{'mean':>8}{'sd':>8}{'> 1':>8}{'> 2':>8}{'> 3':>8}{'largest':>9}{'again':>7}"
    )
    normal = [by_chance(limit) for limit in (1, 2, 3)]
    print(f"{'normal':<12}{'':>8}{0:>8.2f}{1:>8.2f}{normal[0]:>8.1%}{normal[1]:>8.1%}{normal[2]:>8.2%}")
    for name, row in found["methods"].items():
        one, two, three = row["beyond"].values()
        print(
            f"{name:<12}{row['nodes']:>8,}{row['mean']:>8.2f}{row['standard_deviation']:>8.2f}{one:>8.1%}{two:>8.1%}"
            f"{three:>8.2%}{row['largest']:>9.1f}{row['still_beyond']:>7}"
        )
        assert row["nodes"] >= 3 * GRAPHS
    print(f"{time.perf_counter() - start:.0f} s")


def _fleet(kind: str) -> FleetGraph:
    """5,000 measured services and 25,000 edges: in layers without a cycle, or at random, most in one cycle."""
    generator = np.random.default_rng(1)
    names = [f"s{at:04}" for at in range(SERVICES)]
    measured = {name: 1 - 10 ** generator.uniform(-3.8, -2.5) for name in names}
    pairs: set[tuple[int, int]] = set()
    while len(pairs) < EDGES:
        one, other = (int(each) for each in generator.integers(0, SERVICES, 2))
        if one != other:
            pairs.add((min(one, other), max(one, other)) if kind == "layers" else (one, other))
    edges = [
        FleetEdge(
            names[source],
            names[target],
            generator.uniform(0.05, 1),
            float(generator.choice([0.9, 0.3, 0.1])),
            retries=int(generator.integers(0, 3)),
        )
        for source, target in sorted(pairs)
    ]
    return FleetGraph(dict.fromkeys(names, 1.0), edges, {}, measured)


def test_it_prints_how_long_a_whole_fleet_takes() -> None:
    """Print seconds, how many services are exact, and the median error of what is missing to 1."""
    print(
        f"\n{'5,000 services, 25,000 edges':<30}{'s':>8}{'processor':>11}{'exact':>8}{'error':>8}{'in a cycle':>12}"
    )
    for kind in ("layers", "random"):
        graph = _fleet(kind)
        start, used = time.perf_counter(), time.process_time()
        found = compose_fleet(graph)
        taken, processor = time.perf_counter() - start, time.process_time() - used
        errors = [each.limit_error / (1 - each.limit) for each in found.nodes.values() if each.limit < 1]
        exact = sum(each.is_exact for each in found.nodes.values())
        cyclic = sum(map(len, found.cycles))
        print(f"{kind:<30}{taken:>8.1f}{processor:>11.1f}{exact:>8,}{np.median(errors):>8.1%}{cyclic:>12,}")
        assert len(found.nodes) == SERVICES
