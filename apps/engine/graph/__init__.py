"""Availability over a whole graph: what is shared, what stands in, what goes round in cycles."""
