"""Requests and failures: how they are told, read, judged, and chosen among metric families."""
