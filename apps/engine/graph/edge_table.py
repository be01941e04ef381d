"""The edges of a graph as columns: of tens of thousands, only those that are accessed become objects."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import overload

import numpy as np
from numpy.typing import NDArray

from apps.engine.graph.fleet import FleetEdge
from apps.engine.graph.redundancy import PERSISTENT_SHARE
from apps.engine.types import Floats

type Numbers = NDArray[np.int64]


class EdgeTable(Sequence[FleetEdge]):
    """Edges in their order: an immutable sequence.

    All arrays have shape ``(edges,)``. ``sources`` and ``targets`` are indices into ``names``. ``groups`` holds the
    group of each edge that has one, by the edge's place.
    """

    def __init__(
        self,
        names: Sequence[str],
        sources: Numbers,
        targets: Numbers,
        *,
        call_probability: Floats,
        hardness: Floats,
        is_async: NDArray[np.bool_],
        retries: Numbers,
        groups: Mapping[int, str] | None = None,
        shared_share: Floats | None = None,
    ) -> None:
        self.names, self.sources, self.targets = names, sources, targets
        self.call_probability, self.hardness = call_probability, hardness
        self.is_async, self.retries, self.groups = is_async, retries, dict(groups or {})
        self.shared_share = np.full(len(sources), PERSISTENT_SHARE) if shared_share is None else shared_share
        self._made: dict[int, FleetEdge] = {}
        self._number: dict[str, int] | None = None
        self._by_source: tuple[Numbers, Numbers] | None = None

    @classmethod
    def of(cls, edges: Sequence[FleetEdge]) -> EdgeTable:
        """Return the same edges as a table; a table is returned unchanged."""
        if isinstance(edges, EdgeTable):
            return edges
        none = np.empty(0, dtype=np.int64)
        empty = cls(
            [],
            none,
            none,
            call_probability=np.empty(0),
            hardness=np.empty(0),
            is_async=np.empty(0, dtype=np.bool_),
            retries=none,
        )
        return empty.with_changes({}, edges)

    def with_changes(self, changed: Mapping[int, FleetEdge], added: Iterable[FleetEdge] = ()) -> EdgeTable:
        """Return a table with other edges at some places, and more edges at the end."""
        edges = dict(changed) | dict(enumerate(added, len(self)))
        size = max(len(self), 1 + max(edges, default=-1))
        names, number = list(self.names), dict(self.numbers)
        for edge in edges.values():
            for name in (edge.source, edge.target):
                if name not in number:
                    number[name] = len(names)
                    names.append(name)
        made = EdgeTable(
            names,
            _longer(self.sources, size),
            _longer(self.targets, size),
            call_probability=_longer(self.call_probability, size),
            hardness=_longer(self.hardness, size),
            is_async=_longer(self.is_async, size),
            retries=_longer(self.retries, size),
            groups=self.groups,
            shared_share=_longer(self.shared_share, size),
        )
        made._number = number
        for at, edge in edges.items():
            made.sources[at], made.targets[at] = number[edge.source], number[edge.target]
            made.call_probability[at], made.hardness[at] = edge.call_probability, edge.hardness
            made.is_async[at], made.retries[at] = edge.mode == "async", edge.retries
            made.shared_share[at] = edge.shared_share
            made.groups.pop(at, None)
            if edge.group:
                made.groups[at] = edge.group
        made._made = {at: edge for at, edge in self._made.items() if at not in edges} | edges
        return made

    @property
    def numbers(self) -> Mapping[str, int]:
        """The index of each name in ``names``."""
        if self._number is None:
            self._number = {name: at for at, name in enumerate(self.names)}
        return self._number

    def from_source(self, name: str) -> list[int]:
        """Return the places of a caller's edges, in order."""
        number = self.numbers.get(name)
        if number is None:
            return []
        order, starts = self.by_source
        found: list[int] = order[starts[number] : starts[number + 1]].tolist()
        return found

    def to_target(self, name: str) -> list[int]:
        """Return the places of the edges to a target, in order."""
        number = self.numbers.get(name)
        return [] if number is None else [int(at) for at in np.flatnonzero(self.targets == number)]

    @property
    def by_source(self) -> tuple[Numbers, Numbers]:
        """Places sorted by caller, and where those of each name begin: shapes ``(edges,)``, ``(names + 1,)``."""
        if self._by_source is None:
            order = np.argsort(self.sources, kind="stable")
            starts = np.searchsorted(self.sources[order], np.arange(len(self.names) + 1))
            self._by_source = order, starts
        return self._by_source

    @overload
    def __getitem__(self, at: int) -> FleetEdge: ...

    @overload
    def __getitem__(self, at: slice) -> Sequence[FleetEdge]: ...

    def __getitem__(self, at: int | slice) -> FleetEdge | Sequence[FleetEdge]:
        if isinstance(at, slice):
            return [self[each] for each in range(len(self))[at]]
        place = range(len(self))[at]
        found = self._made.get(place)
        if found is None:
            found = self._made[place] = FleetEdge(
                self.names[self.sources[place]],
                self.names[self.targets[place]],
                float(self.call_probability[place]),
                float(self.hardness[place]),
                "async" if self.is_async[place] else "sync",
                self.groups.get(place, ""),
                int(self.retries[place]),
                float(self.shared_share[place]),
            )
        return found

    def __iter__(self) -> Iterator[FleetEdge]:
        return (self[at] for at in range(len(self)))

    def __len__(self) -> int:
        return len(self.sources)


def _longer[Kind: np.generic](column: NDArray[Kind], size: int) -> NDArray[Kind]:
    result = np.zeros(size, dtype=column.dtype)
    result[: column.size] = column
    return result
