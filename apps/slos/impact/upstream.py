"""Who depends on a service: the walk up the graph, with the share of a failure that each edge carries."""

from __future__ import annotations

import json
from array import array
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache

from django.db import connection

from apps.catalog.queries import retries_of
from apps.slos.impact.influence import Edges
from apps.slos.impact.stand_ins import Group, Member, left_by_retries

MAX_DEPTH = 10
"""The largest depth that may be asked for; without a depth, the walk goes as far as the graph."""

# The engine's priors (apps/engine/edges/estimates.py), for edges that no run has estimated yet; a test compares them.
CALL_PROBABILITY_PRIOR = {"hard": 1.0, "degraded": 0.7, "soft": 0.5}
HARDNESS_PRIOR = {"hard": 0.9, "degraded": 0.3, "soft": 0.1}
EXTERNAL_ALLOWANCE = 1.1


def _case(priors: dict[str, float]) -> str:
    """Write the priors as SQL."""
    return (
        "CASE d.criticality "
        + " ".join(f"WHEN '{name}' THEN {value}" for name, value in priors.items())
        + " END"
    )


_Q = f"least(1, coalesce(e.call_probability, d.calls_per_request, {_case(CALL_PROBABILITY_PRIOR)}))"
_H = f"coalesce(e.hardness, {_case(HARDNESS_PRIOR)})"
_ESTIMATED = "LEFT JOIN slos_edgeestimate e ON e.source_id = d.source_id AND e.target_id = d.target_id"
# Tens of thousands of rows cost more to transfer one by one than to find, so they come as one block of bytes. The last
# column is the id of an edge of which more must be read, else 0. A caller waits for an answer whether or not its
# failure matters, so fallbacks, groups and retries count for availability alone.
_COLUMNS = f"""
string_agg(int8send(d.source_id) || int8send(d.target_id) || float8send(
    (CASE WHEN d.mode <> 'sync' THEN 0
    WHEN %(latency)s THEN {_Q}
    WHEN e.has_fallback THEN 0
    ELSE {_Q} * {_H} END)::double precision)
    || int8send(CASE WHEN %(latency)s OR d.mode <> 'sync' OR e.has_fallback
        OR (d.redundancy_group = '' AND d.retry_config = '{{}}') THEN 0 ELSE d.id END), ''::bytea)
"""
_LEVEL = f"""
SELECT {_COLUMNS} FROM catalog_dependency d {_ESTIMATED}
WHERE d.target_id = ANY(%(targets)s::bigint[]) AND NOT d.is_stale
"""  # noqa: S608
# All levels above at once: a graph of many levels would need one query for each.
_ALL_ABOVE = f"""
WITH RECURSIVE up(id) AS (
    SELECT unnest(%(targets)s::bigint[])
    UNION
    SELECT d.source_id FROM up JOIN catalog_dependency d ON d.target_id = up.id AND NOT d.is_stale
    WHERE d.source_id <> ALL(%(known)s::bigint[])
)
SELECT {_COLUMNS} FROM up JOIN catalog_dependency d ON d.target_id = up.id AND NOT d.is_stale {_ESTIMATED}
"""  # noqa: S608
# What the composite counts: a group with all its members, whether or not the walk reached them. Without a stored
# estimate, a target is as good as it was observed, else as its SLA says.
_MORE = f"""
SELECT d.id, d.source_id, d.target_id, d.redundancy_group, coalesce(d.redundancy_needed, 1),
    CASE WHEN e.hardness_source = 'observed' THEN '{{}}' ELSE d.retry_config::text END, {_Q}, {_H},
    CASE WHEN e.id IS NOT NULL THEN e.availability ELSE coalesce(st.observed,
        CASE WHEN s.is_external THEN greatest(0, 1 - {EXTERNAL_ALLOWANCE} * (1 - s.published_sla)) END) END
FROM catalog_dependency d {_ESTIMATED}
JOIN catalog_service s ON s.id = d.target_id
LEFT JOIN slos_servicestatus st ON st.service_id = d.target_id
WHERE NOT d.is_stale AND d.mode = 'sync' AND e.has_fallback IS NOT TRUE AND (d.id = ANY(%(edges)s::bigint[])
    OR d.redundancy_group <> '' AND (d.source_id, d.redundancy_group) IN (
        SELECT source_id, redundancy_group FROM catalog_dependency WHERE id = ANY(%(edges)s::bigint[])))
ORDER BY d.source_id, d.target_id
"""  # noqa: S608
_CALLERS = """
SELECT array_agg(DISTINCT source_id) FROM catalog_dependency
WHERE target_id = ANY(%(targets)s::bigint[]) AND NOT is_stale
"""


@dataclass(frozen=True, slots=True)
class _More:
    """What only few edges have: a group (else ``""``) and retries that the hardness does not include. ``down`` is how
    often the target fails, ``None`` if that is unknown.
    """

    pk: int
    source: int
    target: int
    group: str
    needed: int
    retries: int
    q: float
    h: float
    down: float | None


@dataclass(frozen=True, slots=True)
class _Fixed:
    """What does not depend on how often ``start`` fails; and the edges and groups that do, because they call it."""

    carried: array[float]
    """The share that each edge carries, in the order of the edges; members of groups carry nothing by themselves."""
    groups: list[Group]
    direct: list[tuple[int, _More]]
    """Edges to ``start`` outside groups, by their place in ``carried``."""
    direct_groups: list[list[_More]]


@dataclass(slots=True)
class Upstream:
    """The services that reach ``start``, by number of calls; ``start`` itself at 0.

    ``is_cut`` says that further services call the farthest of them, and were left out.
    """

    start: int
    depths: dict[int, int]
    edges: Edges
    is_cut: bool = False
    more: list[_More] = field(default_factory=list)
    _known: _Fixed | None = None

    @property
    def depends_on_level(self) -> bool:
        """Whether the effect on the others depends on how often ``start`` fails, and not only on the fact that it
        does.
        """
        return any(each.group or (each.retries and each.target == self.start) for each in self.more)

    def at(self, today: float, then: float) -> tuple[Edges, list[Group]]:
        """Return the share that each edge carries, and the groups, when ``start``'s unavailability goes from ``today``
        to ``then``.

        As in the composite: retries reduce what is carried, members of a group count together, and members of unknown
        availability do not count.
        """
        if not self.more:
            return self.edges, []
        fixed = self._fixed()
        carried = array("d", fixed.carried)
        for number, each in fixed.direct:
            carried[number] = each.q * each.h * self._passed(each, then)
        edges = Edges(self.edges.sources, self.edges.targets, carried, self.edges.more)
        return edges, [*fixed.groups, *self._groups(fixed.direct_groups, today, then)]

    def _fixed(self) -> _Fixed:
        """Compute once what does not depend on how often ``start`` fails: everything except what calls it."""
        if self._known is None:
            at = {pk: number for number, pk in enumerate(self.edges.more) if pk}
            by_group: dict[tuple[int, str], list[_More]] = defaultdict(list)
            for each in self.more:
                if each.group:
                    by_group[each.source, each.group].append(each)
            apart = [edges for edges in by_group.values() if not self._calls_start(edges)]
            carried = array("d", self.edges.carried)
            for each in self.more:
                if each.pk in at:
                    share = each.q * each.h * self._passed(each, 0.0)
                    carried[at[each.pk]] = 0.0 if each.group else share
            self._known = _Fixed(
                carried=carried,
                groups=self._groups(apart, 0.0, 0.0),
                direct=[
                    (at[each.pk], each)
                    for each in self.more
                    if each.target == self.start and not each.group and each.pk in at
                ],
                direct_groups=[edges for edges in by_group.values() if self._calls_start(edges)],
            )
        return self._known

    def _calls_start(self, edges: Iterable[_More]) -> bool:
        return any(each.target == self.start for each in edges)

    def _groups(self, grouped: Iterable[list[_More]], today: float, then: float) -> list[Group]:
        found = []
        for edges in grouped:
            counted = [each for each in edges if each.down is not None or each.target == self.start]
            if counted:
                weight = min(1.0, sum(each.q for each in counted)) * max(each.h for each in counted)
                needed = min(max(each.needed for each in counted), len(counted))
                members = []
                for each in counted:
                    down = today if each.target == self.start else each.down or 0.0
                    left = left_by_retries(down, each.retries) if each.retries else 1.0
                    members.append(Member(each.target, down * left, self._passed(each, then)))
                found.append(Group(edges[0].source, weight, needed, tuple(members)))
        return found

    def _passed(self, edge: _More, then: float) -> float:
        if not edge.retries:
            return 1.0
        return left_by_retries(then if edge.target == self.start else edge.down or 0.0, edge.retries)


def walk(start: int, depth: int | None, *, for_latency: bool) -> Upstream:
    """Walk up, ``depth`` calls far or to the end, so that each edge is read once however many paths use it."""
    found = Upstream(start, {start: 0}, Edges())
    frontier = [start]
    with connection.cursor() as cursor:
        for level in range(1, min(depth or MAX_DEPTH, MAX_DEPTH) + 1):
            cursor.execute(_LEVEL, {"targets": as_array(frontier), "latency": for_latency})
            sources = found.edges.add(cursor.fetchone()[0] or b"")
            frontier = list(set(sources).difference(found.depths))
            if not frontier:
                break
            found.depths.update(dict.fromkeys(frontier, level))
        if frontier and depth is not None:
            cursor.execute(_CALLERS, {"targets": as_array(frontier)})
            found.is_cut = bool(set(cursor.fetchone()[0] or ()).difference(found.depths))
        elif frontier:
            known = as_array(set(found.depths).difference(frontier))
            cursor.execute(
                _ALL_ABOVE, {"targets": as_array(frontier), "known": known, "latency": for_latency}
            )
            _add_all(found, cursor.fetchone()[0] or b"", frontier)
        special = [pk for pk in found.edges.more if pk]
        if special:
            cursor.execute(_MORE, {"edges": as_array(special)})
            found.more = [_more(*row) for row in cursor.fetchall()]
    return found


def _add_all(found: Upstream, block: bytes, frontier: list[int]) -> None:
    """Add edges of many levels at once, and count the calls to their sources."""
    before = len(found.edges.sources)
    found.edges.add(block)
    callers: dict[int, list[int]] = defaultdict(list)
    for source, target in zip(found.edges.sources[before:], found.edges.targets[before:], strict=True):
        callers[target].append(source)
    level = max(found.depths.values())
    while frontier:
        level += 1
        frontier = list(
            {caller for called in frontier for caller in callers.get(called, ())}.difference(found.depths)
        )
        found.depths.update(dict.fromkeys(frontier, level))


def _more(
    pk: int,
    source: int,
    target: int,
    group: str,
    needed: int,
    retry_config: str,
    q: float,
    h: float,
    availability: float | None,
) -> _More:
    down = None if availability is None else min(1.0, max(0.0, 1 - float(availability)))
    return _More(pk, source, target, group, needed, _retries(retry_config), float(q), float(h), down)


@lru_cache(maxsize=1024)
def _retries(retry_config: str) -> int:
    config = json.loads(retry_config)
    return retries_of(config if isinstance(config, dict) else {})


def as_array(numbers: Iterable[int]) -> str:
    """Write numbers as a PostgreSQL array: thousands of parameters would cost more than the query."""
    return "{" + ",".join(map(str, numbers)) + "}"
