"""What a person may do about promises: decide on a recommendation, write one by hand, ask for a new
recommendation.
"""

from apps.slos.actions import by_hand, decide, recommendations

__all__ = ["by_hand", "decide", "recommendations"]
