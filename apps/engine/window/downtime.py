"""Steady-state availability from few outages."""

from __future__ import annotations


def availability_interval(
    failures: int, uptime: float, downtime: float, confidence: float = 0.95
) -> tuple[float, float]:
    """Two-sided confidence interval of MTTF / (MTTF + MTTR) from ``failures`` outages.

    ``uptime`` and ``downtime`` are sums over all outages in one unit. Up and down times are taken as
    exponential, so the ratio of their means follows F with (2n, 2n) degrees of freedom (Trivedi,
    *Probability and Statistics with Reliability, Queuing and Computer Science Applications*, 2nd ed.,
    §10.2.3). Raises ``ValueError`` without an outage.
    """
    if failures < 1 or uptime <= 0 or downtime <= 0:
        raise ValueError("needs at least one outage with time up and time down")
    from scipy.special import fdtri

    ratio = downtime / uptime
    tail = (1 - confidence) / 2
    degrees = 2 * failures
    upper_f = float(fdtri(degrees, degrees, 1 - tail))
    lower_f = float(fdtri(degrees, degrees, tail))
    return 1 / (1 + ratio * upper_f), 1 / (1 + ratio * lower_f)
