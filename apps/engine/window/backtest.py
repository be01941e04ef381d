"""What a target would have cost in the past: windows missed, pages and tickets a month."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache

import numpy as np

from apps.engine.document import AvailabilityWindow, Backtest, JudgedWindow
from apps.engine.running_sums import running_sums
from apps.engine.series import DAY_SECONDS, ObservedCounts, daily
from apps.engine.types import Floats
from apps.engine.window.burn_rate import count_alerts

LOOK_BACK_DAYS = 730
STEP_DAYS = 14
MIN_COVERED_SHARE = 0.5
"""A past window is judged only where this share of its days has data."""
ALERT_DAYS = 120
"""Alerts are replayed over the newest days only: that is how long fine bins are kept."""
LEAST_ALERT_DAYS = 7
"""With fewer days, alerts say nothing about a month."""
MONTH_DAYS = 30.0


@lru_cache(maxsize=8_192)
def day_text(day: int) -> str:
    """Turn a day number since 1970 into an ISO date."""
    return datetime.fromtimestamp(day * DAY_SECONDS, UTC).date().isoformat()


def backtest_targets(
    history: ObservedCounts | None, counts: ObservedCounts | None, targets: Sequence[float], window_days: int
) -> list[Backtest[AvailabilityWindow]]:
    """Backtest several targets at once; one document for each, windows in order of time.

    Windows of ``window_days`` whole UTC days end at the newest complete day and step back 14 days, at most two years. A
    window is missed when its event-weighted availability is below the target.
    """
    windows = [
        (start, end, value, round(value, 10))
        for start, end, value in _past_windows(history, counts, window_days)
    ]
    pages, tickets = _alerts_per_month(counts, targets, window_days)
    return [
        backtest_document(
            [
                {"start": start, "end": end, "availability": shown, "missed": bool(value < target)}
                for start, end, value, shown in windows
            ],
            None if pages is None else float(pages[at]),
            None if tickets is None else float(tickets[at]),
        )
        for at, target in enumerate(targets)
    ]


def backtest_document[WindowT: JudgedWindow](
    windows: list[WindowT], pages_per_month: float | None, tickets_per_month: float | None
) -> Backtest[WindowT]:
    """Return the ``backtest`` of a tier; ``windows`` are oldest first, each with whether it was ``missed``."""
    return {
        "windows": windows,
        "missed": sum(1 for window in windows if window["missed"]),
        "of": len(windows),
        "pages_per_month": None if pages_per_month is None else round(pages_per_month, 4),
        "tickets_per_month": None if tickets_per_month is None else round(tickets_per_month, 4),
    }


def past_spans(days: int, window_days: int) -> list[tuple[int, int]]:
    """Return the windows to look at in so many days, oldest first: the first day of each and the day after its last."""
    ends = range(days, max(0, days - LOOK_BACK_DAYS) + window_days - 1, -STEP_DAYS)
    return [(end - window_days, end) for end in reversed(ends)]


def _past_windows(
    history: ObservedCounts | None, counts: ObservedCounts | None, window_days: int
) -> list[tuple[str, str, float]]:
    days = daily(history, counts)
    if days is None:
        return []
    first, total, bad = days
    spans = past_spans(total.size, window_days)
    if not spans:
        return []
    known = np.isfinite(total)
    running = running_sums(np.stack([np.where(known, total, 0), np.where(known, bad, 0), known]))
    begins, ends = np.array(spans).T
    requests, failed, covered = running[:, ends] - running[:, begins]
    kept = np.flatnonzero((requests > 0) & (covered >= MIN_COVERED_SHARE * window_days))
    values = 1 - failed[kept] / requests[kept]
    return [
        (day_text(first + spans[at][0]), day_text(first + spans[at][1]), value)
        for at, value in zip(kept.tolist(), values.tolist(), strict=True)
    ]


def _alerts_per_month(
    counts: ObservedCounts | None, targets: Sequence[float], window_days: int
) -> tuple[Floats, Floats] | tuple[None, None]:
    if counts is None or counts.step_seconds > 3_600 or counts.span_days < LEAST_ALERT_DAYS:
        return None, None
    newest = min(counts.total.size, ALERT_DAYS * DAY_SECONDS // counts.step_seconds)
    pages, tickets = count_alerts(
        counts.total[-newest:],
        counts.bad[-newest:],
        counts.step_seconds,
        np.array(targets, dtype=np.float64),
        window_days,
    )
    months = newest * counts.step_seconds / DAY_SECONDS / MONTH_DAYS
    return pages / months, tickets / months
