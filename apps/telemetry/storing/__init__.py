"""From readings to stored hours and days: what may replace what, what is noted, what is kept."""
