"""The actions of telemetry: read it, connect its source, choose the metrics to read."""

from apps.telemetry.actions import connections, families, readings
from apps.telemetry.actions.readings import MAX_DISCOVER_DAYS

__all__ = ["MAX_DISCOVER_DAYS", "connections", "families", "readings"]
