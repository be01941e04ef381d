"""Who reaches a service through calls, for every service of one state of the graph.

A service's page needs this. Walking the graph in the database for each service would cost more than the rest of the
page.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable
from dataclasses import dataclass

from django.db import connection

from apps.catalog.models import Service
from apps.core.remembered import remembered

_EDGES = """
SELECT string_agg(int8send(source_id) || int8send(target_id), ''::bytea) FROM catalog_dependency WHERE NOT is_stale
"""
_NAMES = """
SELECT s.id, s.service_id FROM catalog_service s
WHERE EXISTS (SELECT FROM slos_activeslo a WHERE a.service_id = s.id AND a.ended_at IS NULL)
"""


@dataclass(frozen=True, slots=True)
class Reaching:
    """Services with an SLO that reach a service: how many, and the first names, the nearest first."""

    total: int
    names: list[str]


class Callers:
    """The calls at one moment, by the called service.

    A set of services is a number with one bit for each service. Results are kept, and all services of a cycle have the
    same callers, so the whole graph is walked about once, however many services are asked for.

    Parameters
    ----------
    block : edges as two big-endian integers of 64 bits each, the caller first
    """

    def __init__(self, block: bytes) -> None:
        ends = array("q", block)
        if sys.byteorder == "little":
            ends.byteswap()
        self.place = {pk: number for number, pk in enumerate(dict.fromkeys(ends))}
        self._callers: list[list[int]] = [[] for _ in self.place]
        self._called: list[list[int]] = [[] for _ in self.place]
        for source, target in zip(ends[::2], ends[1::2], strict=True):
            self._callers[self.place[target]].append(self.place[source])
            self._called[self.place[source]].append(self.place[target])
        self._above: dict[int, int] = {}

    def above(self, pk: int) -> int:
        """Return the bits of all services that reach a service; its own bit is set where it is in a cycle."""
        start = self.place.get(pk)
        if start is None:
            return 0
        if start not in self._above:
            found = self._walk(start, self._callers, known=self._above)
            alike = [start]
            if found >> start & 1:
                alike += _places(found & self._walk(start, self._called, known={}))
            self._above.update(dict.fromkeys(alike, found))
        return self._above[start]

    def nearest(self, pk: int, wanted: int, limit: int, names: dict[int, str]) -> list[str]:
        """Return the first names of those ``wanted`` (bits) that reach a service: by number of calls, then by name."""
        start = self.place[pk]
        seen, level, found = {start}, {start}, list[str]()
        while level and len(found) < limit:
            level = {caller for called in level for caller in self._callers[called]} - seen
            seen |= level
            found += sorted(names[place] for place in level if wanted >> place & 1)
        return found[:limit]

    def _walk(self, start: int, neighbours: list[list[int]], *, known: dict[int, int]) -> int:
        """Return the bits of all that ``start`` leads to; the result of a service in ``known`` is used as it is."""
        bits = bytearray(len(self.place) // 8 + 1)
        seen = set[int]()
        found, waiting = 0, list(neighbours[start])
        while waiting:
            place = waiting.pop()
            if place in seen:
                continue
            seen.add(place)
            bits[place >> 3] |= 1 << (place & 7)
            if place in known:
                found |= known[place]
            else:
                waiting += neighbours[place]
        return found | int.from_bytes(bits, "little")


@dataclass(frozen=True, slots=True)
class _Graph:
    callers: Callers
    with_slo: int
    """The bits of the services that have an SLO."""
    names: dict[int, str]
    """Names of the services with an SLO, by their place."""


def reaching(service: Service, *, limit: int) -> Reaching:
    """Return who reaches a service, at any distance, and has an SLO of its own."""
    graph = remembered(
        "slos.impact.callers", ("catalog_dependency", "catalog_service", "slos_activeslo"), _read_graph
    )
    wanted = graph.callers.above(service.pk) & graph.with_slo
    place = graph.callers.place.get(service.pk)
    if place is not None:
        wanted &= ~(1 << place)
    total = wanted.bit_count()
    return Reaching(
        total, graph.callers.nearest(service.pk, wanted, min(limit, total), graph.names) if total else []
    )


def _read_graph() -> _Graph:
    with connection.cursor() as cursor:
        cursor.execute(_EDGES)
        callers = Callers(cursor.fetchone()[0] or b"")
        cursor.execute(_NAMES)
        names = {callers.place[pk]: name for pk, name in cursor.fetchall() if pk in callers.place}
    return _Graph(callers, _bits(names), names)


def _bits(places: Iterable[int]) -> int:
    found = 0
    for place in places:
        found |= 1 << place
    return found


def _places(bits: int) -> list[int]:
    return [place for place, bit in enumerate(reversed(f"{bits:b}")) if bit == "1"]
