"""Boosted regression trees, evaluated in numpy: all splits of a row are compared at once, and the leaves follow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from apps.engine.types import Floats

VALUE_STEP = 2.0**-14
"""Leaf values are multiples of this, so that their sums are exact in any order."""
MOST_LEAVES = 32
"""Each leaf of a tree is one bit of a number."""


@dataclass(frozen=True, slots=True, eq=False)
class Trees:
    """One boosted model for each quantile; the trees of all models lie side by side.

    ``feature``, ``threshold`` and ``left_leaves`` have shape ``(splits, trees)``. A row goes right where its feature is
    above the threshold. That rules out all leaves on the left: bits of ``left_leaves``, of which the leftmost leaf is
    the lowest. The row ends in the leftmost leaf that no split rules out (Lucchese et al. 2015, *QuickScorer*). A tree
    with fewer splits is padded with splits that no row passes. ``value`` has shape ``(trees · MOST_LEAVES,)``.
    ``models`` says where each model's trees begin, ``base`` is the constant to which each model adds its leaves.
    """

    feature: NDArray[np.intp]
    threshold: NDArray[np.float32]
    left_leaves: NDArray[np.uint32]
    value: Floats
    models: NDArray[np.int64]
    base: Floats

    def predict(self, rows: NDArray[np.float32]) -> Floats:
        """Return each model's value of each row: ``(n, features)`` → ``(n, models)``."""
        shape = self.threshold.shape
        ruled_out = np.empty((rows.shape[0], shape[1]), dtype=np.uint32)
        # Row by row, so that what a row needs stays in the processor's fastest cache.
        seen, goes_right = np.empty(shape, np.float32), np.empty(shape, np.bool_)
        passed = np.empty(shape, np.uint32)
        for row, result in zip(rows, ruled_out, strict=True):
            row.take(self.feature, out=seen, mode="clip")
            np.greater(seen, self.threshold, out=goes_right)
            np.multiply(self.left_leaves, goes_right, out=passed)
            np.bitwise_or.reduce(passed, axis=0, out=result)
        # The number of set bits below the first unset one.
        leaf = np.bitwise_count(ruled_out & ~(ruled_out + np.uint32(1)))
        leaf_values = self.value.take(leaf + np.arange(0, self.value.size, MOST_LEAVES))
        return self.base + np.add.reduceat(leaf_values, self.models, axis=1)

    def first(self, models: int) -> Trees:
        """Return the trees of the first ``models`` alone."""
        if models == self.models.size:
            return self
        trees = slice(0, int(self.models[models]))
        return replace(
            self,
            feature=np.ascontiguousarray(self.feature[:, trees]),
            threshold=np.ascontiguousarray(self.threshold[:, trees]),
            left_leaves=np.ascontiguousarray(self.left_leaves[:, trees]),
            value=self.value[: trees.stop * MOST_LEAVES],
            models=self.models[:models],
            base=self.base[:models],
        )

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]]) -> Trees:
        """Read nodes as they are stored: each before its children, those on its left before those on its right.

        Children are distances (0 for a leaf), values are in steps. Raises ``ValueError`` where a tree has more than
        :data:`MOST_LEAVES` leaves.
        """
        is_leaf = arrays["left"] == 0
        own, roots = np.arange(is_leaf.size), arrays["roots"].astype(np.int64)
        left, right = (own + arrays[side].astype(np.int64) for side in ("left", "right"))
        tree = np.searchsorted(roots, own, side="right") - 1
        leaves, splits = np.flatnonzero(is_leaf), np.flatnonzero(~is_leaf)
        number = _numbers(tree[leaves], roots.size)
        if number.max() >= MOST_LEAVES:
            raise ValueError(f"no tree may have more than {MOST_LEAVES} leaves")
        below = np.zeros(is_leaf.size, dtype=np.uint32)
        below[leaves] = np.uint32(1) << number.astype(np.uint32)
        for _ in range(int(arrays["depth"].astype(np.int64)[0])):
            below |= below[left] | below[right]
        at = _numbers(tree[splits], roots.size), tree[splits]
        shape = int(at[0].max()) + 1, roots.size
        feature, threshold = np.zeros(shape, dtype=np.intp), np.full(shape, np.inf, dtype=np.float32)
        left_leaves = np.zeros(shape, dtype=np.uint32)
        feature[at], threshold[at] = arrays["feature"][splits], arrays["threshold"][splits]
        left_leaves[at] = below[left[splits]]
        value = np.zeros((roots.size, MOST_LEAVES))
        value[tree[leaves], number] = arrays["value"][leaves].astype(np.float64) * VALUE_STEP
        return cls(
            feature=feature,
            threshold=threshold,
            left_leaves=left_leaves,
            value=value.ravel(),
            models=arrays["models"].astype(np.int64),
            base=arrays["base"].astype(np.float64),
        )


@lru_cache(maxsize=16)
def first_models(trees: Trees, models: int) -> Trees:
    """Return the trees of the first ``models`` alone; they are laid side by side only once."""
    return trees.first(models)


def _numbers(tree: NDArray[np.int64], trees: int) -> NDArray[np.int64]:
    """Number each place within its tree; trees ascend."""
    return np.arange(tree.size) - np.searchsorted(tree, np.arange(trees))[tree]
