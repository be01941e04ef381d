"""A graph of services as the composite sees it: own availability, calls, redundancy groups."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from apps.engine.document import CommunicationMode
from apps.engine.graph.redundancy import COMMON_CAUSE_SHARE, PERSISTENT_SHARE


@dataclass(frozen=True, slots=True)
class FleetEdge:
    """``source`` calls ``target``. Edges of one source with the same non-empty ``group`` stand in for each other.

    ``shared_share`` is β of its retries: the share of failures that a retry meets again. Where this caller sees other
    figures than the target has as a whole, ``met`` is the share of the target's failures that its calls meet, and
    ``connection`` the availability of what lies between the two.
    """

    source: str
    target: str
    call_probability: float = 1.0
    hardness: float = 1.0
    mode: CommunicationMode = "sync"
    group: str = ""
    retries: int = 0
    shared_share: float = PERSISTENT_SHARE
    met: float = 1.0
    connection: float = 1.0

    @property
    def weight(self) -> float:
        """Probability that a failure of the target fails a request, without retries."""
        return self.call_probability * self.hardness


@dataclass(frozen=True, slots=True)
class GroupRule:
    """How many members of a group must be up, and the share of failures that its members have in common."""

    needed: int = 1
    common_cause: float = COMMON_CAUSE_SHARE


def group_weight(edges: Sequence[FleetEdge]) -> float:
    """Return the probability that a request fails where too few of a group's members are up."""
    probability = min(1.0, math.fsum(edge.call_probability for edge in edges))
    return probability * max(edge.hardness for edge in edges)


@dataclass(frozen=True, slots=True)
class FleetGraph:
    """Nodes with their own availability, edges, and rules for groups by ``(source, group)``.

    ``measured`` holds the measured availability of nodes as a whole. The own availability of such a node is found from
    it; ``own`` then only limits what a group of such nodes may have in common.
    """

    own: Mapping[str, float]
    edges: Sequence[FleetEdge] = ()
    rules: Mapping[tuple[str, str], GroupRule] = field(default_factory=dict)
    measured: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NodeResult:
    """``standard_error`` is 0 where ``is_exact``; ``conditioned`` counts the nodes whose states were held fixed.

    ``limit`` is the availability that the dependencies alone would allow a node that never fails by itself.
    """

    availability: float
    standard_error: float
    is_exact: bool
    conditioned: int
    limit: float = 1.0
    limit_error: float = 0.0
