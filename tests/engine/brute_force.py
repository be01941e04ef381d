"""Random fleets and their availability by brute force: worlds are drawn and failures spread, nothing else.

Written against the model's description alone; it shares no code with the engine.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from apps.engine.graph.fleet import FleetEdge, FleetGraph, GroupRule

type Bools = NDArray[np.bool_]


def random_graph(generator: np.random.Generator, most: int = 12) -> FleetGraph:
    """A graph of 3 to ``most`` nodes with shared nodes, groups, retries, async edges and cycles."""
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


def simulate(graph: FleetGraph, worlds: int, generator: np.random.Generator) -> dict[str, float]:
    """Share of ``worlds`` in which each node is up. Retries read the figures of the round before."""
    retried = any(edge.retries for edge in graph.edges)
    found = dict.fromkeys(graph.own, 1.0)
    for number in range(5 if retried else 1):
        is_last = number == 4 or not retried
        found = _one_round(graph, worlds if is_last else worlds // 4, generator, found)
    return found


def _one_round(
    graph: FleetGraph, worlds: int, generator: np.random.Generator, before: Mapping[str, float]
) -> dict[str, float]:
    down = _down_alone(graph, worlds, generator)
    singles: list[tuple[FleetEdge, Bools]] = []
    groups: dict[tuple[str, str], list[tuple[FleetEdge, Bools]]] = {}
    for edge in graph.edges:
        if edge.mode == "async":
            continue
        meets_again = generator.random(worlds) < edge.shared_share
        for_good = np.ones(worlds, dtype=bool)
        for _ in range(edge.retries):
            for_good &= meets_again | (generator.random(worlds) < 1 - before[edge.target])
        if edge.group:
            groups.setdefault((edge.source, edge.group), []).append((edge, for_good))
        else:
            used = generator.random(worlds) < edge.call_probability
            hurts = generator.random(worlds) < edge.hardness
            singles.append((edge, for_good & used & hurts))
    carried: dict[tuple[str, str], Bools] = {}
    for key, members in groups.items():
        used = generator.random(worlds) < min(1.0, sum(edge.call_probability for edge, _ in members))
        carried[key] = used & (generator.random(worlds) < max(edge.hardness for edge, _ in members))
    failed = {name: each.copy() for name, each in down.items()}
    is_moving = True
    while is_moving:
        count = sum(int(each.sum()) for each in failed.values())
        for edge, carries in singles:
            failed[edge.source] |= carries & failed[edge.target]
        for (source, group), members in groups.items():
            up = np.sum([~(failed[edge.target] & for_good) for edge, for_good in members], axis=0)
            needed = graph.rules.get((source, group), GroupRule()).needed
            failed[source] |= carried[source, group] & (up < needed)
        is_moving = sum(int(each.sum()) for each in failed.values()) > count
    return {name: 1 - float(each.mean()) for name, each in failed.items()}


def _down_alone(graph: FleetGraph, worlds: int, generator: np.random.Generator) -> dict[str, Bools]:
    causes: dict[tuple[str, ...], float] = {}
    members: dict[tuple[str, str], set[str]] = {}
    for edge in graph.edges:
        if edge.group and edge.mode == "sync":
            members.setdefault((edge.source, edge.group), set()).add(edge.target)
    for key, targets in members.items():
        if len(targets) > 1:
            share = graph.rules.get(key, GroupRule()).common_cause
            together = tuple(sorted(targets))
            causes[together] = max(causes.get(together, 0.0), share)
    struck = {names: (share * min(1 - graph.own[name] for name in names)) for names, share in causes.items()}
    events = {names: generator.random(worlds) < chance for names, chance in struck.items()}
    result: dict[str, Bools] = {}
    for name, own in graph.own.items():
        rest = own
        hit = np.zeros(worlds, dtype=bool)
        for names, event in events.items():
            if name in names:
                rest /= 1 - struck[names]
                hit |= event
        result[name] = hit | (generator.random(worlds) >= rest)
    return result
