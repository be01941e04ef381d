"""Availability of a graph's nodes by brute force: draw worlds and let failures spread.

Written from the model's description alone; it shares no code with what composes graphs.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from apps.engine.graph.fleet import FleetEdge, FleetGraph, GroupRule

type Bools = NDArray[np.bool_]


def simulate(graph: FleetGraph, worlds: int, generator: np.random.Generator) -> dict[str, float]:
    """Return the share of ``worlds`` in which each node is up. Retries use the figures of the previous round."""
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
