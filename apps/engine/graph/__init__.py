"""Availability over a whole graph: shared nodes, redundancy groups, cycles."""
