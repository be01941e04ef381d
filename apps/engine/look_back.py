"""Which of a service's counts to read: the fine ones, or daily ones that reach further back."""

from __future__ import annotations

from apps.engine.series import ObservedCounts
from apps.engine.window.tiers import COLD_START_DAYS


def look_back(
    fine: ObservedCounts | None, history: ObservedCounts | None
) -> tuple[ObservedCounts | None, list[str]]:
    """Choose daily counts where the fine ones are few and the daily ones reach clearly further back; return a warning
    about it.
    """
    if history is None:
        return fine, []
    if fine is None:
        return history, ["Only daily counts are known: changes within a day cannot be seen."]
    if fine.days < COLD_START_DAYS and history.days >= max(2 * fine.days, fine.days + 7):
        return history, [
            f"Daily counts of {history.span_days:.0f} days are used, because finer ones reach back only "
            f"{fine.span_days:.0f} days."
        ]
    return fine, []
