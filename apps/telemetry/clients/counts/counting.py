"""Reads requests and failures of one metric family, with the evidence needed to judge them.

The evidence is how often counters fell, and the values that new series began with: ``increase`` does not count the
first value of a counter that begins above zero.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from apps.telemetry.clients.base import Finding
from apps.telemetry.clients.counts.diagnosis import Diagnosis, diagnose
from apps.telemetry.clients.counts.ways import Settled, Way
from apps.telemetry.clients.errors import SourceError
from apps.telemetry.clients.prometheus import promql
from apps.telemetry.clients.prometheus.asking import FamilyQuestions, Span
from apps.telemetry.clients.prometheus.matrix import Series, Values
from apps.telemetry.clients.prometheus.promql import Counted

#: A service whose counters fall at least this often within a bin is asked how often each single counter fell.
_MANY_RESETS = 3


@dataclass(slots=True)
class Evidence:
    """What the source answered for one service. Keys are the instants at which bins end.

    ``resets`` is how often counters fell; ``worst_resets`` is the largest share of samples in which a single counter
    fell. ``bad_resets`` and ``bad_worst_resets`` are the same for failures that have a metric of their own.
    ``births`` and ``bad_births`` are the requests and failures that new series began with; ``born`` is how many
    series are new.
    """

    settled: Settled
    total: Values = field(default_factory=dict)
    bad: Values = field(default_factory=dict)
    partial: set[int] = field(default_factory=set)
    """Bins that may lack data: those in ``warned``, and those whose series that count NaN are left out."""
    warned: set[int] = field(default_factory=set)
    """Bins for which the source said that its answer may lack data."""
    resets: Values = field(default_factory=dict)
    worst_resets: Values = field(default_factory=dict)
    bad_resets: Values = field(default_factory=dict)
    bad_worst_resets: Values = field(default_factory=dict)
    births: Values = field(default_factory=dict)
    bad_births: Values = field(default_factory=dict)
    born: Values = field(default_factory=dict)
    dated: Values = field(default_factory=dict)
    """The part of ``births`` that happened within its bin according to the series' creation times."""
    bad_dated: Values = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)


@dataclass(slots=True)
class CountReader:
    """Reads the counts of one metric family.

    Parameters:
        present: names of the metrics that the source has.
    """

    asks: FamilyQuestions
    present: frozenset[str] = frozenset()

    def read(self, settled: Mapping[str, Settled], span: Span) -> dict[str, Evidence]:
        """Read the settled services over ``span``, ``(start, end, step)`` in seconds; return those that have data.

        Raises:
            SourceError: the source cannot be read.
        """
        found = {service: Evidence(one) for service, one in settled.items()}
        members: dict[Way, list[str]] = defaultdict(list)
        for service, one in settled.items():
            members[one.way].append(service)
        for way, services in members.items():
            self._read(way, services, span, found)
        return {service: evidence for service, evidence in found.items() if evidence.total}

    def look(
        self, service: str, way: Way, step: int, ends_at: int, *, of_bad: bool, by_falls: bool
    ) -> Diagnosis | None:
        """Return why a counter fell in the bin that ends at ``ends_at``, from its samples; ``None`` without samples."""
        name, ask = self.asks.name, self.asks.questions.instant
        found: list[Series] = []
        try:
            for counted in self.asks.bads(way.bad) if of_bad else [self.asks.total()]:
                query = counted.fallen(service, step, by_falls=by_falls)
                fallen = ask("counter that fell", name, query, ends_at)
                if fallen:
                    labels = sorted(item for item in fallen[0].labels.items() if item[0] != "__name__")
                    samples = promql.exactly(counted.metric, labels) + counted.window(step)
                    found = ask("samples", name, samples, ends_at)
                    break
        except SourceError:
            return None
        values = [one.values[at] for one in found[:1] for at in sorted(one.values)]
        return diagnose([value for value in values if not math.isnan(value)]) if values else None

    def _read(self, way: Way, services: Sequence[str], span: Span, found: Mapping[str, Evidence]) -> None:
        family = self.asks.family
        total = self.asks.total(way.replicas)
        for service, values, partial in self._sums("requests", total, services, span, found):
            _add(found[service].total, values)
            found[service].partial |= partial
        with_data = [service for service in services if found[service].total]
        bads = self.asks.bads(way.bad, way.replicas)
        for bad in bads if with_data else ():
            for service, values, partial in self._sums("failures", bad, with_data, span, found):
                _add(found[service].bad, values)
                found[service].partial |= partial
        if family.kind != "counters" or not with_data:
            return
        for service, resets, shares in self._resets(total, with_data, span):
            found[service].resets, found[service].worst_resets = resets, shares
        for bad in bads:
            if bad.metric != total.metric:
                for service, resets, shares in self._resets(bad, with_data, span):
                    _add(found[service].bad_resets, resets)
                    _keep_largest(found[service].bad_worst_resets, shares)
        if not self.asks.facts.counts_first_value and not total.selectors[0].native:
            self._read_births(total, bads, with_data, span, found)

    def _resets(
        self, counted: Counted, services: Sequence[str], span: Span
    ) -> Iterator[tuple[str, Values, Values]]:
        """Yield each service with its falls per bin and, where they are many, the share of samples that fell."""
        resets = self.asks.evidence("resets", counted.resets, services, span)
        suspects = [one for one, values in resets.items() if max(values.values(), default=0) >= _MANY_RESETS]
        shares = self.asks.evidence("resets by sample", counted.worst_resets, suspects, span)
        for service, values in resets.items():
            yield service, values, shares.get(service, {})

    def _read_births(
        self,
        total: Counted,
        bads: Sequence[Counted],
        services: Sequence[str],
        span: Span,
        found: Mapping[str, Evidence],
    ) -> None:
        for service, values in self._born(total, total, services, span).items():
            found[service].births = values
        born = [service for service in services if found[service].births]
        label = promql.name(total.label)
        counted = self.asks.evidence(
            "series born",
            lambda some, step: f"count by ({label}) ({total.births(total, some, step)})",
            born,
            span,
        )
        for service, values in counted.items():
            found[service].born = values
        for bad in bads:
            # Failures in a metric of their own can get a new series without any new series of requests.
            some = born if bad.metric == total.metric else services
            for service, values in self._born(bad, total, some, span).items():
                _add(found[service].bad_births, values)
        created = promql.created_metric(total.metric)
        if created in self.present and born:
            self._date_births(created, total, bads, born, span, found)

    def _born(
        self, counted: Counted, total: Counted, services: Sequence[str], span: Span, *created: str
    ) -> dict[str, Values]:
        label = promql.name(total.label)

        def began(some: Sequence[str], step: int) -> str:
            return f"sum by ({label}) ({counted.births(total, some, step, created=created)})"

        return self.asks.evidence("series born", began, services, span)

    def _date_births(
        self,
        created: str,
        total: Counted,
        bads: Sequence[Counted],
        services: Sequence[str],
        span: Span,
        found: Mapping[str, Evidence],
    ) -> None:
        """Subtract the first values of series created before their bin, and mark those created within it as dated."""
        for counted in (total, *(bad for bad in bads if bad.metric == total.metric)):
            older = self._born(counted, total, services, span, created, "<")
            newer = self._born(counted, total, services, span, created, ">=")
            for service in services:
                evidence = found[service]
                births = evidence.births if counted is total else evidence.bad_births
                _add(births, {at: -value for at, value in older.get(service, {}).items()})
                _add(evidence.dated if counted is total else evidence.bad_dated, newer.get(service, {}))

    def _sums(
        self,
        purpose: str,
        counted: Counted,
        services: Sequence[str],
        span: Span,
        found: Mapping[str, Evidence],
    ) -> Iterator[tuple[str, Values, set[int]]]:
        """Yield sums per service and the partial bins. Where some series count NaN, sum the other series."""
        spoilt: dict[str, set[int]] = {}
        asks, step, asked = self.asks, span[2], set(services)
        for part in asks.questions.ask_range(
            purpose,
            asks.name,
            lambda batch: counted.summed(batch, step),
            services,
            span,
            (counted.label,),
            asks.quality,
        ):
            for series in part.series:
                service = series.labels.get(counted.label, "")
                if service not in asked:
                    continue
                values = {at: value for at, value in series.values.items() if not math.isnan(value)}
                if len(values) < len(series.values):
                    spoilt.setdefault(service, set()).update(series.values.keys() - values.keys())
                if part.is_partial:
                    found[service].warned |= values.keys()
                yield service, values, set(values) if part.is_partial else set()
        for service, values in self._without_nan(purpose, counted, spoilt, span, found):
            yield service, values, {at for at, value in values.items() if not math.isnan(value)}

    def _without_nan(
        self,
        purpose: str,
        counted: Counted,
        spoilt: Mapping[str, set[int]],
        span: Span,
        found: Mapping[str, Evidence],
    ) -> Iterator[tuple[str, Values]]:
        services, step = sorted(spoilt), span[2]
        queries = (counted.summed_finite, counted.series_count, counted.finite_count)
        sums, series, finite = (self.asks.evidence(purpose, query, services, span) for query in queries)
        for service in services:
            known, all_of, good = (each.get(service, {}) for each in (sums, series, finite))
            worst = max(spoilt[service], key=lambda at: (all_of.get(at, 0.0) - good.get(at, 0.0), at))
            of = int(all_of.get(worst, 0))
            found[service].findings.append(
                Finding(
                    "not_a_number",
                    {at - step for at in spoilt[service]},
                    {"bad": of - int(good.get(worst, 0)), "of": of},
                    counted.metric,
                )
            )
            # NaN stands for a bin in which no series counts a number; the judge throws it out.
            yield service, {at: known.get(at, math.nan) for at in spoilt[service]}


def _keep_largest(known: Values, more: Values) -> None:
    for at, value in more.items():
        known[at] = max(known.get(at, 0.0), value)


def _add(known: Values, more: Values) -> None:
    for at, value in more.items():
        known[at] = known.get(at, 0.0) + value
