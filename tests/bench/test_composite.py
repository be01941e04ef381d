"""How far the composite of 1,000 random graphs is from brute force: prints a table of standard errors.

A difference beyond three standard errors is looked at again with sixteen times the worlds: an error of the
method would grow to twelve, chance goes away.
"""

from __future__ import annotations

import math
import time

import numpy as np

from apps.engine.graph.composing import compose_fleet
from apps.engine.graph.fleet import FleetEdge, FleetGraph
from tests.engine.brute_force import random_graph, simulate

GRAPHS = 1_000
WORLDS = 100_000
SERVICES, EDGES = 5_000, 25_000


def _off(number: int, worlds: int, stream: int, max_conditioned: int, samples: int) -> dict[str, float]:
    graph = random_graph(np.random.default_rng(number))
    found = compose_fleet(graph, max_conditioned=max_conditioned, seed=stream, samples=samples)
    seen = simulate(graph, worlds, np.random.default_rng([number, stream]))
    return {
        name: (found.nodes[name].availability - share)
        / math.hypot(math.sqrt(share * (1 - share) / worlds) + 1e-9, found.nodes[name].standard_error)
        for name, share in seen.items()
    }


def test_it_prints_how_far_the_composite_is_from_brute_force() -> None:
    """Print the share of nodes beyond one, two and three standard errors, enumerated and sampled."""
    print(
        f"\n{'':<12}{'nodes':>8}{'mean':>8}{'sd':>8}{'> 1':>8}{'> 2':>8}{'> 3':>8}{'largest':>9}{'again':>7}{'s':>7}"
    )
    print(f"{'normal':<12}{'':>8}{0:>8.2f}{1:>8.2f}{0.3173:>8.1%}{0.0455:>8.1%}{0.0027:>8.2%}")
    for name, max_conditioned in (("enumerated", 12), ("sampled", -1)):
        start = time.perf_counter()
        off: list[float] = []
        still = 0
        for number in range(GRAPHS):
            graph = _off(number, WORLDS, 1, max_conditioned, 20_000)
            off += graph.values()
            if max(abs(each) for each in graph.values()) > 3:
                again = _off(number, 16 * WORLDS, 2, max_conditioned, 16 * 20_000)
                still += sum(abs(again[node]) > 3 for node, each in graph.items() if abs(each) > 3)
        z = np.array(off)
        beyond = [float((np.abs(z) > limit).mean()) for limit in (1, 2, 3)]
        print(
            f"{name:<12}{z.size:>8,}{z.mean():>8.2f}{z.std():>8.2f}{beyond[0]:>8.1%}{beyond[1]:>8.1%}"
            f"{beyond[2]:>8.2%}{np.abs(z).max():>9.1f}{still:>7}{time.perf_counter() - start:>7.0f}"
        )
        assert z.size >= 3 * GRAPHS


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
