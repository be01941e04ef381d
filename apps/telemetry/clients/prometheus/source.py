"""Reads SLIs from Prometheus and servers like it: which questions to ask, and what their answers mean."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import InitVar, dataclass, field

from apps.telemetry.clients.base import (
    AvailabilityReading,
    Discovery,
    Edge,
    EdgeReading,
    Explanation,
    LatencyReading,
    ReadingQuality,
    ResolvedQuery,
    SourceStatus,
)
from apps.telemetry.clients.counts.accounts import FamilyAccount, read_family, take
from apps.telemetry.clients.counts.profiles import Profiler
from apps.telemetry.clients.errors import BadAnswer, SourceError, SourceRefused
from apps.telemetry.clients.latencies.reader import LatencyReader
from apps.telemetry.clients.prometheus import promql
from apps.telemetry.clients.prometheus.asking import FamilyQuestions
from apps.telemetry.clients.prometheus.dialects import Dialect, recognise, version
from apps.telemetry.clients.prometheus.discovery import Discoverer
from apps.telemetry.clients.prometheus.families import MetricFamily, Selector, TelemetryConfig
from apps.telemetry.clients.prometheus.http import PrometheusHttp
from apps.telemetry.clients.prometheus.matrix import CountAssembly, Values
from apps.telemetry.clients.prometheus.questions import SAMPLE_SERIES, Part, Questions

_DAY = 86_400


@dataclass(slots=True)
class PrometheusSource:
    """A :class:`apps.telemetry.clients.base.TelemetrySource`.

    Parameters:
        serve_stale: show the last good answer, with its age, while the source is down. This is only for people who
            look; stale answers are never stored.
        now: Unix seconds.
    """

    http: PrometheusHttp
    config: TelemetryConfig
    serve_stale: InitVar[bool] = False
    now: Callable[[], float] = time.time
    name: str = "prometheus"
    questions: Questions = field(init=False)
    _present: dict[tuple[int, int], frozenset[str]] = field(default_factory=dict)
    _introduction: tuple[Dialect, str] | None = None
    _label_names: dict[tuple[str, int, int], tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self, serve_stale: bool) -> None:
        self.questions = Questions(self.http, serve_stale)

    def close(self) -> None:
        """Close the connections."""
        self.http.close()

    # The protocol of a source

    def check(self) -> SourceStatus:
        """Ask for the version, and for the families that have metrics of the last day."""
        breaker = self.http.breaker
        try:
            self._introduction = None
            dialect, server_version = self._introduced()
            now = int(self.now())
            families = tuple(name for name, _ in self._families(now - _DAY, now, ReadingQuality()))
        except SourceError as error:
            return SourceStatus(self.name, is_up=False, detail=error.detail, breaker=breaker.state.value)
        if families:
            detail = f"{self.http.url} answers and has metrics of the last day for: {', '.join(families)}."
        else:
            tenant = f" of the tenant {self.http.org_id!r}" if self.http.org_id else ""
            check = "Is PROMETHEUS_ORG_ID right" if tenant else "Does it need PROMETHEUS_ORG_ID"
            detail = (
                f"{self.http.url} answers, but has no metrics of the last day for any metric family{tenant}. {check}? "
                "docs/telemetry.md explains how to describe your own."
            )
        return SourceStatus(
            self.name,
            is_up=True,
            detail=detail,
            breaker=breaker.state.value,
            version=server_version,
            server=dialect.value,
            families=families,
        )

    def availability(
        self,
        service_ids: Sequence[str],
        start: int,
        end: int,
        step_seconds: int,
        *,
        usual: Mapping[str, Mapping[int, float]] | None = None,
    ) -> AvailabilityReading:
        """Return requests and failed requests, each day from the family that counts them best."""
        reading = AvailabilityReading()
        accounts: dict[str, list[FamilyAccount]] = defaultdict(list)
        for name, family in self._families(start, end, reading.quality):
            asks = FamilyQuestions(self.questions, name, family, reading.quality, self.dialect.facts)
            for account in read_family(
                asks,
                self._profiler(reading.quality),
                service_ids,
                (start, end, step_seconds),
                usual or {},
                too_many_requests_fail=self.config.too_many_requests_fail,
                present=self._metrics(start, end, reading.quality),
            ):
                accounts[account.service_id].append(account)
        for service_id in service_ids:
            if service_id in accounts:
                take(accounts[service_id], reading)
        return reading

    def latency(
        self,
        service_ids: Sequence[str],
        start: int,
        end: int,
        step_seconds: int,
        *,
        leave_out: Mapping[str, Collection[int]] | None = None,
    ) -> LatencyReading:
        """Return histograms per service and bin, each day from one metric; percentile gauges without histograms."""
        reading = LatencyReading()
        families = self._families(start, end, reading.quality)
        present = self._metrics(start, end, reading.quality)
        extra_ms = self.dialect.facts.window_extra_ms
        reader = LatencyReader(self.questions, families, present, extra_ms)
        found = reader.read(service_ids, start, end, step_seconds, leave_out=leave_out)
        found.quality.merge(reading.quality)
        return found

    def edges(self, service_ids: Sequence[str], start: int, end: int, step_seconds: int) -> EdgeReading:
        """Return calls between services from the service graph's metrics; nothing where there are none."""
        reading = EdgeReading()
        graph = self.config.service_graph
        if graph is None or graph.total.metric not in self._metrics(start, end, reading.quality):
            return reading
        extra_ms = self.dialect.facts.window_extra_ms
        found: dict[Edge, CountAssembly] = defaultdict(CountAssembly)
        labels = (graph.client_label, graph.server_label)
        for selector, is_total in ((graph.total, True), (graph.bad, False)):

            def build(batch: Sequence[str], selector: Selector = selector) -> str:
                return promql.edge_query(graph, selector, batch, step_seconds, extra_ms=extra_ms)

            purpose = "calls" if is_total else "failed calls"
            span = (start, end, step_seconds)
            for part in self.questions.ask_range(
                purpose, "service graph", build, service_ids, span, labels, reading.quality
            ):
                for series in part.series:
                    edge = (series.labels.get(labels[0], ""), series.labels.get(labels[1], ""))
                    _collect(found[edge], series.values, part, is_total=is_total)
        for edge, assembly in found.items():
            if not all(edge) or not assembly.total:
                continue
            reading.series[edge] = bins = assembly.bins(step_seconds)
            if bins.implausible:
                reading.quality.implausible_bins[" → ".join(edge)] += len(bins.implausible)
        return reading

    def discover(
        self,
        start: int,
        end: int,
        *,
        max_seconds: float | None = None,
        progress: Callable[[int, int], None] = lambda _done, _total: None,
    ) -> Discovery:
        """Return the services of the metric families that have data, and the calls of the service graph."""
        quality = ReadingQuality()
        graph = self.config.service_graph
        has_graph = graph is not None and graph.total.metric in self._metrics(start, end, quality)
        families = self._families(start, end, quality)
        extra_ms = self.dialect.facts.window_extra_ms
        discoverer = Discoverer(self.questions, families, graph if has_graph else None, quality, extra_ms)
        return discoverer.discover(start, end, max_seconds=max_seconds, progress=progress)

    def explain(self, service_id: str, start: int, end: int, step_seconds: int) -> Explanation:
        """Read one service and record every query. A part that fails is recorded, not raised."""
        self.questions.record = []
        quality = ReadingQuality()
        availability, latency, edges = AvailabilityReading(), LatencyReading(), EdgeReading()
        try:
            for name, family in self._families(start, end, quality):
                self._sample(name, family, service_id, end, quality)
            availability = self.availability([service_id], start, end, step_seconds)
            left_out = availability.left_out()
            latency = self.latency([service_id], start, end, step_seconds, leave_out=left_out)
            edges = self.edges([service_id], start, end, step_seconds)
        except SourceError as error:
            if not any(query.error for query in self.questions.record):
                self.questions.record.append(ResolvedQuery("metrics", "", "", error=error.detail))
        queries, self.questions.record = self.questions.record, None
        for part in (availability.quality, latency.quality, edges.quality):
            quality.merge(part)
        return Explanation(service_id, start, end, queries, availability, latency, edges, quality)

    # Helpers

    def _profiler(self, quality: ReadingQuality) -> Profiler:
        return Profiler(self.questions, quality, self._label_names)

    def _sample(
        self, name: str, family: MetricFamily, service_id: str, end: int, quality: ReadingQuality
    ) -> None:
        """Ask for a few raw series, to show labels that a family could use."""
        selector = promql.vector(family.counted, promql.one_of(family.service_label, [service_id]))
        query = f"topk({SAMPLE_SERIES}, last_over_time({selector}[1h]))"
        question = query if self.questions.serve_stale else None
        try:
            answer = self.http.ask("query", {"query": query, "time": str(end)}, stale_question=question)
            series = self.questions.clean(answer, frozenset((family.service_label, "__name__")), quality)
        except SourceError as error:
            self.questions.tell("raw series", name, query, error=error.detail)
            raise
        self.questions.tell("raw series", name, query, series)

    def _families(self, start: int, end: int, quality: ReadingQuality) -> list[tuple[str, MetricFamily]]:
        present = self._metrics(start, end, quality)
        return [(name, family) for name, family in self.config.ordered() if family.counted.metric in present]

    def _metrics(self, start: int, end: int, quality: ReadingQuality) -> frozenset[str]:
        """Return the names of the configured metrics that the source has in this range."""
        if (start, end) not in self._present:
            names = sorted(_configured_metrics(self.config))
            wanted = f"{{__name__=~{promql.quoted('|'.join(names))}}}"
            form: dict[str, str | list[str]] = {"match[]": [wanted], "start": str(start), "end": str(end)}
            question = f"names\n{wanted}" if self.questions.serve_stale else None
            answer = self.http.ask("label/__name__/values", form, method="GET", stale_question=question)
            if not isinstance(answer.data, list):
                raise BadAnswer(f"{self.http.url} did not answer with a list of metric names.")
            quality.merge(ReadingQuality(warnings=list(answer.warnings), age_seconds=answer.age_seconds))
            self._present[start, end] = frozenset(str(name) for name in answer.data)
        return self._present[start, end]

    @property
    def dialect(self) -> Dialect:
        """Which server this is; it is asked once.

        Raises:
            SourceError: the source cannot be read.
        """
        return self._introduced()[0]

    def _introduced(self) -> tuple[Dialect, str]:
        """Return which server this is, and its version, or an empty string."""
        if self._introduction is None:
            question = "buildinfo" if self.questions.serve_stale else None
            try:
                answer = self.http.ask("status/buildinfo", {}, method="GET", stale_question=question)
            except (SourceRefused, BadAnswer) as error:
                if error.http_status not in {400, 404, 405}:
                    raise
                self.http.ask("query", {"query": "vector(1)"})
                self._introduction = Dialect.UNKNOWN, ""
            else:
                info = answer.data if isinstance(answer.data, dict) else {}
                dialect = recognise(info, answer.headers)
                self._introduction = dialect, version(dialect, info)
        return self._introduction


def _collect(assembly: CountAssembly, values: Values, part: Part, *, is_total: bool) -> None:
    (assembly.total if is_total else assembly.bad).update(values)
    if part.is_partial:
        assembly.partial.update(values)


def _configured_metrics(config: TelemetryConfig) -> set[str]:
    names: set[str] = set()
    for _, family in config.ordered():
        names |= {family.counted.metric, promql.created_metric(family.counted.metric)}
        names.update(buckets.metric for buckets in family.buckets)
        if family.percentiles:
            names.update(gauge.metric for _, gauge in family.percentiles.gauges())
    if config.service_graph:
        names.add(config.service_graph.total.metric)
    return names
