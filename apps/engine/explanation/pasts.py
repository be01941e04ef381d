"""Other pasts of one service, and the target that a run on each of them would give."""

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
"""How far a new run may put other failures down to dependencies than this one: the shares that are tried …"""
GOAL_OFF = 0.4
"""… one more where a goal is at stake …"""
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
    they are known; see :meth:`targets_anew`.
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
        """Read the pasts that ``changes`` (at least one) make of ``past``, on ``history`` where it is another one."""
        scales = np.stack([past.scales(each.cause, each.scale) for each in changes])
        shares = dependency_share_of(past.parts, scales)
        bad = scaled_failures(past.parts, model.dense_total, scales)
        features = PastFeatures.of(model.forecast, bad, shares, history)
        targets = model.settled(features.unavailability(chance), scales, chance)
        return cls(past, model, chance, tuple(changes), scales, shares, features, targets)

    def targets_anew(self, rows: Sequence[int], goal: float | None = None) -> list[float]:
        """The targets of some pasts with their edges estimated anew where that may matter: move the target, or miss a
        ``goal``.

        A new run reads hardness from the changed past, and may put other failures down to dependencies.
        """
        usual = [float(self.targets[row]) for row in rows]
        anew = [at for at, matters in enumerate(self._may_matter(rows, goal)) if matters]
        if anew:
            changes = [self.changes[rows[at]] for at in anew]
            found = self.past.dependencies_then([(each.cause, each.scale) for each in changes])
            then = self._with_dependencies([(rows[at], *each) for at, each in zip(anew, found, strict=True)])
            for at, target in zip(anew, then.tolist(), strict=True):
                usual[at] = target
        return usual

    def _may_matter(self, rows: Sequence[int], goal: float | None) -> list[bool]:
        """Whether edges that are estimated anew may move the target of a row, or miss the ``goal``."""
        if not self.past.is_watched:
            return [False] * len(rows)
        # Held within the requests more failures make another pattern.
        result = [bool((self.scales[row] > 1).any()) for row in rows]
        # Where nothing fails there is nothing to put down to anyone.
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
        """Targets of rows with other shares of dependencies' failures, and with or without dependencies."""
        rows = np.array([row for row, _, _ in tried])
        shares = np.clip(np.array([share for _, share, _ in tried]), 0.0, 1.0)
        features = self.features.with_dependencies(
            rows, shares, np.array([float(flag) for _, _, flag in tried])
        )
        return self.model.settled(features.unavailability(self.chance), self.scales[rows], self.chance)


def way_of_reading(history: History) -> tuple[object, ...]:
    """What a history says beside its counts: how they are to be read."""
    values = (getattr(history, each.name) for each in fields(history))
    return tuple(each for each in values if not isinstance(each, np.ndarray))


@dataclass(frozen=True, slots=True)
class Asked:
    """Changes of a past that were asked for, each once, and the targets they lead to."""

    past: KnownPast
    model: WindowModel
    chance: float
    known: dict[Change, tuple[ChangedPasts, int]] = field(default_factory=dict)

    def ask(self, changes: Sequence[Change]) -> None:
        """Read what is not known yet of ``changes`` in one go."""
        new = [each for each in dict.fromkeys(changes) if each not in self.known]
        for history, together in self._by_history(new):
            pasts = ChangedPasts.of(self.past, self.model, self.chance, together, history)
            self.known.update({change: (pasts, row) for row, change in enumerate(together)})

    def _by_history(self, changes: Sequence[Change]) -> list[tuple[History, list[Change]]]:
        """Changes that can be read together: a site that a clock asks is read otherwise than a service, and which of
        the two it is may hang on how it fails.
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
        """The target after a change that was asked for, with the edges as they are known."""
        pasts, row = self.known[change]
        return float(pasts.targets[row])

    def anew(self, changes: Sequence[Change], goal: float | None = None) -> list[float]:
        """The same with edges estimated anew where that may matter (:meth:`ChangedPasts.targets_anew`)."""
        found: dict[Change, float] = {}
        for pasts in {id(self.known[each][0]): self.known[each][0] for each in changes}.values():
            rows = {each: self.known[each][1] for each in changes if self.known[each][0] is pasts}
            found.update(zip(rows, pasts.targets_anew(list(rows.values()), goal), strict=True))
        return [found[each] for each in changes]
