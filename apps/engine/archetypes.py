"""The priors: what is expected of a kind of service before it has a history of its own."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

_NORMAL_QUANTILES: Mapping[float, float] = {
    0.05: -1.6448536,
    0.8: 0.8416212,
    0.95: 1.6448536,
    0.99: 2.3263479,
}


@dataclass(frozen=True, slots=True)
class Archetype:
    """A log-normal prior of one window's unavailability, and of how much latencies vary between windows.

    ``typical_availability`` is that of the median window. ``spread`` and ``latency_spread`` are standard deviations of
    the natural logarithm (of unavailability, of a percentile).
    """

    name: str
    title: str
    typical_availability: float
    spread: float
    latency_spread: float

    def __post_init__(self) -> None:
        if not 0 < self.typical_availability < 1 or self.spread <= 0 or self.latency_spread <= 0:
            raise ValueError(f"archetype {self.name}: availability must lie inside 0..1, spreads above 0")

    def unavailability(self, quantile: float) -> float:
        """Return the unavailability that a window of this archetype stays under with chance ``quantile``."""
        return min(
            0.999, (1 - self.typical_availability) * math.exp(self.spread * _NORMAL_QUANTILES[quantile])
        )

    def latency_factor(self, quantile: float) -> float:
        """Return the multiple of its median that a window's percentile stays under with chance ``quantile``."""
        return math.exp(self.latency_spread * _NORMAL_QUANTILES[quantile])


_BUILT_IN = (
    Archetype("default", "Service of unknown kind", 0.9995, 1.2, 0.35),
    Archetype("http_api", "Request/response API", 0.9996, 1.2, 0.30),
    Archetype("frontend", "Web frontend", 0.9994, 1.2, 0.35),
    Archetype("gateway", "Gateway or load balancer", 0.9998, 1.2, 0.25),
    Archetype("database", "Database", 0.9998, 1.4, 0.30),
    Archetype("cache", "Cache", 0.9999, 1.4, 0.25),
    Archetype("worker", "Worker or batch service", 0.9980, 1.4, 0.60),
    Archetype("queue", "Queue or stream", 0.9998, 1.4, 0.40),
    Archetype("external", "External provider", 0.9990, 1.4, 0.50),
)


@dataclass(frozen=True, slots=True)
class Archetypes:
    """Archetypes by name; an unknown name means ``default``."""

    by_name: Mapping[str, Archetype]

    def get(self, name: str) -> Archetype:
        """Return the archetype, or ``default`` where the name is not known."""
        return self.by_name.get(name) or self.by_name["default"]

    @classmethod
    def built_in(cls) -> Archetypes:
        """Return the priors that ship with the engine; ``fixtures/archetypes.toml`` holds the same numbers."""
        return cls({archetype.name: archetype for archetype in _BUILT_IN})

    @classmethod
    def from_mapping(cls, document: Mapping[str, object]) -> Archetypes:
        """Read a parsed TOML document: one ``[archetypes.NAME]`` table for each archetype.

        Raises ``ValueError`` where a field is missing or out of range, or where there is no ``default``.
        """
        tables = document.get("archetypes")
        if not isinstance(tables, Mapping) or "default" not in tables:
            raise ValueError("archetypes: a table [archetypes.default] is needed")
        found: dict[str, Archetype] = {}
        for name, table in tables.items():
            if not isinstance(table, Mapping):
                raise ValueError(f"archetype {name}: must be a table")
            try:
                found[str(name)] = Archetype(
                    name=str(name),
                    title=str(table["title"]),
                    typical_availability=float(table["typical_availability"]),
                    spread=float(table["spread"]),
                    latency_spread=float(table["latency_spread"]),
                )
            except KeyError as missing:
                raise ValueError(f"archetype {name}: {missing} is missing") from missing
        return cls(found)
