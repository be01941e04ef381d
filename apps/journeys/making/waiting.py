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
"""Calls in a smaller share of requests are ignored.

Where all but this share of a service's calls are inside others, the service is left out entirely.
"""


@dataclass(frozen=True, slots=True)
class Held:
    """``share`` (0..1) of the path's calls to ``service_id`` are inside the measured times of ``by``, largest share
    first.
    """

    service_id: str
    by: tuple[str, ...]
    share: float


class CallGraph:
    """Which services call and wait for which, with the share of requests that do."""

    def __init__(self, edges: Iterable[FleetEdge]) -> None:
        self._calls: dict[str, list[tuple[str, float]]] = defaultdict(list)
        for edge in edges:
            if edge.mode == "sync" and edge.call_probability >= LEAST_HELD:
                self._calls[edge.source].append((edge.target, edge.call_probability))
        self._known: dict[str, dict[str, float]] = {}

    def below(self, service_id: str) -> Mapping[str, float]:
        """Return what a service calls and waits for, directly or through others, with the share of its requests.

        The share is that of the likeliest way. Shares below :data:`LEAST_HELD` are left out.
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
    """Split the calls of a path, by service in its order, into those with their own time and those inside others.

    Returns the calls to add up, by service in order, and the calls that are inside others. Of services that call each
    other in a circle, the first on the path counts as the caller. The expected number of calls is kept: where a caller
    makes a call in a share ``p`` of its requests, ``p`` of the calls are inside and the others are added.
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
    """Return whether another of these, in the path's order, calls this one and is not called back by it first."""
    at = among.index(name)
    return any(
        name in graph.below(other) and (number < at or other not in graph.below(name))
        for number, other in enumerate(among)
        if other != name
    )
