"""The settings that people store for telemetry: the source and the metric families."""
