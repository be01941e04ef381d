"""Charts drawn on the server as SVG. Pure functions: equal input gives equal bytes, and all input is escaped."""

from apps.ui.charts.availability import AvailabilityPoint, daily_availability
from apps.ui.charts.budget import BudgetPoint, burn_down
from apps.ui.charts.fan import Reference, TierInterval, next_window
from apps.ui.charts.frame import Event
from apps.ui.charts.graph import GraphEdge, GraphNode, dependency_graph
from apps.ui.charts.hours import DayOfHours, hours_by_day
from apps.ui.charts.latency import LatencySeries, latency_lines
from apps.ui.charts.scale import as_date
from apps.ui.charts.small import Window, backtest_strip, meter, sparkline
from apps.ui.charts.svg import Chart, ChartTable
from apps.ui.charts.waterfall import Contribution, waterfall

__all__ = [
    "AvailabilityPoint",
    "BudgetPoint",
    "Chart",
    "ChartTable",
    "Contribution",
    "DayOfHours",
    "Event",
    "GraphEdge",
    "GraphNode",
    "LatencySeries",
    "Reference",
    "TierInterval",
    "Window",
    "as_date",
    "backtest_strip",
    "burn_down",
    "daily_availability",
    "dependency_graph",
    "hours_by_day",
    "latency_lines",
    "meter",
    "next_window",
    "sparkline",
    "waterfall",
]
