"""Random graphs of services, to compare the composite with brute force."""

from __future__ import annotations

import numpy as np

from apps.engine.graph.fleet import FleetEdge, FleetGraph, GroupRule


def random_graph(generator: np.random.Generator, most: int = 12) -> FleetGraph:
    """Return a graph of 3 to ``most`` nodes with shared nodes, groups, retries, async edges and cycles."""
    size = int(generator.integers(3, most + 1))
    names = [f"n{at:02}" for at in range(size)]
    own = {name: 1 - 10 ** generator.uniform(-2.5, -0.7) for name in names}
    edges: list[FleetEdge] = []
    rules: dict[tuple[str, str], GroupRule] = {}
    may_cycle = generator.random() < 0.5
    for at, source in enumerate(names):
        others = [name for name in names if name != source] if may_cycle else names[at + 1 :]
        if not others:
            continue
        chosen = generator.permutation(others)[: int(generator.integers(0, 4))]
        group = "g" if len(chosen) >= 2 and generator.random() < 0.35 else ""
        members = len(chosen) if generator.random() < 0.6 else 2
        for number, target in enumerate(chosen):
            edges.append(
                FleetEdge(
                    source,
                    str(target),
                    call_probability=generator.uniform(0.2, 1),
                    hardness=generator.uniform(0, 1),
                    mode="async" if generator.random() < 0.1 else "sync",
                    retries=int(generator.integers(0, 4)) if generator.random() < 0.4 else 0,
                    shared_share=generator.uniform(0, 1),
                    group=group if number < members else "",
                )
            )
        alive = sum(1 for edge in edges if edge.source == source and edge.group and edge.mode == "sync")
        if alive:
            rules[source, "g"] = GroupRule(
                int(generator.integers(1, alive + 1)), float(generator.choice([0.0, 0.1, 0.5]))
            )
    return FleetGraph(own, edges, rules)
