"""Looks at the labels that the series of each service have.

Labels show which requests failed, whether one name stands for several environments, and whether several collectors
count the same requests. Only labels whose names suggest one of these are looked at.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from apps.telemetry.clients.base import ReadingQuality
from apps.telemetry.clients.counts.failures import CANDIDATE, LABELS
from apps.telemetry.clients.errors import BadAnswer, SourceRefused, SourceTimeout
from apps.telemetry.clients.prometheus.asking import by_the_day
from apps.telemetry.clients.prometheus.matrix import Series
from apps.telemetry.clients.prometheus.promql import Counted, vector
from apps.telemetry.clients.prometheus.questions import Questions

#: Combinations of label values that one service is assumed to have when the size of an answer is estimated.
_TYPICAL_COMBINATIONS = 64
#: The most labels that are looked at: known names first, then the others in alphabetical order.
_MOST_LABELS = 32

#: Labels that name environments: two values under one service name are two services.
ENVIRONMENT = re.compile(
    r"(.*_)?(env|environment|environment_name|stage|namespace|namespace_name|tenant_env|deployment_env)"
)
#: Labels that name environments only if their values say so.
PLACE = re.compile(
    r"(.*_)?(cluster|cluster_name|region|zone|datacenter|dc|tier|instance_group|release|track|realm|job|project"
    r"|project_id|account|account_name|tenant|subscription|domain|slot|profile|deployment|system|org)"
)
_ENVIRONMENT_NAMES = re.compile(
    r"(?:.*[-_./])?(?:(?P<production>prod(?:uction)?|live)|(?P<staging>stag(?:e|ing)|pre-?prod(?:uction)?|uat)"
    r"|(?P<development>dev(?:elop(?:ment)?)?|local|sandbox|int(?:egration)?)"
    r"|(?P<test>test(?:ing)?|qa|ci|e2e|perf|load)|(?P<demo>demo|canary|preview))\d*(?:[-_./].*)?"
)
#: Labels that name collectors: series with different values may repeat the same counters.
COLLECTOR = re.compile(
    r".*replica.*|prometheus|prometheus_(server|instance|cluster)|(.*_)?(collector|collector_id|scraper|monitor|agent"
    r"|vmagent|agent_hostname|shipper|receiver|ingester|observer)"
)


@dataclass(slots=True)
class Profile:
    """Values of one service's labels; an empty value stands for series without the label."""

    values: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    def failures(self) -> dict[str, set[str]]:
        """Return the labels that may distinguish failures, with their values."""
        return {label: seen for label, seen in self.values.items() if CANDIDATE.fullmatch(_plain(label))}

    def environments(self) -> dict[str, set[str]]:
        """Return the labels that show several environments under this name, with their values."""
        return {label: seen for label, seen in self.values.items() if _tells_environments(label, seen)}

    def collectors(self) -> dict[str, set[str]]:
        """Return the labels of collectors that have several values, with these values."""
        return {
            label: seen
            for label, seen in self.values.items()
            if COLLECTOR.fullmatch(_plain(label)) and len(seen - {""}) > 1
        }


@dataclass(slots=True)
class Profiler:
    """Asks for profiles. Label names are asked for once per metric and time range."""

    questions: Questions
    quality: ReadingQuality
    known_names: dict[tuple[str, int, int], tuple[str, ...]] = field(default_factory=dict)

    def profiles(
        self, family: str, counted: Counted, services: Sequence[str], span: tuple[int, int, int]
    ) -> dict[str, Profile] | None:
        """Return profiles of the services that have series in the span; ``None`` where the source cannot answer.

        Raises:
            SourceUnavailable: the source does not answer at all.
        """
        days = by_the_day(span)
        try:
            labels = self._candidates(counted, span[0], span[1])
            if not labels:
                return {service: Profile() for service in services}
            found: dict[str, Profile] = defaultdict(Profile)
            for part in self.questions.ask_range(
                "labels",
                family,
                lambda batch: counted.values_of(labels, batch, days[2]),
                services,
                days,
                (counted.label, *labels),
                self.quality,
                per_service=_TYPICAL_COMBINATIONS,
            ):
                for series in part.series:
                    _note(found, series, counted.label, labels)
        except (SourceRefused, SourceTimeout, BadAnswer) as error:
            self.quality.merge(
                ReadingQuality(
                    notes=[f"The labels of {counted.metric} could not be looked at: {error.detail}"]
                )
            )
            return None
        return found

    def _candidates(self, counted: Counted, start: int, end: int) -> tuple[str, ...]:
        key = (vector(counted.selectors[0]), start, end)
        if key not in self.known_names:
            names = self.questions.label_names(key[0], start, end, self.quality)
            some = (name for name in names if name != counted.label and is_worth_a_look(name))
            ranked = sorted(some, key=lambda name: (_is_by_chance(name), name))
            self.known_names[key] = tuple(sorted(ranked[:_MOST_LABELS]))
        return self.known_names[key]


def is_worth_a_look(label: str) -> bool:
    """Return whether a label's name suggests failures, environments or collectors."""
    return CANDIDATE.fullmatch(_plain(label)) is not None or not _is_by_chance(label)


def _is_by_chance(label: str) -> bool:
    """Return whether a label has no known name, so that at most a word in its name suggests something."""
    plain = _plain(label)
    known = (ENVIRONMENT, PLACE, COLLECTOR, *(form.name for form in LABELS))
    return not any(pattern.fullmatch(plain) for pattern in known)


def _note(found: Mapping[str, Profile], series: Series, service_label: str, labels: Collection[str]) -> None:
    profile = found[series.labels.get(service_label, "")]
    for label in labels:
        profile.values[label].add(series.labels.get(label, ""))


def _tells_environments(label: str, values: Collection[str]) -> bool:
    named = [value for value in values if value]
    if len(named) < 2:
        return False
    if ENVIRONMENT.fullmatch(_plain(label)):
        return True
    if not PLACE.fullmatch(_plain(label)):
        return False
    kinds = [found.lastgroup for value in named if (found := _ENVIRONMENT_NAMES.fullmatch(value.lower()))]
    return len(kinds) == len(named) and len(set(kinds)) > 1


def _plain(label: str) -> str:
    return re.sub(r"[^a-z0-9_]", "_", label.lower())
