"""Evaluation of latency for sources that know the percentiles of each bin and no histograms.

The engine sees the same simulated services as such a source shows them: the p95 and p99 of each hour or of each five
minutes, read from that bin's own requests. A window is missed where more than one bin in twenty lies above the
threshold, as the engine's threshold states.
"""

from __future__ import annotations

import numpy as np

from apps.engine.evaluation.evaluate import CUT
from apps.engine.evaluation.latency import (
    PERCENTILES,
    LatencyJob,
    LatencyOutcome,
    offered,
    simulated_latencies,
)
from apps.engine.latency.thresholds import BINS_SHARE, HOUR_SECONDS
from apps.engine.percentiles import percentile
from apps.engine.recommend import recommend
from apps.engine.simulation.latency_fleet import SimulatedLatency
from apps.engine.types import Floats, PercentileSeries, ServiceInput

BINS_PER_HOUR = (1, 12)


def evaluate_bins(simulated: SimulatedLatency, name: str, seed: int) -> list[LatencyOutcome]:
    """Recommend for a simulated service that shows only bins' percentiles; one outcome for each percentile."""
    generator = np.random.default_rng([seed, 79])
    per_hour = BINS_PER_HOUR[int(generator.integers(0, len(BINS_PER_HOUR)))]
    series = simulated.series
    past = np.diff(np.nan_to_num(series.cumulative), axis=1, prepend=0.0)
    shown = _values(series.bounds_ms, past, per_hour, generator)
    came = _values(series.bounds_ms, simulated.future_hours(generator), per_hour, generator)
    at = series.start + np.arange(past.shape[0] * per_hour, dtype=np.int64) * (HOUR_SECONDS // per_hour)
    service = ServiceInput(name, percentiles=PercentileSeries(at, shown["p95_ms"], shown["p99_ms"], per_hour))
    document = recommend(service, as_of=CUT, window_days=simulated.window_days)
    found = []
    for which in PERCENTILES:
        offer, held_out = document["latency"][which], came[which][np.isfinite(came[which])]
        if not held_out.size:
            continue
        predictions, intervals = offered(offer)
        actual = float(np.quantile(held_out, BINS_SHARE, method="inverted_cdf"))
        found.append(
            LatencyOutcome(
                family=simulated.family,
                which=which,
                scheme=f"{per_hour} an hour",
                regime=offer["regime"],
                days=past.shape[0] / 24,
                coverage=float(np.isfinite(shown[which]).mean()),
                window_requests=float(np.nansum(series.cumulative[:, -1]) / past.shape[0]),
                actual=actual,
                exact=None,
                futures=(actual,),
                predictions=predictions,
                intervals=intervals,
                top_ms=float(series.bounds_ms[-2]),
            )
        )
    return found


def evaluate_bins_numbers(job: LatencyJob) -> list[LatencyOutcome]:
    """Simulate and evaluate services by their bins' percentiles alone: one process's part."""
    return [outcome for each in simulated_latencies(job) for outcome in evaluate_bins(*each)]


def _values(
    bounds_ms: Floats, counts: Floats, per_hour: int, generator: np.random.Generator
) -> dict[str, Floats]:
    """Return each bin's own percentiles from the hours' counts ``(hours, k)``; above the highest bound they are that
    bound.
    """
    if per_hour > 1:
        shares = np.full(per_hour, 1 / per_hour)
        parts = generator.multinomial(counts.astype(np.int64), shares)
        counts = np.moveaxis(parts, 2, 1).reshape(-1, counts.shape[1]).astype(np.float64)
    cumulative = np.cumsum(counts, axis=1)
    top = float(bounds_ms[-2])
    return {
        which: np.minimum(percentile(bounds_ms, cumulative, share), top)
        for which, share in PERCENTILES.items()
    }
