"""Boosted regression trees evaluated in numpy: all trees of all rows go down one level at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from apps.engine.types import Floats

VALUE_STEP = 2.0**-14
"""Leaf values are multiples of this, so that their sums are exact in whatever order they are added up."""


@dataclass(frozen=True, slots=True)
class Trees:
    """One boosted model a quantile; the trees of all models lie in one array of nodes.

    ``feature``, ``threshold``, ``left``, ``right`` and ``value`` have one entry a node; a leaf is its own child.
    ``roots`` has shape ``(trees,)``, ``models`` says where each model's trees begin, ``base`` is what each adds up
    from. No tree is deeper than ``depth``.
    """

    feature: NDArray[np.int64]
    threshold: NDArray[np.float32]
    children: NDArray[np.int64]
    value: Floats
    roots: NDArray[np.int64]
    models: NDArray[np.int64]
    base: Floats
    depth: int

    def predict(self, rows: NDArray[np.float32]) -> Floats:
        """Return each model's value of each row: ``(n, features)`` → ``(n, models)``."""
        count, width = rows.shape
        flat = np.ascontiguousarray(rows).ravel()
        offset = width * np.arange(count)[:, None]
        node = np.broadcast_to(self.roots, (count, self.roots.size))
        for _ in range(self.depth):
            goes_right = flat.take(self.feature.take(node) + offset) > self.threshold.take(node)
            node = self.children.take(2 * node + goes_right)
        return self.base + np.add.reduceat(self.value.take(node), self.models, axis=1)

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]]) -> Trees:
        """Read nodes as they are stored: children as distances (0 for a leaf), values in steps."""
        own = np.arange(arrays["feature"].size, dtype=np.int64)
        children = np.stack(
            [own + arrays["left"].astype(np.int64), own + arrays["right"].astype(np.int64)], axis=1
        )
        return cls(
            feature=arrays["feature"].astype(np.int64),
            threshold=arrays["threshold"].astype(np.float32),
            children=children.ravel(),
            value=arrays["value"].astype(np.float64) * VALUE_STEP,
            roots=arrays["roots"].astype(np.int64),
            models=arrays["models"].astype(np.int64),
            base=arrays["base"].astype(np.float64),
            depth=int(arrays["depth"].astype(np.int64)[0]),
        )
