"""Latency thresholds of one service, and how long a journey over several services takes."""
