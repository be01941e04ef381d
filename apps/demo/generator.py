"""Turn the description of the demo fleet into what monitoring would have recorded, hour by hour.

Pure: numpy only, no clock. ``anchor`` is midnight UTC (Unix seconds) of the day on which the demo was loaded. Every bin
is a function of the description, the anchor and its own hour.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from apps.demo.description import CallSpec, Fleet
from apps.demo.process import DAY_HOURS, HOUR, Hours, own_processes
from apps.demo.randomness import Floats, binomial, keys, poisson

#: Rounds in which traffic and failures spread over the calls: more than the longest path has calls, and enough for the
#: cycle, whose product of call rates is 1 %.
ROUNDS = 9
#: The part of a redundant group's failures that takes all members at once (β-factor).
COMMON_CAUSE = 0.05


@dataclass(frozen=True, slots=True)
class Observations:
    """The recorded hours. ``start`` holds their beginnings (Unix seconds, shape ``(h,)``).

    Service arrays have shape ``(services, h)``, edge arrays ``(calls, h)``, in the order of the description;
    an hour without a record is ``nan``. ``failing`` is the expected share of failures, before chance.
    """

    start: NDArray[np.int64]
    total: Floats
    bad: Floats
    median_ms: Floats
    edge_total: Floats
    edge_bad: Floats
    failing: Floats


def simulate(fleet: Fleet, *, anchor: int, start: int, end: int) -> Observations:
    """Return the hours from ``start`` up to, but without, ``end`` (Unix seconds, full hours)."""
    first = start - (start - anchor) % (DAY_HOURS * HOUR)
    last = end + (anchor - end) % (DAY_HOURS * HOUR)
    hours = Hours.between(anchor, first, last)  # whole days, so that a part gets the same values as the whole
    own = own_processes(fleet, hours)
    position = {service_id: row for row, service_id in enumerate(fleet.service_ids)}
    requests = _spread_requests(fleet, own.requests, position)
    failing = _spread_failures(fleet, own.failing, position)

    sources = np.array([position[call.source] for call in fleet.calls])
    targets = np.array([position[call.target] for call in fleet.calls])
    per_request = np.array([call.per_request for call in fleet.calls])[:, None]
    names = [(call.source, call.target) for call in fleet.calls]
    edge_total = poisson(
        requests[sources] * per_request, keys(fleet.seed, [("calls", *n) for n in names]), hours.relative
    )
    edge_bad = binomial(
        edge_total, failing[targets], keys(fleet.seed, [("failed", *n) for n in names]), hours.relative
    )
    ids = [(service_id,) for service_id in fleet.service_ids]
    total = poisson(own.requests, keys(fleet.seed, [("outside", *n) for n in ids]), hours.relative)
    bad = binomial(total, failing, keys(fleet.seed, [("outside failed", *n) for n in ids]), hours.relative)
    # A service counts exactly the requests that its callers sent.
    np.add.at(total, targets, edge_total)
    np.add.at(bad, targets, edge_bad)

    kept = slice((start - first) // HOUR, (end - first) // HOUR)
    seen = own.observed[:, kept]
    edge_seen = seen[sources] & seen[targets]
    return Observations(
        start=np.arange(start, end, HOUR, dtype=np.int64),
        total=np.where(seen, total[:, kept], np.nan),
        bad=np.where(seen, bad[:, kept], np.nan),
        median_ms=own.median_ms[:, kept],
        edge_total=np.where(edge_seen, edge_total[:, kept], np.nan),
        edge_bad=np.where(edge_seen, edge_bad[:, kept], np.nan),
        failing=failing[:, kept],
    )


def _spread_requests(fleet: Fleet, direct: Floats, position: dict[str, int]) -> Floats:
    """Return the expected requests of every service: those from outside and those from its callers."""
    requests = direct
    for _ in range(ROUNDS):
        sent = direct.copy()
        for call in fleet.calls:
            sent[position[call.target]] += call.per_request * requests[position[call.source]]
        requests = sent
    return requests


def _spread_failures(fleet: Fleet, own: Floats, position: dict[str, int]) -> Floats:
    """Return the chance that each service fails a request, including failures of its dependencies."""
    alone = [call for call in fleet.calls if call.carries_failures and not call.group]
    groups: dict[tuple[str, str], list[CallSpec]] = {}
    for call in fleet.calls:
        if call.carries_failures and call.group:
            groups.setdefault((call.source, call.group), []).append(call)
    failing = own
    for _ in range(ROUNDS):
        good = 1.0 - own
        for call in alone:
            good[position[call.source]] *= 1.0 - call.hardness * _met(
                call.per_request, failing[position[call.target]]
            )
        for (source, _group), members in groups.items():
            rates = np.array([member.per_request for member in members])
            each = np.stack([failing[position[member.target]] for member in members])
            shared = (rates[:, None] * each).sum(axis=0) / rates.sum()
            all_fail = COMMON_CAUSE * shared + (1.0 - COMMON_CAUSE) * each.prod(axis=0)
            good[position[source]] *= 1.0 - members[0].hardness * min(1.0, float(rates.sum())) * all_fail
        failing = 1.0 - good
    return failing


def _met(per_request: float, failing: Floats) -> Floats:
    """Return the chance that a request meets a failed call: its only one below one call a request, else any of them."""
    if per_request <= 1.0:
        return per_request * failing
    result: Floats = 1.0 - (1.0 - failing) ** per_request
    return result
