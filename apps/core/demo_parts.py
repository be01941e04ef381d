"""What a room adds to the demo: the object ``PART`` in its ``demo_part.py``.

The demo itself brings services, telemetry, people and decisions. A room that stores other rows adds its own to the demo
here, and removes them again.
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
"""The value of the column ``origin`` in every row that came with the demo."""


@dataclass(frozen=True, slots=True)
class Story:
    """What a part can build on. Services and their telemetry exist already."""

    since: datetime
    """When the demo was loaded. Objects that somebody deleted after that do not come back."""
    tables: Mapping[str, Sequence[Mapping[str, Any]]]
    """The tables of fixtures/demo.toml that the demo leaves to the rooms, by name."""
    actors: Mapping[str, Actor]
    """The demo's people, by their names in the description."""


class DemoPart(ABC):
    """One room's share of the demo."""

    words: ClassVar[str]
    """What it brings, in the plural: ``journeys``. The record of a removal counts them under this name."""

    @abstractmethod
    def load(self, story: Story) -> int:
        """Add what is missing, through actions where they exist. Safe to repeat. Returns how many were added."""

    @abstractmethod
    def count(self) -> int:
        """Return how many there are now."""

    @abstractmethod
    def remove(self) -> None:
        """Delete what came with the demo and nothing else, in the transaction that removes the demo."""


def parts() -> list[DemoPart]:
    """Return every room's part, in the order in which they are loaded."""
    return [module.PART for module in modules("demo_part")]
