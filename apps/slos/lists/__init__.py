"""The lists of services, recommendations and active SLOs: what the address asks for, and rows as drawn."""

from apps.slos.lists.active_slos import slo_listing
from apps.slos.lists.recommendations import VERDICT_WORDS, recommendation_listing
from apps.slos.lists.services import (
    SERVICE_CSV_HEADER,
    service_csv_row,
    service_filters,
    service_listing,
    service_rows,
    state_of,
)

__all__ = [
    "SERVICE_CSV_HEADER",
    "VERDICT_WORDS",
    "recommendation_listing",
    "service_csv_row",
    "service_filters",
    "service_listing",
    "service_rows",
    "slo_listing",
    "state_of",
]
