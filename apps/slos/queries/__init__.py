"""What pages and the API show of SLOs. Nothing here writes, and nothing here loads the engine."""

from apps.slos.queries.active_slos import (
    BudgetPoint,
    BurnDown,
    all_slos,
    burn_down,
    decisions_history,
    odds_of,
    slo_history,
)
from apps.slos.queries.needs import Needs, TeamStanding, needs, team_standings
from apps.slos.queries.overview import Overview, newest_data, overview
from apps.slos.queries.page import ServicePage, service_page
from apps.slos.queries.recommendations import (
    Decision,
    RecommendationFilters,
    TablePage,
    active_slos,
    current_recommendations,
    decisions_due_count,
    due_statuses,
    last_recommendations,
    recommendations_table,
)
from apps.slos.queries.services import ServiceFilters, ServiceRow, services_table, team_names

__all__ = [
    "BudgetPoint",
    "BurnDown",
    "Decision",
    "Needs",
    "Overview",
    "RecommendationFilters",
    "ServiceFilters",
    "ServicePage",
    "ServiceRow",
    "TablePage",
    "TeamStanding",
    "active_slos",
    "all_slos",
    "burn_down",
    "current_recommendations",
    "decisions_due_count",
    "decisions_history",
    "due_statuses",
    "last_recommendations",
    "needs",
    "newest_data",
    "odds_of",
    "overview",
    "recommendations_table",
    "service_page",
    "services_table",
    "slo_history",
    "team_names",
    "team_standings",
]
