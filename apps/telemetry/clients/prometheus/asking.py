"""Asks about many services of one metric family, one value a service and bin."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from apps.telemetry.clients.base import ReadingQuality
from apps.telemetry.clients.errors import SourceRefused, SourceTimeout
from apps.telemetry.clients.prometheus.dialects import Facts
from apps.telemetry.clients.prometheus.families import MetricFamily, Selector
from apps.telemetry.clients.prometheus.matrix import Values
from apps.telemetry.clients.prometheus.promql import Counted, counted_bad, counted_total
from apps.telemetry.clients.prometheus.questions import Questions

type Span = tuple[int, int, int]
type Build = Callable[[Sequence[str], int], str]
"""Writes the query for some services and a step in seconds."""


@dataclass(slots=True)
class FamilyQuestions:
    """Questions about one family; ``name`` is its name in the configuration."""

    questions: Questions
    name: str
    family: MetricFamily
    quality: ReadingQuality
    facts: Facts = field(default_factory=Facts)

    def total(self, replicas: str = "") -> Counted:
        """Return what counts the family's requests."""
        return counted_total(self.family, replicas, extra_ms=self.facts.window_extra_ms)

    def bads(self, selectors: Sequence[Selector], replicas: str = "") -> list[Counted]:
        """Return what counts the family's failures, one for each metric among the selectors."""
        return counted_bad(self.family, selectors, replicas, extra_ms=self.facts.window_extra_ms)

    def evidence(self, purpose: str, build: Build, services: Sequence[str], span: Span) -> dict[str, Values]:
        """Return finite values by service, for services that have any. A refusal gives none, and is noted.

        This is for values that help to judge counts but are not counted themselves. Without them counts stay as they
        are.

        Raises:
            SourceUnavailable: the source does not answer.
        """
        found: dict[str, Values] = {}
        if not services:
            return found
        label, step, asked = self.family.service_label, span[2], set(services)
        try:
            for part in self.questions.ask_range(
                purpose, self.name, lambda batch: build(batch, step), services, span, (label,), self.quality
            ):
                for series in part.series:
                    service = series.labels.get(label, "")
                    if service in asked:
                        values = {at: value for at, value in series.values.items() if math.isfinite(value)}
                        found.setdefault(service, {}).update(values)
        except (SourceRefused, SourceTimeout) as error:
            note = f"{self.name}: {purpose} could not be looked at. {error.detail}"
            self.quality.merge(ReadingQuality(notes=[note]))
        return found


def by_the_day(span: Span) -> Span:
    """Return the span in bins of a day, or as one bin if it is shorter. The start moves back to whole bins."""
    start, end, _ = span
    step = min(86_400, end - start)
    return end - -(-(end - start) // step) * step, end, step


def listed(items: Sequence[str], word: str) -> str:
    """Return items as a sentence lists them, with ``word`` before the last one."""
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} {word} {items[-1]}"
