"""Block bootstrap of (bad, total) pairs: what the next window may look like, and how certain that is.

Sources: Künsch (1989) and Politis and Romano (1992, circular blocks). A replicate never touches bins: one prefix sum
gives the sums of all ``n`` circular blocks, and a replicate is the sum of a few of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from apps.engine.types import Floats

REPLICATES = 2_000
"""Simulated next windows."""

type Ints = NDArray[np.signedinteger]


@dataclass(frozen=True, slots=True)
class Plan:
    """Which blocks make up each replicate; drawn once and used for every quantity of a service.

    ``starts`` and ``weights`` have shape ``(replicates, picks)``: block starts and how often each is taken. A replicate
    first resamples the history and then the window from it, so that it includes both the doubt about the history and
    the chance in the window.
    """

    size: int
    length: int
    starts: Ints
    weights: Floats


def draw_plan(
    generator: np.random.Generator, size: int, length: int, window_bins: float, replicates: int = REPLICATES
) -> Plan:
    """Draw a plan for ``size`` bins of history, blocks of ``length`` bins and a window of ``window_bins`` bins."""
    blocks = math.ceil(size / length)
    wanted = max(1, round(window_bins / length))
    if wanted <= 2 * blocks:
        history = generator.integers(0, size, (replicates, blocks), dtype=np.int32)
        picks = generator.integers(0, blocks, (replicates, wanted), dtype=np.int32)
        starts = history.take(picks + np.arange(0, replicates * blocks, blocks, dtype=np.int32)[:, None])
        weights = np.ones((replicates, wanted))
    else:
        starts = generator.integers(0, size, (replicates, blocks))
        weights = generator.multinomial(wanted, np.full(blocks, 1 / blocks), replicates).astype(np.float64)
    return Plan(size, length, starts.astype(np.int32, copy=False), weights)


def block_sums(values: Floats, length: int) -> Floats:
    """Return sums of all circular blocks of ``length`` rows: shape ``(n, …)`` in, the same shape out."""
    wrapped = np.concatenate([values, values[: length - 1]], axis=0)
    running = np.cumsum(wrapped, axis=0)
    sums = running[length - 1 :].copy()
    sums[1:] -= running[: values.shape[0] - 1]
    return np.maximum(sums, 0.0, out=sums)


def replicate_sums(plan: Plan, values: Floats) -> Floats:
    """Sum each column of ``values`` (shape ``(n, c)``) over the blocks of each replicate: ``(replicates, c)``."""
    from scipy.sparse import csr_array

    rows, picks = plan.starts.shape
    matrix = csr_array(
        (plan.weights.ravel(), plan.starts.ravel(), np.arange(0, rows * picks + 1, picks, dtype=np.int32)),
        shape=(rows, plan.size),
    )
    result: Floats = np.asarray(matrix @ block_sums(values, plan.length))
    return result


def upper_quantile(samples: Floats, quantile: float, axis: int = -1) -> Floats:
    """Return the smallest sample that at least ``quantile`` of (n + 1) draws stay under: on the careful side."""
    size = samples.shape[axis]
    at = min(size - 1, math.ceil(quantile * (size + 1)) - 1)
    result: Floats = np.take(np.sort(samples, axis=axis), at, axis=axis)
    return result
