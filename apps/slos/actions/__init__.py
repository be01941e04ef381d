"""What a person may do about SLOs: decide on a recommendation, write one by hand, ask for a new
recommendation.
"""

from apps.slos.actions import by_hand, decide, recommendations
from apps.slos.actions.inputs import inside, no_percentage

__all__ = ["by_hand", "decide", "inside", "no_percentage", "recommendations"]
