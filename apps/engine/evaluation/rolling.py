"""The same test on real history: windows of the past, each held out in its turn."""

from __future__ import annotations

import numpy as np

from apps.engine.evaluation.evaluate import Outcome, evaluate_service
from apps.engine.series import DAY_SECONDS
from apps.engine.types import CountSeries, ServiceInput

LEAST_DAYS, MOST_DAYS = 60, 90
LEAST_COVERED_AHEAD, LEAST_COVERED_BEFORE = 0.8, 0.6


def rolling(
    service_id: str, family: str, series: CountSeries, *, holdout_days: int = 28, least_days: int = LEAST_DAYS
) -> list[Outcome]:
    """Evaluate every window of ``holdout_days`` that has ``least_days`` of history before it.

    Held-out windows do not overlap and end with the history; at most ``MOST_DAYS`` before each are shown. Windows of
    which too little was watched are left out.
    """
    bins = DAY_SECONDS // series.step_seconds
    found: list[Outcome] = []
    for cut in range(series.total.size // bins - holdout_days, least_days - 1, -holdout_days):
        before = slice(max(0, cut - MOST_DAYS) * bins, cut * bins)
        ahead = slice(cut * bins, (cut + holdout_days) * bins)
        total, bad = series.total[ahead], series.bad[ahead]
        requests, failed = float(np.nansum(total)), float(np.nansum(bad))
        known = np.isfinite(series.total[before])
        if (
            np.isfinite(total).mean() < LEAST_COVERED_AHEAD
            or known.mean() < LEAST_COVERED_BEFORE
            or requests <= 0
        ):
            continue
        start = series.start + before.start * series.step_seconds
        past = CountSeries(start, series.step_seconds, series.total[before], series.bad[before])
        found.append(
            evaluate_service(
                family,
                ServiceInput(service_id, counts=past),
                series.start + cut * DAY_SECONDS,
                requests=requests,
                actual=failed / requests,
                futures=[failed / requests],
                oracle=None,
                window_days=holdout_days,
            )
        )
    return found
