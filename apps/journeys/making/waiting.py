"""Which calls on a path have a time of their own, and which lie inside the measured time of another service on it.
Only workers and commands import this module.

A service's measured time holds the synchronous calls that it waits for. Where a path names both the caller and the
called, adding both would count the called one twice.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from apps.engine.graph.fleet import FleetEdge

LEAST_HELD = 0.05
"""Calls made in fewer requests than this are not looked for; where all but this share of a service's calls lie inside
others, it is left out altogether.
"""


@dataclass(frozen=True, slots=True)
class Held:
    """``share`` of the path's calls to ``service_id`` lie inside the measured times of ``by``, the one with most of
    them first; 1 for all of them.
    """

    service_id: str
    by: tuple[str, ...]
    share: float


class CallGraph:
    """Who calls whom and waits, with the share of requests that do."""

    def __init__(self, edges: Iterable[FleetEdge]) -> None:
        self._calls: dict[str, list[tuple[str, float]]] = defaultdict(list)
        for edge in edges:
            if edge.mode == "sync" and edge.call_probability >= LEAST_HELD:
                self._calls[edge.source].append((edge.target, edge.call_probability))
        self._known: dict[str, dict[str, float]] = {}

    def below(self, service_id: str) -> Mapping[str, float]:
        """What a service calls and waits for, directly or through others: in what share of its requests, along the
        likeliest way. Shares below :data:`LEAST_HELD` are left away.
        """
        if service_id not in self._known:
            self._known[service_id] = self._likeliest(service_id)
        return self._known[service_id]

    def _likeliest(self, service_id: str) -> dict[str, float]:
        found: dict[str, float] = {}
        ahead = [(-1.0, service_id)]
        while ahead:
            negative, name = heapq.heappop(ahead)
            if name in found:
                continue
            found[name] = -negative
            for target, probability in self._calls.get(name, ()):
                if target not in found and found[name] * probability >= LEAST_HELD:
                    heapq.heappush(ahead, (negative * probability, target))
        del found[service_id]
        return found


def apart(calls: Mapping[str, float], graph: CallGraph) -> tuple[dict[str, float], list[Held]]:
    """Split the calls of a path, by service in its order, into those with a time of their own and those inside others.

    Returns the calls to add up, again by service in order, and what lies inside whom. Of services that call each
    other in a circle the one that the path names first counts as the caller. The expected number of calls is kept:
    where a caller makes a call in ``p`` of its requests, ``p`` of the calls are inside, the others added.
    """
    counted: dict[str, float] = {}
    inside: list[Held] = []
    remaining = list(calls)
    while remaining:
        name = next((each for each in remaining if not _has_caller(each, remaining, graph)), remaining[0])
        remaining.remove(name)
        used = min(1.0, calls[name])
        by = {each: min(1.0, counted[each]) * graph.below(each).get(name, 0.0) for each in counted}
        share = min(1.0, sum(by.values()) / used)
        if share < LEAST_HELD:
            counted[name] = calls[name]
            continue
        share = 1.0 if share > 1 - LEAST_HELD else share
        callers = sorted((each for each in by if by[each] >= LEAST_HELD), key=lambda each: -by[each])
        inside.append(Held(name, tuple(callers), share))
        if share < 1:
            counted[name] = calls[name] * (1 - share)
    order = list(calls)
    return (
        {name: counted[name] for name in order if name in counted},
        sorted(inside, key=lambda held: order.index(held.service_id)),
    )


def _has_caller(name: str, among: Sequence[str], graph: CallGraph) -> bool:
    """Whether another of these, in the path's order, calls this one and is not called back by it first."""
    at = among.index(name)
    return any(
        name in graph.below(other) and (number < at or other not in graph.below(name))
        for number, other in enumerate(among)
        if other != name
    )
