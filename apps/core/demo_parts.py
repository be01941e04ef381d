"""What a room adds to the demo: an object called ``PART`` in its ``demo_part.py``.

The demo itself brings services, telemetry, people and decisions. A room that stores rows of another kind says here
which of them come with the demo, and takes them out again.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from apps.core.actions import Actor
from apps.core.rooms import modules

ORIGIN = "demo"
"""What stands in the column ``origin`` of every row that came with the demo."""


@dataclass(frozen=True, slots=True)
class Story:
    """What a part may build on. Services and their telemetry are there already."""

    since: datetime
    """When the demo came. What somebody deleted after that does not come back."""
    tables: Mapping[str, Sequence[Mapping[str, Any]]]
    """The tables of fixtures/demo.toml that the demo leaves to the rooms, by their names."""
    actors: Mapping[str, Actor]
    """The demo's people, by the names that the description gives them."""


class DemoPart(ABC):
    """One room's share of the demo."""

    words: ClassVar[str]
    """What it brings, in the plural: ``journeys``. Counts stand under it in the record of a removal."""

    @abstractmethod
    def load(self, story: Story) -> int:
        """Bring what is missing, through actions where there are some. Twice is harmless. Returns how many came."""

    @abstractmethod
    def count(self) -> int:
        """Return how many there are now."""

    @abstractmethod
    def remove(self) -> None:
        """Delete what came with the demo and nothing else, in the transaction that removes the demo."""


def parts() -> list[DemoPart]:
    """Return every room's part, in the order in which they are loaded."""
    return [module.PART for module in modules("demo_part")]
