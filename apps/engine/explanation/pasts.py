"""Changed pasts of one service, and the target that a run on each of them would give."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields

import numpy as np

from apps.engine.decomposition import scaled_failures
from apps.engine.explanation.what_if import KnownPast
from apps.engine.forecast.batch import PastFeatures
from apps.engine.forecast.history import History, history_of
from apps.engine.forecast.inputs import dependency_share_of
from apps.engine.types import Floats
from apps.engine.window.tiers import WindowModel

SHARES_OFF = (0.05, 0.2)
"""How far the dependencies' share of failures may be off in a new run: the differences that are tried …"""
GOAL_OFF = 0.4
"""… one more where a goal is at stake …"""
MATTERS = 0.1
"""… and the relative change of the unavailability from which the edges are estimated again."""


@dataclass(frozen=True, slots=True)
class Change:
    """A cause of failures (or all of them) and the factor on it."""

    cause: str
    scale: float


@dataclass(frozen=True, slots=True)
class ChangedPasts:
    """Pasts with one change each, read in one go. ``scales`` has shape ``(n, causes)``."""

    past: KnownPast
    model: WindowModel
    chance: float
    changes: tuple[Change, ...]
    scales: Floats
    shares: Floats
    features: PastFeatures
    targets: Floats
    """Availability that the window after each past misses with ``chance``, shape ``(n,)``, with the known edges; see
    :meth:`reestimated_targets`.
    """

    @classmethod
    def of(
        cls,
        past: KnownPast,
        model: WindowModel,
        chance: float,
        changes: Sequence[Change],
        history: History | None = None,
    ) -> ChangedPasts:
        """Read the pasts that ``changes`` (at least one) make of ``past``, on another ``history`` if one is given."""
        scales = np.stack([past.scales(each.cause, each.scale) for each in changes])
        shares = dependency_share_of(past.parts, scales)
        bad = scaled_failures(past.parts, model.dense_total, scales)
        features = PastFeatures.of(model.forecast, bad, shares, history)
        targets = model.settled(features.unavailability(chance), scales, chance)
        return cls(past, model, chance, tuple(changes), scales, shares, features, targets)

    def reestimated_targets(self, rows: Sequence[int], goal: float | None = None) -> list[float]:
        """Return the targets of some pasts, with their edges estimated again where that may move the target or miss a
        ``goal``.

        A new run reads hardness from the changed past, so the dependencies' share of failures may differ.
        """
        usual = [float(self.targets[row]) for row in rows]
        again = [at for at, matters in enumerate(self._may_matter(rows, goal)) if matters]
        if again:
            changes = [self.changes[rows[at]] for at in again]
            found = self.past.dependencies_then([(each.cause, each.scale) for each in changes])
            then = self._with_dependencies([(rows[at], *each) for at, each in zip(again, found, strict=True)])
            for at, target in zip(again, then.tolist(), strict=True):
                usual[at] = target
        return usual

    def _may_matter(self, rows: Sequence[int], goal: float | None) -> list[bool]:
        """Return for each row whether edges that are estimated again may move its target, or miss the ``goal``."""
        if not self.past.is_watched:
            return [False] * len(rows)
        # Where more failures are held within the requests, their pattern changes.
        result = [bool((self.scales[row] > 1).any()) for row in rows]
        # Where nothing fails, there is nothing to attribute.
        asked = [
            at
            for at, row in enumerate(rows)
            if not result[at] and (self.past.has_soft or self.scales[row].any())
        ]
        if not asked:
            return result
        has_dependency = self.model.forecast.has_dependency
        offs = SHARES_OFF if goal is None else (*SHARES_OFF, GOAL_OFF)
        sides = [(side * off, has_dependency) for off in offs for side in (-1, 1)]
        if self.past.has_soft:
            sides.append((0.0, not has_dependency))
        tried = [(rows[at], float(self.shares[rows[at]]) + off, flag) for at in asked for off, flag in sides]
        for at, others in zip(asked, self._with_dependencies(tried).reshape(-1, len(sides)), strict=True):
            usual = float(self.targets[rows[at]])
            is_kept = goal is None or usual < goal or bool((others >= goal).all())
            result[at] = not is_kept or float(np.abs(others - usual).max()) > MATTERS * (1 - usual)
        return result

    def _with_dependencies(self, tried: Sequence[tuple[int, float, bool]]) -> Floats:
        """Return targets of rows with another share of dependencies' failures, and with or without dependencies."""
        rows = np.array([row for row, _, _ in tried])
        shares = np.clip(np.array([share for _, share, _ in tried]), 0.0, 1.0)
        features = self.features.with_dependencies(
            rows, shares, np.array([float(flag) for _, _, flag in tried])
        )
        return self.model.settled(features.unavailability(self.chance), self.scales[rows], self.chance)


def way_of_reading(history: History) -> tuple[object, ...]:
    """Return what a history says besides its counts: how to read them."""
    values = (getattr(history, each.name) for each in fields(history))
    return tuple(each for each in values if not isinstance(each, np.ndarray))


@dataclass(frozen=True, slots=True)
class Asked:
    """The changes of a past evaluated so far, each once, and the targets they lead to."""

    past: KnownPast
    model: WindowModel
    chance: float
    known: dict[Change, tuple[ChangedPasts, int]] = field(default_factory=dict)

    def ask(self, changes: Sequence[Change]) -> None:
        """Evaluate those of ``changes`` that are not known yet, in one go."""
        new = [each for each in dict.fromkeys(changes) if each not in self.known]
        for history, together in self._by_history(new):
            pasts = ChangedPasts.of(self.past, self.model, self.chance, together, history)
            self.known.update({change: (pasts, row) for row, change in enumerate(together)})

    def _by_history(self, changes: Sequence[Change]) -> list[tuple[History, list[Change]]]:
        """Group changes that can be read together: a probed site is read in another way than a service, and how it
        fails may decide which of the two it is.
        """
        usual = self.model.forecast.history
        if not changes or not usual.is_clockwork:
            return [(usual, list(changes))] if changes else []
        found: dict[tuple[object, ...], tuple[History, list[Change]]] = {way_of_reading(usual): (usual, [])}
        for change in changes:
            history = history_of(self.past.scaled_counts(change.cause, change.scale))
            found.setdefault(way_of_reading(history), (history, []))[1].append(change)
        return [each for each in found.values() if each[1]]

    def target(self, change: Change) -> float:
        """Return the target after an evaluated change, with the known edges."""
        pasts, row = self.known[change]
        return float(pasts.targets[row])

    def reestimated(self, changes: Sequence[Change], goal: float | None = None) -> list[float]:
        """Return the targets with edges estimated again: :meth:`ChangedPasts.reestimated_targets`."""
        found: dict[Change, float] = {}
        for pasts in {id(self.known[each][0]): self.known[each][0] for each in changes}.values():
            rows = {each: self.known[each][1] for each in changes if self.known[each][0] is pasts}
            found.update(zip(rows, pasts.reestimated_targets(list(rows.values()), goal), strict=True))
        return [found[each] for each in changes]
