"""Boosted trees for several quantiles, grown with scikit-learn and arranged as the engine reads them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from apps.engine.forecast.trees import VALUE_STEP
from apps.engine.types import Floats


def grow(
    inputs: NDArray[np.floating],
    target: Floats,
    weights: Floats | None,
    iterations: Mapping[float, int],
    *,
    least_leaf: Callable[[float], int],
) -> dict[str, NDArray[np.generic]]:
    """Fit one model for each chance (of exceeding) in ``iterations``; return arrays for ``Trees.from_arrays``.

    ``inputs`` has shape ``(n, features)``, ``target`` and ``weights`` ``(n,)``. ``least_leaf`` is the least number of
    samples in a leaf, by chance.
    """
    # Here, because it takes a second, and others who read histories with these tools grow no trees.
    from sklearn.ensemble import HistGradientBoostingRegressor  # type: ignore[import-untyped]

    parts: dict[str, list[NDArray[np.generic]]] = {
        name: [] for name in ("feature", "threshold", "left", "right", "value")
    }
    roots: list[int] = []
    models: list[int] = []
    base: list[float] = []
    depth, nodes_before = 0, 0
    for chance, trees in iterations.items():
        model = HistGradientBoostingRegressor(
            loss="quantile",
            quantile=1 - chance,
            max_iter=trees,
            learning_rate=0.08,
            max_leaf_nodes=28,
            max_depth=8,
            min_samples_leaf=least_leaf(chance),
            early_stopping=False,
            random_state=0,
        ).fit(inputs, target, sample_weight=weights)
        models.append(len(roots))
        base.append(float(model._baseline_prediction.ravel()[0]))
        for (predictor,) in model._predictors:
            nodes = predictor.nodes
            own = np.arange(nodes.size)
            is_leaf = nodes["is_leaf"].astype(bool)
            roots.append(nodes_before)
            parts["feature"].append(np.where(is_leaf, 0, nodes["feature_idx"]).astype(np.uint8))
            parts["threshold"].append(np.where(is_leaf, 0, nodes["num_threshold"]).astype(np.float32))
            parts["left"].append(np.where(is_leaf, 0, nodes["left"].astype(int) - own).astype(np.uint8))
            parts["right"].append(np.where(is_leaf, 0, nodes["right"].astype(int) - own).astype(np.uint8))
            values = np.where(is_leaf, np.round(nodes["value"] / VALUE_STEP), 0)
            parts["value"].append(np.clip(values, -32_000, 32_000).astype(np.int16))
            depth = max(depth, int(nodes["depth"].max()))
            nodes_before += nodes.size
    arrays: dict[str, NDArray[np.generic]] = {name: np.concatenate(each) for name, each in parts.items()}
    arrays["roots"] = np.array(roots, dtype=np.int32)
    arrays["models"] = np.array(models, dtype=np.int32)
    arrays["base"] = np.array(base)
    arrays["depth"] = np.array([depth])
    return arrays
