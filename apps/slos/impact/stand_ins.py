"""What redundancy and retries leave of a failure on its way up: the composite's rules, for processes without numpy.

The functions take numbers or any arrays that add and multiply; apps/slos/impact/influence.py uses both.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

# The engine's constants (apps/engine/graph/redundancy.py); a test compares them.
COMMON_CAUSE_SHARE = 0.1
PERSISTENT_SHARE = 0.5
LEAST_CHANGE = 1e-9


@dataclass(frozen=True, slots=True)
class Member:
    """A member of a group: ``down`` is how often it fails by all that is known, ``passed`` the share of its failures
    that retries leave.
    """

    target: int
    down: float
    passed: float


@dataclass(frozen=True, slots=True)
class Group:
    """Services of which ``needed`` must be up for ``source``; ``weight`` is the chance that a request fails
    otherwise.
    """

    source: int
    weight: float
    needed: int
    members: tuple[Member, ...]


def left_by_retries(down: float, retries: int) -> float:
    """Return the share of a target's failures that up to ``retries`` further tries leave: β + (1 − β)·U^r, 1 without
    any.
    """
    return PERSISTENT_SHARE + (1 - PERSISTENT_SHARE) * float(down**retries)


def too_few(ups: Sequence[Any], needed: int) -> Any:
    """Return the chance that fewer than ``needed`` are up, each independently (Poisson binomial, by dynamic
    programming).
    """
    chances: list[Any] = [1.0]
    for up in ups:
        longer = [each * (1 - up) for each in chances] + [0.0]
        for at, each in enumerate(chances):
            longer[at + 1] = longer[at + 1] + each * up
        chances = longer[:needed]
    return sum(chances[1:], chances[0])


def group_hit(
    hits: Sequence[Any],
    downs: Sequence[Any],
    needed: int,
    change: float,
    least: Callable[[Sequence[Any]], Any] = min,
) -> Any:
    """Return how much a failure below a group raises the chance that the group is down, at most about 1.

    ``hits`` are the chances that the failure takes each member down, ``downs`` how often each member is down in
    general. Members that the failure takes down are down together, so the others must suffice. The common cause adds to
    that: β times the best member's unavailability (:func:`apps.engine.graph.redundancy.stand_in_unavailability`). It
    changes as the best member does when the failing service's unavailability changes by ``change``.
    """
    if len(hits) == 1:
        return hits[0]
    alone = [1 - (1 - COMMON_CAUSE_SHARE) * down for down in downs]
    struck = [(1 - hit) * up for hit, up in zip(hits, alone, strict=True)]
    step = change if abs(change) > LEAST_CHANGE else LEAST_CHANGE
    common = (
        least([down + hit * step for hit, down in zip(hits, downs, strict=True)]) - least(list(downs))
    ) / step
    return too_few(struck, needed) - too_few(alone, needed) + COMMON_CAUSE_SHARE * common
