"""Prometheus and what speaks like it: its HTTP API, its query language, and what it is asked."""
