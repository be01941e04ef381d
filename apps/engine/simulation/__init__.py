"""Simulated services of known nature: what the forecast learns from, and what it is judged by.

Every process can be continued from where its history ended as often as one likes. That is what an oracle
does: it knows the process and its parameters, not the future.
"""
