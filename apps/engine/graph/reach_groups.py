"""Redundancy groups in sampled worlds: members that fail singly, together by chance, and by their common cause."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from apps.engine.graph.fleet import FleetEdge, GroupRule
from apps.engine.graph.redundancy import needed_unavailability
from apps.engine.types import Floats

type Worlds = int
"""A set of sampled worlds as the bits of one integer."""


@dataclass(frozen=True, slots=True)
class Coincidence:
    """Members of a group that fail at the same time by chance: a leaf with an unavailability from theirs.

    ``left`` is what retries leave of each member's failures.
    """

    members: tuple[FleetEdge, ...]
    left: tuple[float, ...]
    rule: GroupRule

    def unavailability(self, whole: Mapping[str, Floats]) -> Floats:
        """Return the probability that fewer than ``needed`` of the members are up, if they are independent."""
        ups = [
            1 - left * (1 - self.rule.common_cause) * whole[edge.target]
            for edge, left in zip(self.members, self.left, strict=True)
        ]
        return needed_unavailability(np.broadcast_arrays(*ups), self.rule.needed)


@dataclass(frozen=True, slots=True)
class CommonCause:
    """What the members of a group have in common: ``share`` (β) of the best member's own failures."""

    members: tuple[str, ...]
    share: float

    def unavailability(self, own: Mapping[str, Floats]) -> Floats:
        """Return its unavailability, a part of each member's own."""
        result: Floats = self.share * np.minimum.reduce([own[name] for name in self.members])
        return result


@dataclass(frozen=True, slots=True)
class Group:
    """A redundancy group of one caller: the worlds in which a request uses it, and those that retries do not save."""

    leaf: str
    used: Worlds
    edges: tuple[FleetEdge, ...]
    carried: tuple[Worlds, ...]
    rule: GroupRule

    @property
    def too_many(self) -> int:
        """How many members must fail for the caller to fail."""
        return len(self.edges) - self.rule.needed + 1
