"""The names of this room's work, so that no process but a worker's needs to import what the work needs."""

WHAT_IF = "journeys.what_if"
