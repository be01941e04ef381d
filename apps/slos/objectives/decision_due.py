"""When a service needs a decision: it has no SLO yet, or one that the data no longer support.

An SLO inside the band of the tiers needs none. Nor does one outside that a person chose, as long as the recommendation
has not moved since. A rejected recommendation is not proposed again until its number moves.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from apps.slos.formatting import SLI_WORDS, number_words
from apps.slos.models import SliType

DECIDABLE = ("ok", "cold_start")
SLACK = 1.25
"""How far an SLO may lie outside the tiers' band without a question, as a factor of the budget or of the threshold."""
MOVED = 1.5
"""A recommendation has moved when its budget (or threshold) changed by this factor, up or down."""


@dataclass(frozen=True, slots=True)
class Question:
    """One SLI of one service, as far as the question needs it. Numbers are ratios, or milliseconds for a latency."""

    sli_type: str
    verdict: str
    conservative: float | None
    balanced: float | None
    aggressive: float | None
    active: float | None
    """The number of the active SLO, ``None`` without one."""
    decided_on: float | None
    """The balanced number when the active SLO was decided, ``None`` where there was none."""
    rejected: float | None
    """The balanced number that was last rejected, ``None`` where none was."""


def _size(sli_type: str, value: float) -> float:
    """Return what factors refer to: the budget of a target, the threshold itself of a latency."""
    return value if sli_type != SliType.AVAILABILITY else max(1 - value, 1e-12)


def has_moved(sli_type: str, before: float, now: float) -> bool:
    """Say whether a recommendation changed enough to look at it again."""
    return abs(math.log(_size(sli_type, now) / _size(sli_type, before))) > math.log(MOVED)


def due_reason(question: Question) -> str | None:
    """Return why a decision is due, as a sentence, or ``None`` when none is."""
    balanced, aggressive, conservative = question.balanced, question.aggressive, question.conservative
    if question.verdict not in DECIDABLE or balanced is None or aggressive is None or conservative is None:
        return None
    sli = question.sli_type
    if question.rejected is not None and not has_moved(sli, question.rejected, balanced):
        return None
    words = SLI_WORDS[sli]
    if question.active is None:
        return f"No {words} SLO yet; the balanced tier is {number_words(sli, balanced)}."
    if question.decided_on is not None and not has_moved(sli, question.decided_on, balanced):
        return None
    active = _size(sli, question.active)
    if active < _size(sli, aggressive) / SLACK:
        return (
            f"The {words} SLO of {number_words(sli, question.active)} is harder to keep than "
            f"the aggressive tier, {number_words(sli, aggressive)}."
        )
    if active > _size(sli, conservative) * SLACK:
        return (
            f"The {words} SLO of {number_words(sli, question.active)} asks for less than "
            f"the conservative tier, {number_words(sli, conservative)}."
        )
    return None
