"""What one service and its dependencies have done, read at an instant: the first part of the work.

The graph below many services is composed from the edges that are found here, while the services are assessed
(:mod:`apps.engine.assessment`), perhaps by other processes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from apps.engine.edges.estimates import EdgeEstimate, first_estimates, with_hardness
from apps.engine.look_back import look_back
from apps.engine.series import ObservedCounts, observe
from apps.engine.types import DependencyInput, ServiceInput


@dataclass(frozen=True, slots=True)
class Known:
    """What the graph is composed from: a service's edges, without their series, and its observed ``availability``
    (``None`` if it was not observed).
    """

    estimates: tuple[EdgeEstimate, ...]
    availability: float | None


@dataclass(frozen=True, slots=True)
class Reading:
    """A service as it was known at ``as_of`` (Unix seconds).

    ``fine`` and ``history`` are its hours and days; ``counts`` is the one of the two that is used, which ``warnings``
    explain. ``firsts`` are the estimates of each edge alone, ``estimates`` those of all edges together, sorted by
    target id.
    """

    service: ServiceInput
    as_of: int
    fine: ObservedCounts | None
    history: ObservedCounts | None
    counts: ObservedCounts | None
    warnings: tuple[str, ...]
    firsts: tuple[EdgeEstimate, ...]
    estimates: tuple[EdgeEstimate, ...]

    @property
    def known(self) -> Known:
        """What the graph needs of it."""
        return Known(
            tuple(_without_series(each) for each in self.estimates),
            None if self.counts is None else self.counts.availability,
        )


def read(service: ServiceInput, as_of: int) -> Reading:
    """Read a service's counts and its edges; nothing that happened after ``as_of`` has any influence."""
    fine = observe(service.counts, as_of)
    history = observe(service.history, as_of)
    counts, warnings = look_back(fine, history)
    if any(each.target_id == service.service_id for each in service.dependencies):
        warnings.append(f"{service.service_id} calls itself: such calls belong to its own reliability.")
    firsts = first_estimates(counts, other_services(service), as_of)
    estimates = tuple(with_hardness(counts, firsts))
    return Reading(service, as_of, fine, history, counts, tuple(warnings), firsts, estimates)


def other_services(service: ServiceInput) -> Sequence[DependencyInput]:
    """Return a service's dependencies without itself: its own failures are its own reliability."""
    return [each for each in service.dependencies if each.target_id != service.service_id]


def _without_series(estimate: EdgeEstimate) -> EdgeEstimate:
    return replace(
        estimate, dependency=replace(estimate.dependency, edge=None, target=None), failed_calls=None
    )
