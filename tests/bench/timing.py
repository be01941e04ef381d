"""Medians and 95th percentiles of repeated calls, and how they are printed beside their bar."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable


def p95(call: Callable[[int], object], times: int) -> tuple[float, float]:
    """Median and 95th percentile in milliseconds."""
    taken = []
    for at in range(times):
        start = time.perf_counter()
        call(at)
        taken.append((time.perf_counter() - start) * 1000)
    return statistics.median(taken), statistics.quantiles(taken, n=20)[-1]


def show(what: str, median: float, tail: float, bar: str) -> None:
    print(f"  {what:<58} p50 {median:>8.1f} ms   p95 {tail:>8.1f} ms   bar {bar}")
