"""How often a dependency's failure fails the request, from how the failures of both come and go.

bad_t = a_t·total_t + Σ h_i·x_it, where x_it is the number of requests that met a failure of dependency i, and a_t the
service's own failure rate, which may depend on load, hour and time. The fit is least squares weighted by requests, over
all dependencies at once. h is P(fails | dependency fails) − P(fails | dependency works).

The error has three sources. First, own failures, incidents included, may coincide with a dependency's: the residuals
are shifted in time by every offset and the regression is repeated, which shows what coincidence alone yields (a
circular-shift null; Besag and Diggle 1977). Second, each failed call fails its request by chance: binomial. Third,
incidents differ: where there are enough of them, the spread between days is a lower bound of the error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from apps.engine.sorted_quantiles import middle_of, quantiles_of
from apps.engine.types import Floats

PRIOR_SPREAD = 0.35
OBSERVED_SPREAD = 0.5 * PRIOR_SPREAD
"""A hardness counts as observed up to this standard deviation: the data then weigh at least three times the prior."""
LOOSE_SPREAD = 3.0
"""The prior's standard deviation where the data suffice: it hardly matters there."""
MIN_FAILURES = 3.0
MIN_BINS = 8
CLUSTER_BINS = 24
MIN_INCIDENTS = 6
OUTLIER_SIGMA = 6.0
Z90 = 1.6448536
_LEAST_COLUMN = 1e-12
"""A column of the regression that is shorter than the longest by this factor is rounding error."""
_MOST_ALIKE = 1e10
"""Columns are too much alike to be told apart where what remains of one without the others is shorter than the inverse
root of this.
"""


@dataclass(frozen=True, slots=True)
class Hardness:
    """``value`` lies within 0..1. ``low`` and ``high`` are a 90 % interval before it is limited to 0..1, ``deviation``
    the standard deviation.
    """

    value: float
    low: float
    high: float
    deviation: float

    @property
    def is_observed(self) -> bool:
        """Whether the data decide it, rather than the prior."""
        return self.deviation <= OBSERVED_SPREAD


def is_informative(failed: Floats, total: Floats) -> NDArray[np.bool_]:
    """Return for each dependency whether it failed, and not at a constant rate: a constant rate shows nothing.

    ``failed`` has shape ``(dependencies, bins)``, ``total`` ``(bins,)``.
    """
    requests = total.sum()
    sums = failed.sum(axis=1)
    mean = sums / requests
    variance = (total * (failed / total - mean[:, None]) ** 2).sum(axis=1) / requests
    return (sums >= MIN_FAILURES) & (variance > 1e-6 * mean**2)


def measure(
    total: Floats, bad: Floats, calls: Floats, priors: Sequence[float], step_seconds: int
) -> list[list[Hardness]]:
    """Estimate the hardness of every dependency in each of several pasts with the same requests.

    ``total`` has shape ``(bins,)``, all above 0; ``bad`` ``(pasts, bins)``; ``calls``, the requests that met a failure,
    ``(pasts, dependencies, bins)``. Except for the last digit, the result for a past does not depend on the others.

    ``priors`` (normal, standard deviation ``PRIOR_SPREAD``) decide where the data do not suffice, and keep dependencies
    that always fail together (aliases of one another) from being counted twice.
    """
    root = np.sqrt(total)
    controls = _controls(total, step_seconds) * root
    first = controls.shape[0]
    design = np.concatenate(
        [np.broadcast_to(controls, (bad.shape[0], *controls.shape)), calls / root], axis=1
    )
    observed = bad / root
    prior = np.array([0.0] * first + list(priors))
    rates = np.maximum(bad.sum(axis=1) / total.sum(), 1e-12)

    calm = _without_own_outliers(observed, calls.sum(axis=1) / root, root)
    gram = design @ design.transpose(0, 2, 1)
    moment = np.einsum("pit,pt->pi", design, calm)
    variance = _variances(design, calm, gram, moment, rates)
    alone = np.array([0.0] * first + [LOOSE_SPREAD**-2] * len(priors))
    known = gram / variance[:, None, None]
    posterior = np.einsum("pii->pi", _inverses(known + np.diag(alone)))[:, first:]
    precision = np.zeros_like(moment)
    precision[:, first:] = np.where(posterior <= OBSERVED_SPREAD**2, LOOSE_SPREAD, PRIOR_SPREAD) ** -2.0
    inverse = _inverses(known + precision[:, None, :] * np.eye(prior.size))
    free = np.einsum("pij,pj->pi", inverse, moment / variance[:, None] + precision * prior)
    values = np.stack([_bounded(*each, first) for each in zip(inverse, free, strict=True)])

    # How far each estimate moves for one more failure in each bin.
    pull = inverse[:, first:] @ design / variance[:, None, None]
    squares = pull**2
    residual = observed - np.einsum("pit,pi->pt", design, values)
    shifted = np.fft.irfft(np.fft.rfft(residual)[:, None] * np.conj(np.fft.rfft(pull)), n=total.size)
    low_noise, high_noise = quantiles_of(shifted, (0.05, 0.95))
    kept = np.clip(values[:, first:], 0.02, 0.98)
    binomial = np.einsum("pjt,pj->pt", calls, kept * (1 - kept))
    chance = np.sqrt(np.einsum("pit,pt->pi", squares, binomial / total))
    # The residuals contain that chance too, spread evenly over the shifts: subtract it, so that it counts once.
    mixed = binomial.sum(axis=1) / total.sum()
    twice = Z90**2 * mixed[:, None] * squares.sum(axis=2)
    # What the prior still holds back, and what collinear dependencies leave open.
    open_part = np.sqrt((inverse[:, first:] ** 2 * precision[:, None, :]).sum(axis=2))
    rest = Z90 * np.hypot(chance, open_part)
    least = Z90 * _between_days(pull, squares, residual)
    below, above = (
        np.maximum(np.hypot(np.sqrt(np.maximum(0.0, np.maximum(0.0, side) ** 2 - twice)), rest), least)
        for side in (high_noise, -low_noise)
    )
    middle = free[:, first:]
    found = np.stack(
        [
            values[:, first:],
            np.minimum(middle - below, 1.0),
            np.maximum(middle + above, 0.0),
            (below + above) / (2 * Z90),
        ],
        axis=2,
    )
    return [[Hardness(*each) for each in past] for past in found.tolist()]


def _controls(total: Floats, step_seconds: int) -> Floats:
    """Return the terms of the service's own rate: a level, load, the hour, and time."""
    size = total.size
    columns = [np.ones(size)]
    if size >= 3 * MIN_BINS:
        load = total / total.mean() - 1
        time = np.linspace(-1, 1, size)
        columns.append(time)
        if load.std() > 0.01:
            columns.append(load)
        if size * step_seconds >= 3 * 86_400:
            columns += _hour(size, step_seconds)
    return np.stack(columns)


@lru_cache(maxsize=4)
def _hour(size: int, step_seconds: int) -> tuple[Floats, Floats]:
    """Return the hour of the day as sine and cosine: shared by all services with as many bins, so read-only."""
    angle = np.arange(size) * step_seconds / 86_400 * 2 * np.pi
    circle = np.sin(angle), np.cos(angle)
    for each in circle:
        each.flags.writeable = False
    return circle


def _without_own_outliers(observed: Floats, explained: Floats, root: Floats) -> Floats:
    """Cut failures that no dependency could explain even if fully hard: these are the service's own incidents."""
    rates = observed / root
    usual = middle_of(rates)[:, None]
    scale = 1.4826 * middle_of(np.abs(rates - usual))[:, None]
    level = usual + OUTLIER_SIGMA * np.maximum(scale, np.sqrt(usual + 1e-12) / root)
    limit: Floats = explained + level * root + OUTLIER_SIGMA / root
    return np.minimum(observed, limit)


def _variances(design: Floats, observed: Floats, gram: Floats, moment: Floats, rates: Floats) -> Floats:
    """Return the variance of the failures that the regression leaves unexplained, one for each past."""
    loose = np.einsum("pij,pj->pi", _inverses(gram), moment)
    residual = observed - np.einsum("pit,pi->pt", design, loose)
    freedom = max(1, observed.shape[1] - design.shape[1])
    spread = np.maximum(np.maximum((residual**2).sum(axis=1) / freedom, rates * 0.1), 1e-12)
    result: Floats = spread * _design_effects(residual)
    return result


def _design_effects(residual: Floats) -> Floats:
    """Return by which factor correlation between neighbouring bins raises the variance, one for each past."""
    clusters = residual.shape[1] // CLUSTER_BINS
    spread = (residual**2).mean(axis=1)
    effects = np.ones_like(spread)
    if clusters >= 4:
        days = residual[:, : clusters * CLUSTER_BINS].reshape(-1, clusters, CLUSTER_BINS)
        squares = (days.sum(axis=2) ** 2).mean(axis=1)
        np.divide(squares, CLUSTER_BINS * spread, out=effects, where=spread > 0)
    return np.clip(effects, 1.0, CLUSTER_BINS)


def _inverses(matrices: Floats) -> Floats:
    """Invert symmetric positive semidefinite matrices, ``(n, k, k)``; collinear columns get a pseudo-inverse.

    Each matrix is first scaled to a diagonal of ones, so that columns in other units lose no digits.
    """
    roots = np.sqrt(np.maximum(np.einsum("nii->ni", matrices), 0.0))
    longest = roots.max(axis=1, keepdims=True)
    roots = np.where(roots > _LEAST_COLUMN * longest, roots, np.where(longest > 0, longest, 1.0))
    units = roots[:, :, None] * roots[:, None, :]
    scaled = matrices / units
    try:
        found = np.linalg.inv(scaled)
        is_apart = np.abs(found).max(axis=(1, 2)) <= _MOST_ALIKE
    except np.linalg.LinAlgError:
        if len(matrices) > 1:
            # One of them must not decide how the others are inverted.
            return np.concatenate([_inverses(each[None]) for each in matrices])
        found, is_apart = np.zeros_like(scaled), np.zeros(1, dtype=bool)
    if not is_apart.all():
        found[~is_apart] = np.linalg.pinv(scaled[~is_apart])
    result: Floats = found / units
    return result


def _bounded(inverse: Floats, unbounded: Floats, first: int) -> Floats:
    """Return the posterior mode with all but the ``first`` columns held within 0..1, from the mode without bounds."""
    values = unbounded.copy()
    fixed = np.zeros(values.size, dtype=bool)
    for _ in range(values.size):
        inside = np.clip(values[first:], 0.0, 1.0)
        out = np.zeros(values.size, dtype=bool)
        out[first:] = ~fixed[first:] & (inside != values[first:])
        if not out.any():
            break
        values[first:] = inside
        fixed |= out
        held = np.flatnonzero(fixed)
        # A value that is held away from its optimum moves the values that are correlated with it.
        pulled = inverse[:, held]
        force = np.einsum("ij,j->i", _inverses(pulled[held][None])[0], values[held] - unbounded[held])
        values[~fixed] = (unbounded + np.einsum("ij,j->i", pulled, force))[~fixed]
    values[first:] = np.clip(values[first:], 0.0, 1.0)
    return values


def _between_days(pull: Floats, squares: Floats, residual: Floats) -> Floats:
    """Return the error from the spread between days, where enough days carry weight; 0 elsewhere.

    ``pull`` and its ``squares`` have shape ``(pasts, dependencies, bins)``.
    """
    starts = np.arange(0, residual.shape[1], CLUSTER_BINS)
    scores = np.add.reduceat(pull * residual[:, None], starts, axis=2)
    weight = np.add.reduceat(squares, starts, axis=2)
    heaviest = (weight**2).sum(axis=2)
    effective = np.divide(weight.sum(axis=2) ** 2, heaviest, out=np.zeros_like(heaviest), where=heaviest > 0)
    error = np.sqrt((scores**2).sum(axis=2) * effective / np.maximum(1.0, effective - 1))
    return np.where(effective >= MIN_INCIDENTS, error, 0.0)
