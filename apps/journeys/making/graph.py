"""The graph below some services, with what the newest recommendations say of each node and edge.

Only workers and commands import this module.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apps.engine.document import TierName
from apps.engine.edges.estimates import CALL_PROBABILITY_PRIOR, HARDNESS_PRIOR, published_availability
from apps.engine.graph.edge_table import EdgeTable
from apps.engine.graph.fleet import FleetGraph, GroupRule
from apps.engine.journeys.predicted import Predicted
from apps.journeys.making.graph_rows import CRITICALITIES, Node, edges_below, more_of, nodes, seen_by_callers


@dataclass(slots=True)
class GraphBelow:
    """``whole`` is each node's unavailability, including its dependencies. ``unknown`` holds the nodes without any
    data: they count as never failing, so callers must name them. ``as_of`` is the oldest of the recommendations used.
    """

    graph: FleetGraph
    whole: dict[str, float]
    predicted: dict[str, Predicted]
    unknown: tuple[str, ...]
    as_of: datetime | None


def load(roots: Collection[int]) -> GraphBelow:
    """Read everything that these services depend on, directly or not.

    It takes two queries, and a few more for groups, for retries and for services that only callers observed.
    """
    rows = edges_below(roots)
    pks = np.unique(np.concatenate([list(roots), rows["source"], rows["target"]]).astype(np.int64))
    services = nodes(pks.tolist())
    own: dict[str, float] = {}
    whole: dict[str, float] = {}
    predicted: dict[str, Predicted] = {}
    for node in services:
        if node.own is not None:
            own[node.name] = _ratio(node.own)
            whole[node.name] = 1 - _ratio(node.own if node.composite is None else node.composite)
        if node.balanced is not None:
            predicted[node.name] = _predicted(node, node.balanced)
    unknown = _fill_in([node for node in services if node.own is None], own, whole)
    table, rules = _edges(rows, services, set(unknown), whole)
    instants = [node.as_of for node in services if node.as_of is not None]
    return GraphBelow(FleetGraph(own, table, rules), whole, predicted, unknown, min(instants, default=None))


def _predicted(node: Node, balanced: float) -> Predicted:
    def down(value: float | None) -> float:
        return 1 - (balanced if value is None else value)

    tiers: dict[TierName, float] = {
        "conservative": down(node.conservative),
        "balanced": 1 - balanced,
        "aggressive": down(node.aggressive),
    }
    return Predicted(tiers)


def _fill_in(missing: Sequence[Node], own: dict[str, float], whole: dict[str, float]) -> tuple[str, ...]:
    """Fill in what callers saw, else the published SLA. Return services with neither: they count as never failing."""
    if not missing:
        return ()
    seen = seen_by_callers([node.pk for node in missing])
    unknown = []
    for node in missing:
        if node.name in seen:
            own[node.name] = _ratio(seen[node.name])
        elif node.published_sla is not None:
            own[node.name] = published_availability(float(node.published_sla))
        else:
            own[node.name] = 1.0
            unknown.append(node.name)
        whole[node.name] = 1 - own[node.name]
    return tuple(sorted(unknown))


def _edges(
    rows: NDArray[Any], services: Sequence[Node], unknown: Collection[str], whole: Mapping[str, float]
) -> tuple[EdgeTable, dict[tuple[str, str], GroupRule]]:
    """Return the edges, and how many members of each group must be up, where it is more than one.

    As in the composite of one service, an edge with an evidenced fallback carries no failures. A group counts only
    members that are called synchronously, have no such fallback and have data: the others replace nobody, and a group
    never needs more members than are counted. A caller that sees its target fail less often than the target fails
    overall meets only a share of the target's failures.
    """
    names = [node.name for node in services]
    pks = np.array([node.pk for node in services], dtype=np.int64)
    probability_prior = np.array([CALL_PROBABILITY_PRIOR[each] for each in CRITICALITIES])[
        rows["criticality"]
    ]
    hardness_prior = np.array([HARDNESS_PRIOR[each] for each in CRITICALITIES])[rows["criticality"]]
    probability = np.where(np.isnan(rows["call_probability"]), probability_prior, rows["call_probability"])
    hardness = np.where(np.isnan(rows["hardness"]), hardness_prior, rows["hardness"])
    hardness[rows["is_async"] | rows["has_fallback"]] = 0.0
    sources, targets = (np.searchsorted(pks, rows[end]) for end in ("source", "target"))
    more = more_of(rows["more"][rows["more"] > 0].tolist())
    retries = np.zeros(len(rows), dtype=np.int64)
    groups: dict[int, str] = {}
    needed: dict[tuple[str, str], list[int]] = {}
    for at in np.flatnonzero(rows["more"]).tolist():
        found = more[int(rows["more"][at])]
        retries[at] = found.retries
        if not found.group or rows["is_async"][at] or rows["has_fallback"][at]:
            continue
        if names[targets[at]] in unknown:
            hardness[at] = 0.0
            continue
        groups[at] = found.group
        needed.setdefault((names[sources[at]], found.group), []).append(found.needed)
    down = np.array([whole.get(name, 0.0) for name in names])[targets]
    met = np.divide(1 - rows["availability"], down, out=np.ones(len(rows)), where=down > 0)
    met[np.isnan(met)] = 1.0
    met[list(groups)] = 1.0
    table = EdgeTable(
        names,
        sources,
        targets,
        call_probability=np.clip(probability, 0.0, 1.0) * np.clip(met, 0.0, 1.0),
        hardness=np.clip(hardness, 0.0, 1.0),
        is_async=rows["is_async"].astype(np.bool_),
        retries=retries,
        groups=groups,
    )
    rules = {key: GroupRule(min(max(each), len(each))) for key, each in needed.items()}
    return table, {key: rule for key, rule in rules.items() if rule.needed > 1}


def _ratio(value: float) -> float:
    return min(1.0, max(0.0, float(value)))
