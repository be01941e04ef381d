"""Chooses for each day which of several accounts of the same requests to believe.

A request may be reported twice: by a counter of the service and by span metrics made from its traces. Each day is taken
from the first family in order, unless a later one counts clearly more in the hours that both have: traces are sampled,
counters are not. Hours that the chosen family lacks are taken from the next one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

DAY = 86_400
#: An account that counts less than this share of another one is incomplete.
FULL_SHARE = 0.8


@dataclass(slots=True)
class Account:
    """What one family counts for one service.

    Parameters:
        totals: requests by the start of each bin with data.
        left_out: starts of the bins that were thrown out as implausible.
        metric: the metric that is counted.
        label: the metric's label that names the service. By another label the same series add up to something else,
            such as all services of a job. Such an account may fill gaps, but does not count as more complete.
    """

    name: str
    totals: Mapping[int, float]
    left_out: frozenset[int] = frozenset()
    metric: str = ""
    label: str = ""

    def regroups(self, other: Account) -> bool:
        """Return whether this account counts the same metric as another one by a different label."""
        return bool(self.metric) and self.metric == other.metric and self.label != other.label


@dataclass(frozen=True, slots=True)
class Disagreement:
    """A day on which ``other`` counts less than :data:`FULL_SHARE` of ``taken`` in the bins that both have."""

    taken: str
    other: str
    taken_total: float
    other_total: float
    at: frozenset[int]


@dataclass(slots=True)
class Choice:
    """The name of the account that each bin is taken from, by the bin's start; and where the accounts differ."""

    taken: dict[int, str] = field(default_factory=dict)
    disagreements: list[Disagreement] = field(default_factory=list)


def choose(accounts: Sequence[Account]) -> Choice:
    """Choose among accounts, given in order of preference. A bin that the chosen one threw out stays a gap."""
    choice = Choice()
    days: dict[int, set[int]] = {}
    for account in accounts:
        for at in (*account.totals, *account.left_out):
            days.setdefault(at // DAY, set()).add(at)
    for bins in days.values():
        ranked = _ranked(accounts, bins, choice)
        for at in bins:
            for account in ranked:
                if at in account.totals or at in account.left_out:
                    choice.taken[at] = account.name
                    break
    return choice


def _ranked(accounts: Sequence[Account], bins: set[int], choice: Choice) -> list[Account]:
    """Put the day's most complete account first; the others keep their order."""
    ranked = [each for each in accounts if bins & (each.totals.keys() | each.left_out)]
    best = ranked[0]
    rivals = [
        each for place, each in enumerate(ranked) if not any(each.regroups(one) for one in ranked[:place])
    ]
    for other in rivals[1:]:
        common = bins.intersection(best.totals, other.totals)
        if sum(best.totals[at] for at in common) < FULL_SHARE * sum(other.totals[at] for at in common):
            best = other
    for other in rivals:
        common = bins.intersection(best.totals, other.totals)
        taken_total = sum(best.totals[at] for at in common)
        other_total = sum(other.totals[at] for at in common)
        if other is not best and other_total < FULL_SHARE * taken_total:
            choice.disagreements.append(
                Disagreement(best.name, other.name, taken_total, other_total, frozenset(common))
            )
    return [best, *(each for each in ranked if each is not best)]
