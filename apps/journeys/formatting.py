"""Text for the parts of a journey: the same in dialogs, audit entries, forms and pages."""

from __future__ import annotations

from collections.abc import Sequence

from apps.journeys.documents import PathPart, StepPart
from apps.ui.format import NO_VALUE, ms, number, percent

LATENCY_SHARE = 0.95
"""A latency target is kept where at least this share of the journeys ends within it."""


def step_words(step: StepPart) -> str:
    """Return a step in one line, as the form reads it: ``checkout-web``, ``fraud-api × 0.3``."""
    calls = float(step.get("calls", 1.0))
    return step["service_id"] if calls == 1 else f"{step['service_id']} × {calls:g}"


def shares(paths: Sequence[PathPart]) -> list[float]:
    """Return the share of journeys on each path, 0..1."""
    total = sum(float(path.get("weight", 1.0)) for path in paths) or 1.0
    return [float(path.get("weight", 1.0)) / total for path in paths]


def path_name(path: PathPart, at: int) -> str:
    """Return a path's name, or its number."""
    return str(path.get("name") or f"Path {at + 1}")


def path_words(paths: Sequence[PathPart]) -> list[str]:
    """Return each path in one line: ``card, 80 %: checkout-web → payments-api``."""
    return [
        f"{path_name(path, at)}, {number(share * 100, 1)} %: "
        + " → ".join(step_words(step) for step in path["steps"])
        for at, (path, share) in enumerate(zip(paths, shares(paths), strict=True))
    ]


def within_words(target_ms: float | None) -> str:
    """Return a latency target in words: ``95 % within 1.2 s``."""
    return NO_VALUE if target_ms is None else f"{percent(LATENCY_SHARE)} within {ms(target_ms)}"
