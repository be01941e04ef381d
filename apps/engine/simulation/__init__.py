"""Simulated services of known nature: the forecast learns from them and is judged by them.

Every process can be continued from the end of its history any number of times. That is what an oracle does: it knows
the process and its parameters, not the future.
"""
