"""How often a dependency's failure becomes the request's, from how the two come and go together.

bad_t = a_t·total_t + Σ h_i·x_it, where x_it are the requests that met a failure of dependency i and a_t the
service's own rate, which may follow load, hour and time. Event-weighted least squares over all dependencies
at once; h is P(fails | dependency fails) − P(fails | dependency works).

The error has three sources. Own failures, clumps and all, may coincide with a dependency's: the residuals are
laid over the regression at every shift in time, which shows what chance alone would have made of it (a
circular-shift null; Besag and Diggle 1977). Each failed call fails its request by chance: binomial. And
incidents differ: where there are enough of them, the spread between days sets the least error.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from apps.engine.sorted_quantiles import middle_of, quantiles_of
from apps.engine.types import Floats

PRIOR_SPREAD = 0.35
OBSERVED_SPREAD = 0.5 * PRIOR_SPREAD
"""Below this standard deviation a hardness counts as observed: the data weigh at least three times the
prior.
"""
LOOSE_SPREAD = 3.0
"""The prior's standard deviation where the data speak for themselves: next to none."""
MIN_FAILURES = 3.0
MIN_BINS = 8
CLUSTER_BINS = 24
MIN_INCIDENTS = 6
OUTLIER_SIGMA = 6.0
Z90 = 1.6448536


@dataclass(frozen=True, slots=True)
class Hardness:
    """``value`` within 0..1 and a 90 % interval before it is held there; ``deviation`` of the estimate."""

    value: float
    low: float
    high: float
    deviation: float

    @property
    def is_observed(self) -> bool:
        """Whether the data say it, not the prior."""
        return self.deviation <= OBSERVED_SPREAD


def is_informative(failed: Floats, total: Floats) -> bool:
    """Failures must be there and must come and go: a dependency that always fails alike tells nothing."""
    if float(failed.sum()) < MIN_FAILURES:
        return False
    share = failed / total
    mean = float(failed.sum() / total.sum())
    variance = float((total * (share - mean) ** 2).sum() / total.sum())
    return variance > 1e-6 * mean**2


def measure(
    total: Floats, bad: Floats, failed: Sequence[Floats], priors: Sequence[float], step_seconds: int
) -> list[Hardness]:
    """Estimate the hardness of every dependency; arrays have shape ``(bins,)``, all totals above 0.

    ``priors`` pull (normal, standard deviation ``PRIOR_SPREAD``) where the data cannot tell, and keep
    dependencies that always fail together (aliases of one another) from being counted twice.
    """
    root = np.sqrt(total)
    calls = np.stack(failed)
    controls = _controls(total, step_seconds)
    design = np.concatenate([controls * root, calls / root])
    observed = bad / root
    first = controls.shape[0]
    prior = np.array([0.0] * first + list(priors))
    rate = max(float(bad.sum() / total.sum()), 1e-12)

    calm = _without_own_outliers(observed, calls.sum(axis=0) / root, root)
    gram = np.einsum("it,jt->ij", design, design)
    variance = _variance(design, calm, gram, rate)
    alone = np.array([0.0] * first + [LOOSE_SPREAD**-2] * len(failed))
    told = np.sqrt(np.maximum(np.diag(np.linalg.pinv(gram / variance + np.diag(alone))), 0.0))
    spread = np.where(told <= OBSERVED_SPREAD, LOOSE_SPREAD, PRIOR_SPREAD)
    precision = np.array([0.0] * first + [1.0] * len(failed)) / spread**2
    information = gram / variance + np.diag(precision)
    moment = np.einsum("it,t->i", design, calm) / variance + precision * prior
    free, values = _bounded(information, moment, first)

    # How far each estimate would move for a failure more in each bin.
    inverse = np.linalg.pinv(information)
    pull = np.einsum("ij,jt->it", inverse[first:], design) / variance
    residual = observed - np.einsum("it,i->t", design, values)
    shifted = np.fft.irfft(np.fft.rfft(residual) * np.conj(np.fft.rfft(pull)), n=total.size)
    low_noise, high_noise = quantiles_of(shifted, (0.05, 0.95))
    kept = np.clip(values[first:], 0.02, 0.98)
    binomial = np.einsum("jt,j->t", calls, kept * (1 - kept))
    chance = np.sqrt(np.einsum("it,t->i", (pull / root) ** 2, binomial))
    between = _between_days(pull, residual)
    # The residuals hold that chance too, spread evenly over the shifts: it must not count twice.
    mixed = float(binomial.sum() / total.sum())
    twice = Z90**2 * mixed * (pull**2).sum(axis=1)
    # What the prior still holds back, and what collinear dependencies leave open.
    open_part = np.sqrt(np.einsum("ij,j,ij->i", inverse[first:], precision, inverse[first:]))
    results: list[Hardness] = []
    for at in range(len(failed)):
        rest = math.hypot(Z90 * float(chance[at]), Z90 * float(open_part[at]))
        below, above = (
            math.hypot(math.sqrt(max(0.0, max(0.0, side) ** 2 - float(twice[at]))), rest)
            for side in (float(high_noise[at]), -float(low_noise[at]))
        )
        least = Z90 * float(between[at])
        below, above = max(below, least), max(above, least)
        middle = float(free[first + at])
        results.append(
            Hardness(
                float(values[first + at]),
                min(middle - below, 1.0),
                max(middle + above, 0.0),
                (below + above) / (2 * Z90),
            )
        )
    return results


def _controls(total: Floats, step_seconds: int) -> Floats:
    """What the service's own rate may follow: a level, load, the hour, and time."""
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
    """The hour of the day as a circle: the same for all services with as many bins; not to be written to."""
    angle = np.arange(size) * step_seconds / 86_400 * 2 * np.pi
    circle = np.sin(angle), np.cos(angle)
    for each in circle:
        each.flags.writeable = False
    return circle


def _without_own_outliers(observed: Floats, explained: Floats, root: Floats) -> Floats:
    """Cut what no dependency can explain, were all of them fully hard: that is the service's own incident."""
    rates = observed / root
    usual = float(middle_of(rates))
    scale = 1.4826 * float(middle_of(np.abs(rates - usual)))
    level = usual + OUTLIER_SIGMA * np.maximum(scale, np.sqrt(usual + 1e-12) / root)
    limit: Floats = explained + level * root + OUTLIER_SIGMA / root
    return np.minimum(observed, limit)


def _variance(design: Floats, observed: Floats, gram: Floats, rate: float) -> float:
    moment = np.einsum("it,t->i", design, observed)
    loose = np.linalg.lstsq(gram, moment, rcond=None)[0]
    residual = observed - np.einsum("it,i->t", design, loose)
    freedom = max(1, observed.size - design.shape[0])
    spread: float = max(float((residual**2).sum()) / freedom, rate * 0.1, 1e-12)
    return spread * _design_effect(residual)


def _design_effect(residual: Floats) -> float:
    """How many times neighbouring bins' errors add up to more than independent ones would."""
    clusters = residual.size // CLUSTER_BINS
    spread = float((residual**2).mean())
    if clusters < 4 or spread <= 0:
        return 1.0
    sums = residual[: clusters * CLUSTER_BINS].reshape(clusters, CLUSTER_BINS).sum(axis=1)
    return float(np.clip((sums**2).mean() / (CLUSTER_BINS * spread), 1.0, CLUSTER_BINS))


def _bounded(information: Floats, moment: Floats, first: int) -> tuple[Floats, Floats]:
    """The posterior mode, free and with all but the first columns held within 0..1."""
    unbounded: Floats = np.linalg.lstsq(information, moment, rcond=None)[0]
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
        free = ~fixed
        right = moment[free] - np.einsum("ij,j->i", information[np.ix_(free, fixed)], values[fixed])
        values[free] = np.linalg.lstsq(information[np.ix_(free, free)], right, rcond=None)[0]
    values[first:] = np.clip(values[first:], 0.0, 1.0)
    return unbounded, values


def _between_days(pull: Floats, residual: Floats) -> Floats:
    """Error by the spread between days, where enough of them have a say; 0 elsewhere."""
    starts = np.arange(0, residual.size, CLUSTER_BINS)
    scores = np.add.reduceat(pull * residual, starts, axis=1)
    weight = np.add.reduceat(pull**2, starts, axis=1)
    squares = (weight**2).sum(axis=1)
    effective = np.divide(weight.sum(axis=1) ** 2, squares, out=np.zeros_like(squares), where=squares > 0)
    error = np.sqrt((scores**2).sum(axis=1) * effective / np.maximum(1.0, effective - 1))
    return np.where(effective >= MIN_INCIDENTS, error, 0.0)
