"""What other rooms have done here: recommendations made, statuses refreshed, and what a recommendation is made of.

Only workers and commands import this module: it loads the engine. Pages ask :mod:`apps.slos.queries`.
"""

from apps.slos.documents.types import as_availability
from apps.slos.making.compute import archetypes, service_as_of
from apps.slos.making.compute import refresh as refresh_recommendations
from apps.slos.making.footing import figures as figures_below
from apps.slos.making.inputs import load as load_inputs
from apps.slos.objectives.status import refresh as refresh_statuses

__all__ = [
    "archetypes",
    "as_availability",
    "figures_below",
    "load_inputs",
    "refresh_recommendations",
    "refresh_statuses",
    "service_as_of",
]
