"""What each source of knowledge about the graph is worth: who declares, who observes, and whose word counts.

A *declaring* source says what should be there: it holds until somebody says otherwise. An *observing* source says what
it saw: that grows old. Where several know an edge, each attribute is taken from the first of them, by rank, that says
anything about it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from apps.catalog.models import DiscoverySource

STALE_AFTER = timedelta(days=7)
"""An edge that only observing sources know, and none of them has seen for this long, is stale."""


@dataclass(frozen=True, slots=True)
class Standing:
    """``rank``: lower is heard first. ``trust``: the chance, 0..1, that an edge is real if only this source says so.
    ``ignores_case``: the source's ids are the same whatever their capitals, as Backstage's entity references are.
    """

    rank: int
    trust: float
    declares: bool
    ignores_case: bool = False


# Traffic that was seen is stronger evidence that an edge exists than a file that says so; what the edge *means* (hard
# or soft, its timeout), a person knows better than any observer. Hence trust and rank are two scales.
STANDING: dict[str, Standing] = {
    DiscoverySource.MANUAL: Standing(rank=0, trust=0.80, declares=True),
    DiscoverySource.FILE: Standing(rank=1, trust=0.80, declares=True),
    DiscoverySource.BACKSTAGE: Standing(rank=2, trust=0.60, declares=True, ignores_case=True),
    DiscoverySource.KUBERNETES: Standing(rank=2, trust=0.60, declares=False),
    DiscoverySource.MESH: Standing(rank=3, trust=0.90, declares=False),
    DiscoverySource.OTEL: Standing(rank=4, trust=0.90, declares=False),
}


def declares(discovery_source: str) -> bool:
    """Say whether a source declares rather than observes. Raises :class:`ValueError` for an unknown one."""
    return STANDING[DiscoverySource(discovery_source)].declares
