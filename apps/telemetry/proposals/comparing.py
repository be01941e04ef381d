"""Holds two families against each other: do they count the same requests?"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median

from apps.telemetry.clients.prometheus.families import Selector

#: How many of the services of the smaller family the other has to know before the two are compared.
_SHARED = 0.5
#: Rates within this factor of each other are taken to be of the same requests.
_SAME = 1.25


@dataclass(frozen=True, slots=True)
class Overlap:
    """Two families that know the same services.

    Parameters:
        services: how many both know.
        ratio: the median of one's rates over the other's.
    """

    services: int
    ratio: float

    @property
    def is_same(self) -> bool:
        """Whether the two count the same requests, as far as their rates tell."""
        return 1 / _SAME <= self.ratio <= _SAME

    def words(self, other: str) -> str:
        """A sentence, with the name of the other family."""
        known = f"{self.services:,} service{'' if self.services == 1 else 's'}"
        if self.is_same:
            apart = max(1, round(100 * abs(self.ratio - 1)))
            return f"Counts the same as {other}: {known}, rates within {apart} % of each other."
        if self.ratio < 1:
            return f"Counts {self.ratio:.0%} of what {other} counts of {known}: a sample, or a part of the requests."
        return f"Counts {self.ratio:.1f} times what {other} counts of {known}: {other} is a sample, or a part of them."


def overlap(rates: Mapping[str, float], others: Mapping[str, float]) -> Overlap | None:
    """How far two families count the same, by the requests a second of their services; ``None`` where they do not."""
    shared = [service for service in rates if rates[service] > 0 and others.get(service, 0) > 0]
    if not shared or len(shared) < _SHARED * min(len(rates), len(others)):
        return None
    return Overlap(len(shared), median(rates[service] / others[service] for service in shared))


def matches(selector: Selector, labels: Mapping[str, str]) -> bool:
    """Whether labels satisfy a selector's matchers, as Prometheus would say."""
    return all(
        _holds(operator, wanted, labels.get(label, "")) for label, operator, wanted in selector.parsed()
    )


def _holds(operator: str, wanted: str, value: str) -> bool:
    if operator in {"=", "!="}:
        return (value == wanted) == (operator == "=")
    try:
        return (re.fullmatch(wanted, value) is not None) == (operator == "=~")
    except re.error:  # RE2 knows some that Python does not
        return False
