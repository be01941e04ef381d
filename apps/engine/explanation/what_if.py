"""The same past with one cause of failures scaled: the input of a whole new run for a counterfactual."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from apps.engine.decomposition import (
    Decomposition,
    decompose,
    dependency_share,
    held_within,
    scaled_failures,
)
from apps.engine.edges.dependencies import CountedFactor, counted_factors
from apps.engine.edges.estimates import (
    EdgeEstimate,
    first_estimate,
    watched_since,
    with_hardness_in_each,
)
from apps.engine.reading import read
from apps.engine.series import ObservedCounts, observe
from apps.engine.types import CountSeries, DependencyInput, Floats, ServiceInput

EVERYTHING = "all"
"""Stands for all causes together."""


@dataclass(frozen=True, slots=True)
class KnownPast:
    """What a run has found out about a service's past; changed pasts are made from it."""

    service: ServiceInput
    as_of: int
    counts: ObservedCounts
    firsts: tuple[EdgeEstimate, ...]
    """The estimate of each edge alone, sorted by target id."""
    factors: tuple[CountedFactor, ...]
    parts: Decomposition

    @classmethod
    def of(cls, service: ServiceInput, as_of: int) -> KnownPast:
        """Read the past as ``recommend`` does. Raises ``ValueError`` without counts."""
        reading = read(service, as_of)
        if reading.counts is None:
            raise ValueError(f"{service.service_id} has no counts")
        factors = counted_factors(reading.estimates)
        parts = decompose(reading.counts, factors)
        return cls(service, as_of, reading.counts, reading.firsts, factors, parts)

    def scales(self, cause: str, scale: float) -> Floats:
        """Return the factor on each cause, shape ``(causes,)``. Raises ``ValueError`` for an unknown cause."""
        if cause != EVERYTHING and all(each.key != cause for each in self.parts.causes):
            raise ValueError(f"{self.service.service_id} has no cause {cause}")
        return np.array([scale if cause in (each.key, EVERYTHING) else 1.0 for each in self.parts.causes])

    def scaled(self, cause: str, scale: float) -> ServiceInput:
        """Return the service with the failures of ``cause`` scaled, and those of its dependencies with them."""
        counts = self.scaled_counts(cause, scale)
        targets = self._targets(cause)
        return replace(
            self.service,
            counts=CountSeries(counts.start, counts.step_seconds, counts.total, counts.bad),
            history=None,
            graph=None,
            dependencies=tuple(
                _scaled(each, self.as_of, scale) if each.target_id in targets else each
                for each in self.service.dependencies
            ),
        )

    def dependencies_then(self, changes: Sequence[tuple[str, float]]) -> list[tuple[float, bool]]:
        """Return the share of failures that a run on :meth:`scaled` attributes to dependencies, and whether any would
        count.

        One entry for each of ``changes`` (at least one): a cause and the factor on it.
        """
        since = watched_since([each.dependency for each in self.firsts], self.as_of)
        pasts = [
            (counts, self._firsts_then(counts, cause, scale, since))
            for (cause, scale), counts in zip(changes, self._counts_then(changes), strict=True)
        ]
        factors = [counted_factors(each) for each in with_hardness_in_each(pasts)]
        return [
            (dependency_share(counts, counted), bool(counted))
            for (counts, _), counted in zip(pasts, factors, strict=True)
        ]

    def _firsts_then(
        self, counts: ObservedCounts, cause: str, scale: float, since: int | None
    ) -> list[EdgeEstimate]:
        targets = self._targets(cause)
        return [
            first_estimate(counts, _scaled(each.dependency, self.as_of, scale), self.as_of, since=since)
            if each.dependency.target_id in targets
            else each
            for each in self.firsts
        ]

    @property
    def is_watched(self) -> bool:
        """Whether any dependency was observed, so that a new run would read its hardness again."""
        return any(each.failed_calls is not None for each in self.firsts)

    @property
    def has_soft(self) -> bool:
        """Whether a new run may find a fallback where this one found none, or the reverse."""
        return any(each.dependency.criticality == "soft" for each in self.firsts)

    def scaled_counts(self, cause: str, scale: float) -> ObservedCounts:
        """Return the counts with the failures of ``cause`` scaled."""
        (counts,) = self._counts_then([(cause, scale)])
        return counts

    def _counts_then(self, changes: Sequence[tuple[str, float]]) -> list[ObservedCounts]:
        scales = np.stack([self.scales(*each) for each in changes])
        bad = np.repeat(self.counts.bad[None], len(changes), axis=0)
        bad[:, self.counts.present] = scaled_failures(self.parts, self.counts.dense_total, scales)
        return [replace(self.counts, bad=each) for each in bad]

    def _targets(self, cause: str) -> set[str]:
        """Return the ids of the dependencies behind a cause."""
        if cause == EVERYTHING:
            return {each.target_id for each in self.service.dependencies}
        keys = {each.key for each in self.parts.causes}
        return {
            member.dependency.target_id
            for counted in self.factors
            for member in counted.members
            if cause == f"dependency:{counted.factor.name}"
            or (cause == "other_dependencies" and f"dependency:{counted.factor.name}" not in keys)
        }


def with_scaled_cause(service: ServiceInput, *, as_of: int, cause: str, scale: float) -> ServiceInput:
    """Scale the failures of ``cause`` (a feature of the attribution, or ``all``) by ``scale``.

    A dependency's own failures shrink or grow with it. Failures in excess of a bin's requests move to other bins, so
    that the total is as stated. The counts are those that ``recommend`` reads. The daily ``history`` and the graph's
    figure are dropped, because both describe the past as it was. Raises ``ValueError`` without counts or for a cause
    that the service does not have.
    """
    return KnownPast.of(service, as_of).scaled(cause, scale)


def _scaled(dependency: DependencyInput, as_of: int, scale: float) -> DependencyInput:
    return replace(
        dependency,
        edge=_with_failures(dependency.edge, as_of, scale),
        target=_with_failures(dependency.target, as_of, scale),
    )


def _with_failures(series: CountSeries | None, as_of: int, scale: float) -> CountSeries | None:
    counts = observe(series, as_of)
    if counts is None:
        return series
    bad = counts.bad.copy()
    bad[counts.present] = held_within(counts.dense_bad * scale, counts.dense_total)
    return CountSeries(counts.start, counts.step_seconds, counts.total, bad)
