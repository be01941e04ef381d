"""What redundancy and retries save, and what they cannot: failures that all members or tries have in common."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from apps.engine.types import Floats

COMMON_CAUSE_SHARE = 0.1
"""β of redundant members: the share of failures that they have in common (IEC 61508-6 annex D gives 1–10 %)."""
PERSISTENT_SHARE = 0.5
"""β of retries: the share of failures that persist at the next try."""


def k_of_n_unavailability(unavailability: float, n: int, k: int, common_cause: float = 0.0) -> float:
    """Return the unavailability of ``n`` identical members of which ``k`` must work, with a β-factor common cause.

    U = βU + P(fewer than k of n work at (1 − β)U each), binomial; for k = 1 this is βU + ((1 − β)U)^n (Fleming 1975).
    Raises ``ValueError`` unless ``1 <= k <= n``.
    """
    if not 1 <= k <= n:
        raise ValueError("k must lie between 1 and n")
    single = (1 - common_cause) * unavailability
    too_few = sum(math.comb(n, up) * (1 - single) ** up * single ** (n - up) for up in range(k))
    return min(1.0, common_cause * unavailability + too_few)


def stand_in_unavailability(
    unavailabilities: Sequence[float], common_cause: float = COMMON_CAUSE_SHARE, needed: int = 1
) -> float:
    """Return the unavailability of a group of which ``needed`` members suffice, members of any reliability.

    β times the best member's unavailability plus the chance that too few of the rest are up; equals
    :func:`k_of_n_unavailability` where all are alike. Rises with each member's unavailability.
    """
    if len(unavailabilities) == 1:
        return unavailabilities[0]
    ups = [np.asarray(1 - (1 - common_cause) * value) for value in unavailabilities]
    too_few = float(needed_unavailability(ups, needed))
    return min(1.0, common_cause * min(unavailabilities) + too_few)


def group_bounds(unavailabilities: Sequence[float], needed: int) -> tuple[float, float]:
    """Return the least and the most that a group can be down, for any correlation of its members' failures.

    At least m of n events happen with at most min over j < m of Σ (the n − j least likely) / (m − j), for any
    dependence (Rüger 1978); the lower bound is the same of their opposites.
    """
    count = len(unavailabilities)
    most = _at_least(unavailabilities, count - needed + 1)
    least = 1 - _at_least([1 - value for value in unavailabilities], needed)
    return max(0.0, least), most


def _at_least(chances: Sequence[float], count: int) -> float:
    ordered = sorted(chances)
    sums = (math.fsum(ordered[: len(ordered) - left]) / (count - left) for left in range(count))
    return min(1.0, *sums)


def retried_unavailability(
    unavailability: float, retries: int, persistent: float = PERSISTENT_SHARE
) -> float:
    """Return the unavailability after up to ``retries`` further tries: βU + (1 − β)U^(r + 1).

    Retries do not help against β.
    """
    return persistent * unavailability + (1 - persistent) * unavailability ** (retries + 1)


def needed_unavailability(availabilities: Sequence[Floats], needed: int) -> Floats:
    """Return the probability that fewer than ``needed`` members are up, members of any reliability, independent.

    The Poisson binomial by dynamic programming, over all entries of the arrays at once; equals
    :func:`k_of_n_unavailability` without common cause where all are alike.
    """
    up: list[Floats] = [np.ones_like(availabilities[0])]
    for available in availabilities:
        longer = [each * (1 - available) for each in up]
        for at, each in enumerate(up):
            moved = each * available
            if at + 1 < len(longer):
                longer[at + 1] = longer[at + 1] + moved
            elif at + 1 < needed:
                longer.append(moved)
        up = longer
    total: Floats = np.sum(up[:needed], axis=0)
    return total


def load_amplification(unavailability: float, retries: int, persistent: float = PERSISTENT_SHARE) -> float:
    """Return how many calls reach the target for one call: 1 + Σ over tries of the chance that all before failed.

    While the target is down it is 1 + ``retries``. Along a chain in which every caller retries, the factors multiply.
    """
    tries = (
        persistent * unavailability + (1 - persistent) * unavailability**at for at in range(1, retries + 1)
    )
    return 1.0 + math.fsum(tries)
