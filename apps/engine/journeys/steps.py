"""Planned changes to a service's dependencies, and what each would do to the service's failures.

A step changes the graph below the service. :mod:`apps.engine.graph.reach` computes before and after how much of it
reaches the service, in the same sampled worlds, so that the difference is due to the step and not to sampling. The
change that comes through each dependency then scales that dependency's failures in the service's own past
(:func:`apps.engine.explanation.changed_causes.with_changed_causes`), and the tiers are those of a whole new run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from apps.engine.graph.edge_table import EdgeTable
from apps.engine.graph.fleet import FleetEdge, FleetGraph
from apps.engine.graph.reach import Reach, batch_mean
from apps.engine.graph.redundancy import COMMON_CAUSE_SHARE, k_of_n_unavailability, load_amplification

type StepKind = Literal["fallback", "queue", "replica", "retry", "timeout", "target"]

FACTOR = "\0factor\0"
_LEAF = "\0leaf\0"
QUEUE_MODE: Literal["async"] = "async"


@dataclass(frozen=True, slots=True)
class ChangeStep:
    """One step. ``target_id`` is what it changes: a direct dependency or, for a replica or a target, any service below
    (for a replica also the service itself).

    ``value`` by kind: fallback — the share of the dependency's failures that it answers, 0..1; queue — the queue's own
    availability; replica — how many more; retry — how many more tries; timeout — milliseconds; target — the
    availability that it would keep.
    """

    kind: StepKind
    target_id: str
    value: float


@dataclass(frozen=True, slots=True)
class Below:
    """The graph below a service. ``whole`` is each node's unavailability with all it depends on.

    ``slow`` is the share of a dependency's answers that take longer than a timeout, by ``(target_id, ms)``.
    """

    service_id: str
    graph: FleetGraph
    whole: Mapping[str, float]
    slow: Mapping[tuple[str, float], float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Load:
    """Calls that reach the target for one call: usually, and while it is down."""

    target_id: str
    usual: float
    in_outage: float


@dataclass(frozen=True, slots=True)
class Level:
    """How a service stands after some steps.

    ``unavailability`` is the composite's, ``error`` its sampling error. ``ratio`` is relative to the unavailability
    without any step (1 where that is 0). ``scales`` has the dependencies that move, by id (redundancy groups: ids
    joined by `` or ``). ``added`` is the share of requests that fail in addition, where there was nothing to scale.
    """

    unavailability: float
    error: float
    ratio: float
    scales: Mapping[str, float]
    own_scale: float
    added: float
    loads: tuple[Load, ...]

    def fails_no_more_than(self, other: Level) -> bool:
        """Whether no cause of failures is larger than at the other level, whatever their sum."""
        causes = self.scales.keys() | other.scales.keys()
        return (
            self.own_scale <= other.own_scale
            and self.added <= other.added
            and all(self.scales.get(each, 1.0) <= other.scales.get(each, 1.0) for each in causes)
        )


class ImpossibleStep(ValueError):
    """A step that does not fit the graph; its message tells the person who proposed it why."""


def levels(below: Below, steps: Sequence[ChangeStep], *, seed: int = 0) -> list[Level]:
    """Return the level before any step and after each, cumulatively: one more than there are steps.

    Raises :class:`ImpossibleStep` for a step that does not fit.
    """
    edited = _Edited(below)
    now = Reach(edited.graph(), edited.whole, seed=seed)
    first = _measured(edited, now)
    found = [first]
    for step in steps:
        edited.apply(step)
        found.append(_measured(edited, Reach(edited.graph(), edited.whole, like=now)))
    return [_level(each, first) for each in found]


@dataclass(frozen=True, slots=True)
class _Measured:
    unavailability: float
    error: float
    own: float
    losses: Mapping[str, float]
    loads: tuple[Load, ...]


class _Edited:
    """The graph with one extra node between the service and each of its dependencies, which carries that dependency's
    effect.
    """

    def __init__(self, below: Below) -> None:
        self.below = below
        self.own = dict(below.graph.own)
        self.whole = dict(below.whole)
        self.rules = dict(below.graph.rules)
        self.factors: dict[str, str] = {}
        table = EdgeTable.of(below.graph.edges)
        direct = {at: table[at] for at in table.from_source(below.service_id)}
        names: dict[str, list[str]] = {}
        for edge in direct.values():
            if edge.group:
                names.setdefault(edge.group, []).append(edge.target)
        moved: dict[int, FleetEdge] = {}
        for at, edge in direct.items():
            name = " or ".join(sorted(names[edge.group])) if edge.group else edge.target
            node = FACTOR + name
            if node not in self.own:
                self.own[node] = 1.0
                self.factors[name] = node
                rule = self.rules.get((below.service_id, edge.group))
                if edge.group and rule is not None:
                    self.rules[node, edge.group] = rule
            moved[at] = replace(edge, source=node)
        added = [FleetEdge(below.service_id, node) for node in self.factors.values()]
        self.edges = table.with_changes(moved, added)

    def graph(self) -> FleetGraph:
        """Return the graph as it is now."""
        return FleetGraph(dict(self.own), self.edges, dict(self.rules))

    def direct(self) -> Iterator[tuple[int, FleetEdge]]:
        """The service's own edges by their place, in their order."""
        places = sorted(at for node in self.factors.values() for at in self.edges.from_source(node))
        return ((at, self.edges[at]) for at in places)

    def apply(self, step: ChangeStep) -> None:
        """Change the graph by one step."""
        if step.kind == "replica":
            self._replicate(step)
        elif step.kind == "target":
            self._keep(step)
        else:
            self._change_edge(step)

    def _change_edge(self, step: ChangeStep) -> None:
        at, edge = self._direct(step)
        slow = f"slow answers of {step.target_id}"
        cut = self.edges.to_target(_LEAF + slow)
        if step.kind == "fallback":
            self._change({at: replace(edge, hardness=edge.hardness * (1 - step.value))})
        elif step.kind == "retry":
            self._change({at: replace(edge, retries=edge.retries + int(step.value))})
        elif step.kind == "queue":
            # Nobody waits for slow answers any more.
            self._change({each: replace(self.edges[each], mode=QUEUE_MODE) for each in (at, *cut)})
            self._leaf(edge, f"the queue before {step.target_id}", 1 - step.value, hardness=1.0)
        else:
            share = self.below.slow.get((step.target_id, step.value))
            if share is None:
                raise ImpossibleStep(
                    f"{step.target_id} has no latency histogram: how many of its answers a timeout of "
                    f"{step.value:g} ms would cut is not known."
                )
            if cut:
                self.own[_LEAF + slow] = 1 - share
                self._change({each: replace(self.edges[each], hardness=edge.hardness) for each in cut})
            else:
                self._leaf(edge, slow, share, hardness=edge.hardness)

    def _change(self, changed: Mapping[int, FleetEdge], *added: FleetEdge) -> None:
        self.edges = self.edges.with_changes(changed, added)

    def _leaf(self, edge: FleetEdge, name: str, unavailability: float, *, hardness: float) -> None:
        node = _LEAF + name
        self.own[node] = 1 - unavailability
        self._change({}, FleetEdge(edge.source, node, edge.call_probability, hardness))

    def _direct(self, step: ChangeStep) -> tuple[int, FleetEdge]:
        for at, edge in self.direct():
            if edge.target == step.target_id:
                if edge.mode == "async":
                    raise ImpossibleStep(
                        f"{self.below.service_id} does not wait for {step.target_id}: nothing to change there."
                    )
                return at, edge
        raise ImpossibleStep(f"{self.below.service_id} does not call {step.target_id} itself.")

    def _replicate(self, step: ChangeStep) -> None:
        """Add instances of which one is enough; β of their failures are common to all."""
        own = 1 - self._node(step.target_id)
        after = k_of_n_unavailability(own, int(step.value) + 1, 1, COMMON_CAUSE_SHARE)
        self.own[step.target_id] = 1 - after
        self.whole[step.target_id] = max(after, self.whole.get(step.target_id, own) - (own - after))

    def _keep(self, step: ChangeStep) -> None:
        """Fix its availability from now on, whatever it depends on."""
        self._node(step.target_id)
        if step.target_id == self.below.service_id:
            raise ImpossibleStep(
                "The service's own target is what this is about; choose one that it depends on."
            )
        self.own[step.target_id], self.whole[step.target_id] = step.value, 1 - step.value
        places = self.edges.from_source(step.target_id)
        self._change({at: replace(self.edges[at], mode=QUEUE_MODE) for at in places})

    def _node(self, name: str) -> float:
        if name not in self.below.graph.own:
            raise ImpossibleStep(f"{self.below.service_id} does not depend on {name}.")
        return self.own[name]


def _measured(edited: _Edited, reach: Reach) -> _Measured:
    """Return what reaches the service, and what comes through each dependency.

    The service's own edges are known and need no sampling. So in each world the sampled edge is replaced by its mean;
    otherwise an edge that few requests use would appear in a few worlds by chance.
    """
    service_id = edited.below.service_id
    own = 1 - edited.own[service_id]
    worlds = reach.down(service_id)
    losses: dict[str, float] = {}
    for name, node in edited.factors.items():
        edges = [edited.edges[at] for at in edited.edges.from_source(node)]
        sampled = reach.down(node)
        if any(edge.group for edge in edges):
            losses[name] = batch_mean(sampled)[0]
            continue
        spared = np.ones_like(sampled)
        for edge in edges:
            weight = reach.weight(edge)
            if weight > 0:
                spared = spared * (1 - weight * reach.down(edge.target))
        worlds = worlds + (1 - own) * ((1 - spared) - sampled)
        losses[name] = batch_mean(1 - spared)[0]
    unavailability, error = batch_mean(worlds)
    loads = tuple(
        Load(
            edge.target,
            load_amplification(edited.whole.get(edge.target, 0.0), edge.retries, edge.shared_share),
            1.0 + edge.retries,
        )
        for _, edge in edited.direct()
        if edge.retries and edge.mode == "sync"
    )
    return _Measured(max(0.0, unavailability), error, own, losses, loads)


def _level(found: _Measured, first: _Measured) -> Level:
    scales: dict[str, float] = {}
    added = 0.0
    for name, loss in found.losses.items():
        before = first.losses[name]
        if loss == before:
            continue
        if before > 0:
            scales[name] = loss / before
        else:
            added += loss
    own_scale = found.own / first.own if first.own > 0 else 1.0
    ratio = found.unavailability / first.unavailability if first.unavailability > 0 else 1.0
    return Level(found.unavailability, found.error, ratio, scales, own_scale, added, found.loads)
