"""Prometheus and servers with its API: the HTTP API, the query language, and the questions to it."""
