"""Stores readings as hours and days: what may replace what, what is noted, and how long it is kept."""
