"""The recommendation engine: pure functions from observed counts to SLO recommendations.

No Django, no I/O, no clock and no global state. Start at :mod:`apps.engine.recommend`.
"""
