"""Requests and failures: how they are recognised, read, judged and chosen among metric families."""
