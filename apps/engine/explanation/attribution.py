"""Exact Shapley values of the balanced target: what each cause takes from, or adds to, 100 %.

Shapley (1953); as an explanation of a model Lundberg and Lee (2017). One vectorised call evaluates all coalitions. That
is exact and, up to twelve features, faster than sampling.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from apps.engine.types import Floats
from apps.engine.window.tiers import WindowModel

MAX_FEATURES = 12
BASE = 1.0
"""The target of a service in which nothing ever fails and nothing is uncertain."""


@dataclass(frozen=True, slots=True)
class Contribution:
    """What one feature adds to the target (a ratio, mostly negative)."""

    feature: str
    label: str
    contribution: float


@lru_cache(maxsize=MAX_FEATURES + 1)
def coalitions(features: int) -> Floats:
    """Return all subsets as rows of 0 and 1: shape ``(2^features, features)``; row ``i`` holds the bits of ``i``.
    Read-only.
    """
    numbers = np.arange(1 << features)[:, None]
    subsets = (numbers >> np.arange(features)[None, :] & 1).astype(np.float64)
    subsets.setflags(write=False)
    return subsets


@lru_cache(maxsize=MAX_FEATURES + 1)
def _weights(features: int) -> Floats:
    """Return the weight of a feature's gain when it joins each coalition of the others: ``(2^(features − 1),)``.
    Read-only.
    """
    sizes = np.bitwise_count(np.arange(1 << features - 1))
    by_size = np.array([1 / (features * math.comb(features - 1, size)) for size in range(features)])
    weights = by_size[sizes]
    weights.setflags(write=False)
    return weights


def shapley_values(values: Floats) -> Floats:
    """Return exact Shapley values from the value of every coalition.

    ``values`` has shape ``(2^n,)`` in the order of :func:`coalitions`. The result has shape ``(n,)`` and adds up to
    ``values[-1] − values[0]``. Raises ``ValueError`` beyond ``MAX_FEATURES`` features or where the size is no power of
    2.
    """
    features = values.size.bit_length() - 1
    if values.size != 1 << features:
        raise ValueError("needs the worth of every coalition")
    if features > MAX_FEATURES:
        raise ValueError(f"at most {MAX_FEATURES} features")
    if features == 0:
        return np.empty(0)
    gains = np.empty((features, values.size // 2))
    for feature, gain in enumerate(gains):
        # Coalitions without the feature and with it alternate, in runs whose length is the value of its bit.
        pairs = values.reshape(-1, 2, 1 << feature)
        np.subtract(pairs[:, 1], pairs[:, 0], out=gain.reshape(-1, 1 << feature))
    gains *= _weights(features)
    result: Floats = gains.sum(axis=1)
    return result


def balanced_values(model: WindowModel, breach_probability: float) -> tuple[list[tuple[str, str]], Floats]:
    """Return the features ``(feature, label)`` and the target of every coalition of them.

    Besides the causes of failures, the features are how much windows vary, what the traffic cannot prove, what the
    forecast adds or takes away, and, in the first week, the archetype. The last coalition's value is the tier's own
    target.
    """
    causes = len(model.causes)
    subsets = coalitions(causes)
    sums = _subset_sums(model.rates)
    bad = subsets @ model.bad
    features = [(cause.key, cause.label) for cause in model.causes]
    features.append(("variation", "Bad windows, beyond the average"))
    features.append(("traffic", "What this traffic cannot prove"))
    even, varied = (
        model.shown(sums, bad, breach_probability, has_variation=has_variation)
        for has_variation in (False, True)
    )
    shown = [even[0], varied[0], even[1], varied[1]]
    forecast = model.expected(breach_probability)
    more = forecast - float(shown[-1][-1])
    # What the forecast adds is the same for every coalition; what it takes away is the same share of each.
    if more >= 0:
        features.append(("forecast", "What such histories have not shown yet"))
        foreseen = [np.minimum(1.0, each + more) for each in shown]
    else:
        features.append(("forecast", "What has passed, and such services do not repeat"))
        foreseen = [each * (forecast / float(shown[-1][-1])) for each in shown]
    values = [*shown, *foreseen]
    if model.prior_weight > 0:
        features.append(("archetype", "Short history: what services of this kind keep"))
        values += [model.mixed(each, breach_probability, model.evidence) for each in values]
    return features, 1 - np.concatenate(values)


def _subset_sums(rows: Floats) -> Floats:
    """Return the sums of all subsets of rows, in the order of :func:`coalitions`: each costs one addition."""
    sums = np.zeros((1 << rows.shape[0], rows.shape[1]))
    for number, row in enumerate(rows):
        half = 1 << number
        np.add(sums[:half], row, out=sums[half : 2 * half])
    return sums


def attribute(model: WindowModel, breach_probability: float) -> list[Contribution]:
    """Return the Shapley values of a tier's target, in the order of the features; they add up to ``target − BASE``."""
    features, values = balanced_values(model, breach_probability)
    shares = shapley_values(values)
    return [
        Contribution(feature, label, float(share))
        for (feature, label), share in zip(features, shares, strict=True)
    ]
