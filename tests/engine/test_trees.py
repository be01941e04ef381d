"""Trees return what walking down each of them returns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from apps.engine.forecast.model import DATA
from apps.engine.forecast.trees import MOST_LEAVES, VALUE_STEP, Trees


def stored() -> dict[str, Any]:
    with np.load(DATA, allow_pickle=False) as arrays:
        return dict(arrays)


def walked(arrays: dict[str, Any], row: np.ndarray) -> list[float]:
    """The sum of the leaves that a row reaches, model by model, one node at a time."""
    leaves = []
    for root in arrays["roots"].tolist():
        node = root
        while arrays["left"][node]:
            side = "right" if row[arrays["feature"][node]] > arrays["threshold"][node] else "left"
            node += int(arrays[side][node])
        leaves.append(float(arrays["value"][node]) * VALUE_STEP)
    sums: list[float] = (arrays["base"] + np.add.reduceat(leaves, arrays["models"])).tolist()
    return sums


def test_rows_end_where_walking_down_leads() -> None:
    arrays = stored()
    rows = np.random.default_rng(0).normal(scale=3, size=(5, arrays["features"].size)).astype(np.float32)
    # A row on a threshold goes left.
    split = int(np.flatnonzero(arrays["left"])[0])
    rows[0, arrays["feature"][split]] = arrays["threshold"][split]
    trees = Trees.from_arrays(arrays)
    found = trees.predict(rows)
    assert found.tolist() == [walked(arrays, row) for row in rows]
    np.testing.assert_array_equal(trees.first(3).predict(rows), found[:, :3])


def test_a_tree_with_more_leaves_than_bits_is_refused() -> None:
    # A chain: every split has a leaf on its left and the next split on its right.
    splits = MOST_LEAVES
    left, right = np.array([1, 0] * splits + [0]), np.array([2, 0] * splits + [0])
    arrays = stored() | {
        "feature": np.zeros_like(left),
        "threshold": np.zeros(left.size, dtype=np.float32),
        "left": left,
        "right": right,
        "value": np.zeros_like(left),
        "roots": np.array([0]),
    }
    with pytest.raises(ValueError, match="leaves"):
        Trees.from_arrays(arrays)
