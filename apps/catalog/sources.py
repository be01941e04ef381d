"""Ranks the sources of knowledge about the graph: which declare, which observe, and which are preferred.

A *declaring* source says what should exist; its statement is valid until it is retracted. An *observing* source says
what it saw; its statement expires. If several sources know an edge, each attribute comes from the first of them, by
rank, that has it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from apps.catalog.models import DiscoverySource

STALE_AFTER = timedelta(days=7)
"""An edge is stale if only observing sources know it and none has seen it for this long."""


@dataclass(frozen=True, slots=True)
class Standing:
    """The standing of a source.

    Parameters:
        rank: a source of lower rank is preferred.
        trust: the chance, 0..1, that an edge is real if only this source names it.
        declares: whether it is a declaring source.
        ignores_case: whether ids that differ only in case are the same, as with Backstage's entity references.
    """

    rank: int
    trust: float
    declares: bool
    ignores_case: bool = False


# Observed traffic is stronger evidence that an edge exists than a file. But a person knows better than any observer
# what the edge *means* (hard or soft, its timeout). So trust and rank are two scales.
STANDING: dict[str, Standing] = {
    DiscoverySource.MANUAL: Standing(rank=0, trust=0.80, declares=True),
    DiscoverySource.FILE: Standing(rank=1, trust=0.80, declares=True),
    DiscoverySource.BACKSTAGE: Standing(rank=2, trust=0.60, declares=True, ignores_case=True),
    DiscoverySource.KUBERNETES: Standing(rank=2, trust=0.60, declares=False),
    DiscoverySource.MESH: Standing(rank=3, trust=0.90, declares=False),
    DiscoverySource.OTEL: Standing(rank=4, trust=0.90, declares=False),
}


def declares(discovery_source: str) -> bool:
    """Return whether a source declares rather than observes. Raises :class:`ValueError` for an unknown one."""
    return STANDING[DiscoverySource(discovery_source)].declares
