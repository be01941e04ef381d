"""Block bootstrap of (bad, total) pairs: what the next window may look like, and how sure that is.

Sources: Künsch (1989) and Politis and Romano (1992, circular blocks). A replicate never touches bins: the
sums of all ``n`` circular blocks come from one prefix sum, and a replicate is a sum of a few of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from apps.engine.types import Floats

REPLICATES = 2_000
"""Simulated next windows."""
HISTORIES = 100
"""Resampled histories for the interval of a target."""
WINDOWS_PER_HISTORY = 200
_SINGLE_THREAD_PRODUCTS = 200_000
"""Multiplications up to which OpenBLAS stays on one thread (its threshold is 262,144)."""

type Ints = NDArray[np.signedinteger]


@dataclass(frozen=True, slots=True)
class Plan:
    """Which blocks make up each replicate; drawn once and used for every quantity of a service.

    ``starts`` and ``weights`` have shape ``(replicates, picks)``: block starts and how often each is taken.
    A replicate first resamples the history and then the window from it, so that it carries both the doubt
    about the history and the chance of the window. ``histories`` has shape ``(HISTORIES, blocks)`` and
    ``choices`` ``(WINDOWS_PER_HISTORY, blocks)``.
    """

    size: int
    length: int
    starts: Ints
    weights: Floats
    histories: Ints
    choices: Floats


def draw_plan(
    generator: np.random.Generator, size: int, length: int, window_bins: float, replicates: int = REPLICATES
) -> Plan:
    """Draw a plan for ``size`` bins of history, blocks of ``length`` bins and a window of ``window_bins``
    bins.
    """
    blocks = math.ceil(size / length)
    wanted = max(1, round(window_bins / length))
    if wanted <= 2 * blocks:
        history = generator.integers(0, size, (replicates, blocks), dtype=np.int32)
        picks = generator.integers(0, blocks, (replicates, wanted), dtype=np.int32)
        starts = history.ravel()[picks + np.arange(0, replicates * blocks, blocks, dtype=np.int32)[:, None]]
        weights = np.ones((replicates, wanted))
    else:
        starts = generator.integers(0, size, (replicates, blocks))
        weights = generator.multinomial(wanted, np.full(blocks, 1 / blocks), replicates).astype(np.float64)
    histories = generator.integers(0, size, (HISTORIES, blocks))
    if wanted <= 4 * blocks:
        flat = generator.integers(0, blocks, (WINDOWS_PER_HISTORY, wanted))
        flat += np.arange(WINDOWS_PER_HISTORY)[:, None] * blocks
        counts = np.bincount(flat.ravel(), minlength=WINDOWS_PER_HISTORY * blocks)
        choices = counts.reshape(WINDOWS_PER_HISTORY, blocks).astype(np.float64)
    else:
        drawn = generator.multinomial(wanted, np.full(blocks, 1 / blocks), WINDOWS_PER_HISTORY)
        choices = drawn.astype(np.float64)
    return Plan(size, length, starts.astype(np.int32), weights, histories, choices)


def block_sums(values: Floats, length: int) -> Floats:
    """Sums of all circular blocks of ``length`` rows: shape ``(n, …)`` in, the same shape out."""
    wrapped = np.concatenate([values, values[: length - 1]], axis=0)
    running = np.cumsum(wrapped, axis=0)
    sums = running[length - 1 :].copy()
    sums[1:] -= running[: values.shape[0] - 1]
    return np.maximum(sums, 0.0)


def replicate_sums(plan: Plan, values: Floats) -> Floats:
    """Sum each column of ``values`` (shape ``(n, c)``) over the blocks of each replicate: ``(replicates,
    c)``.
    """
    from scipy.sparse import csr_array

    rows, picks = plan.starts.shape
    matrix = csr_array(
        (plan.weights.ravel(), plan.starts.ravel(), np.arange(0, rows * picks + 1, picks)),
        shape=(rows, plan.size),
    )
    result: Floats = np.asarray(matrix @ block_sums(values, plan.length))
    return result


def upper_quantile(samples: Floats, quantile: float, axis: int = -1) -> Floats:
    """The smallest sample that at least ``quantile`` of (n + 1) draws stay under: on the careful side."""
    size = samples.shape[axis]
    at = min(size - 1, math.ceil(quantile * (size + 1)) - 1)
    result: Floats = np.take(np.partition(samples, at, axis=axis), at, axis=axis)
    return result


def _product(left: Floats, right: Floats) -> Floats:
    """Matrix product in slices so small that BLAS does not start threads, which would cost more than they
    bring.
    """
    right = np.ascontiguousarray(right)
    rows = max(1, _SINGLE_THREAD_PRODUCTS // right.size)
    slices = [left[at : at + rows] @ right for at in range(0, left.shape[0], rows)]
    return np.concatenate(slices)


def history_quantiles(plan: Plan, bad: Floats, total: Floats, quantiles: tuple[float, ...]) -> Floats:
    """Window quantiles of unavailability, one per resampled history: shape ``(len(quantiles), HISTORIES)``.

    Their spread is the sampling error of a quantile. Each history's windows are drawn from its own blocks: a
    product of two small matrices instead of a loop in a loop.
    """
    sums = block_sums(np.stack([bad, total], axis=1), plan.length)[plan.histories]
    window_bad = _product(plan.choices, sums[:, :, 0].T)
    window_total = _product(plan.choices, sums[:, :, 1].T)
    rates = np.divide(window_bad, window_total, out=np.zeros_like(window_bad), where=window_total > 0)
    ordered = np.sort(rates, axis=0)
    size = rates.shape[0]
    at = [min(size - 1, math.ceil(quantile * (size + 1)) - 1) for quantile in quantiles]
    result: Floats = ordered[at]
    return result
