"""Compares two families: do they count the same requests?"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median

from apps.telemetry.clients.prometheus.families import Selector

#: The share of the smaller family's services that the other must know for the two to be compared.
_SHARED = 0.5
#: Rates within this factor of each other count as the same requests.
_SAME = 1.25


@dataclass(frozen=True, slots=True)
class Overlap:
    """Two families that know the same services.

    Parameters:
        services: number of services that both know.
        ratio: the median, over these services, of the first rate divided by the second.
    """

    services: int
    ratio: float

    @property
    def is_same(self) -> bool:
        """Whether the two seem to count the same requests, judged by their rates."""
        return 1 / _SAME <= self.ratio <= _SAME

    def words(self, other: str) -> str:
        """Return a sentence that compares with the other family by name."""
        known = f"{self.services:,} service{'' if self.services == 1 else 's'}"
        if self.is_same:
            apart = max(1, round(100 * abs(self.ratio - 1)))
            return (
                f"Counts the same as {other}: {known}, with a median difference of {apart} % in their rates."
            )
        if self.ratio < 1:
            return f"Counts {self.ratio:.0%} of what {other} counts of {known}: a sample, or a part of the requests."
        return f"Counts {self.ratio:.1f} times what {other} counts of {known}: {other} is a sample, or a part of them."


def overlap(rates: Mapping[str, float], others: Mapping[str, float]) -> Overlap | None:
    """Compare two families by their services' requests a second; ``None`` where too few services are shared."""
    shared = [service for service in rates if rates[service] > 0 and others.get(service, 0) > 0]
    if not shared or len(shared) < _SHARED * min(len(rates), len(others)):
        return None
    return Overlap(len(shared), median(rates[service] / others[service] for service in shared))


def matches(selector: Selector, labels: Mapping[str, str]) -> bool:
    """Return whether labels satisfy a selector's matchers, as Prometheus would decide."""
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
