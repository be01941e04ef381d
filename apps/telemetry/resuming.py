"""What a broken-off reading has stored already, so that the next attempt asks the source only for the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from apps.core.runs import Holding

if TYPE_CHECKING:
    from apps.telemetry.storing.collecting import Collected, CollectResult

SENTENCES_KEPT = 30
WARNINGS_KEPT = 50


@dataclass(frozen=True, slots=True)
class Earlier:
    """The attempts before this one: up to which service they stored, and what came of it.

    Parameters:
        skip: how many of the services need not be read again.
        discovered: what the look for new services found, where there was one.
    """

    skip: int = 0
    discovered: dict[str, int] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, position: dict[str, Any], services: Sequence[str]) -> Self:
        """Return what a run's position says. Where its last service is gone, everything is read again."""
        if position.get("after") not in services:
            return cls()
        skip = services.index(position["after"]) + 1
        return cls(skip, summary=position["summary"], warnings=position["warnings"])

    def with_(self, result: CollectResult) -> tuple[dict[str, object], list[str]]:
        """Return summary and warnings of all attempts. Each service was read by one of them."""
        warnings = dict.fromkeys([*self.warnings, *result.quality.warnings])
        return _merged(self.summary, result.summary()), list(warnings)[:WARNINGS_KEPT]

    def keep(self, holding: Holding, services: Sequence[str], done: int, result: CollectResult) -> None:
        """Remember, in the transaction of a batch, that the first ``done`` services are stored."""
        summary, warnings = self.with_(result)
        position = {
            "after": services[done - 1],
            "discovered": self.discovered,
            "summary": summary,
            "warnings": warnings,
        }
        holding.remember(done, position)


def _merged(earlier: dict[str, Any], now: Collected) -> dict[str, object]:
    return {
        name: _both(earlier[name], value, name) if name in earlier else value for name, value in now.items()
    }


def _both(earlier: Any, now: Any, name: str) -> Any:
    if name == "services":
        return now  # all that the run is about, in every attempt
    if isinstance(now, dict):
        return earlier | {key: earlier.get(key, 0) + value for key, value in now.items()}
    if isinstance(now, list):
        return list(dict.fromkeys([*earlier, *now]))[:SENTENCES_KEPT]
    return earlier + now
