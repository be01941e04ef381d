"""Other pasts of one service, and the target that a run on each of them would give."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from apps.engine.decomposition import scaled_failures
from apps.engine.forecast.batch import PastFeatures
from apps.engine.forecast.inputs import dependency_share_of
from apps.engine.tiers import WindowModel
from apps.engine.types import Floats
from apps.engine.what_if import KnownPast

SHARES_OFF = (0.03, 0.1)
"""How far a new run may put other failures down to dependencies than this one: the shares that are tried …"""
MATTERS = 0.1
"""… and the relative change of the unavailability from which on the edges are estimated anew."""


@dataclass(frozen=True, slots=True)
class Change:
    """A cause of failures (or all of them) and the factor on it."""

    cause: str
    scale: float


@dataclass(frozen=True, slots=True)
class ChangedPasts:
    """Pasts with one change each, all read in one go. ``scales`` has shape ``(n, causes)``."""

    past: KnownPast
    model: WindowModel
    chance: float
    changes: tuple[Change, ...]
    scales: Floats
    shares: Floats
    features: PastFeatures
    targets: Floats
    """Availability that the window after each past falls short of with ``chance``, shape ``(n,)``, with the edges as
    they are known; see :meth:`target_anew`.
    """

    @classmethod
    def of(
        cls, past: KnownPast, model: WindowModel, chance: float, changes: Sequence[Change]
    ) -> ChangedPasts:
        """Read the pasts that ``changes`` (at least one) make of ``past``."""
        scales = np.stack([past.scales(each.cause, each.scale) for each in changes])
        shares = dependency_share_of(past.parts, scales)
        bad = scaled_failures(past.parts, model.dense_total, scales)
        features = PastFeatures.of(model.forecast, bad, shares)
        targets = model.settled(features.unavailability(chance), scales, chance)
        return cls(past, model, chance, tuple(changes), scales, shares, features, targets)

    def target_anew(self, row: int, goal: float | None = None) -> float:
        """The target of one past with its edges estimated anew where that may matter: move the target, or miss a
        ``goal``.

        A new run reads hardness from the changed past, and may put other failures down to dependencies.
        """
        usual = float(self.targets[row])
        if not self.past.is_watched:
            return usual
        share, has_dependency = float(self.shares[row]), self.model.forecast.has_dependency
        tried = [share + side * off for off in SHARES_OFF for side in (-1, 1)]
        flags = [has_dependency] * len(tried)
        if self.past.has_soft:
            tried.append(share)
            flags.append(not has_dependency)
        found = self._with_dependencies(row, tried, flags)
        is_kept = goal is None or usual < goal or bool((found >= goal).all())
        if is_kept and np.abs(found - usual).max() <= MATTERS * (1 - usual):
            return usual
        change = self.changes[row]
        share, has_dependency = self.past.dependencies_then(change.cause, change.scale)
        return float(self._with_dependencies(row, [share], [has_dependency])[0])

    def _with_dependencies(self, row: int, shares: list[float], flags: list[bool]) -> Floats:
        features = self.features.with_dependencies(
            row, np.clip(np.array(shares), 0.0, 1.0), np.array(flags, dtype=np.float64)
        )
        scales = np.repeat(self.scales[row : row + 1], len(shares), axis=0)
        return self.model.settled(features.unavailability(self.chance), scales, self.chance)
