"""Finds the services that a Prometheus knows and the calls between them, one day at a time, the newest day first.

A *service* is every value of the service label of a metric family, and both ends of every call in the service graph.
Two kinds of names in the service graph are special:

* The caller ``user`` stands for every caller that is not instrumented: people, browsers, other companies. It is not a
  service unless a metric family has a service of that name. Even then, a call from a virtual node
  (``connection_type="virtual_node"``) to a service that reports its own requests came from outside.
* Other virtual nodes, databases and queues are real services without instrumentation: they have no requests of their
  own to read.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from apps.core.resilience import Deadline
from apps.telemetry.clients.base import Discovery, Edge, ReadingQuality, SeenCalls
from apps.telemetry.clients.errors import SourceTimeout, TooMuchData
from apps.telemetry.clients.prometheus import promql
from apps.telemetry.clients.prometheus.families import MetricFamily, ServiceGraph
from apps.telemetry.clients.prometheus.matrix import Series
from apps.telemetry.clients.prometheus.questions import Questions

#: The largest fleet that the catalog, its pages and the nightly recommendations are built for.
MAX_SERVICES = 10_000
MAX_EDGES = 100_000
#: The name for every caller that is not instrumented.
OUTSIDE_CALLER = "user"
_VIRTUAL = "virtual_node"
_MESSAGING = "messaging_system"
_HOUR = 3600
_DAY = 86_400

type Progress = Callable[[int, int], None]


@dataclass(slots=True)
class _Seen:
    """The calls of one pair of names with one type of connection."""

    calls: float = 0.0
    last_seen: int = 0


@dataclass(slots=True)
class Discoverer:
    """Asks for services and calls, and sorts the answers.

    Parameters:
        families: those that the source has metrics of, in order.
        graph: the service graph, if the source has metrics of it.
        extra_ms: how much wider than a bin a counter's window is.
    """

    questions: Questions
    families: Sequence[tuple[str, MetricFamily]]
    graph: ServiceGraph | None
    quality: ReadingQuality = field(default_factory=ReadingQuality)
    extra_ms: int = 1
    _requests: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    _seen: dict[tuple[str, str, str], _Seen] = field(default_factory=lambda: defaultdict(_Seen))
    _by_the_hour: set[str] = field(default_factory=set)

    def discover(
        self, start: int, end: int, *, max_seconds: float | None = None, progress: Progress
    ) -> Discovery:
        """Look from ``end`` back to ``start``, both whole hours; with ``max_seconds``, only as far as that allows.

        Raises:
            SourceError: the source cannot be read.
        """
        deadline = Deadline(max_seconds) if max_seconds is not None else None
        days = math.ceil((end - start) / _DAY)
        reached = end
        for done in range(days):
            if done and deadline is not None and not deadline.remaining():
                break
            reached = max(start, end - (done + 1) * _DAY)
            self._look_at(reached, end - done * _DAY)
            progress(done + 1, days)
        return self._sorted(reached, end)

    def _look_at(self, start: int, end: int) -> None:
        for name, family in self.families:
            unnamed = self._earlier_labels(name, family)

            def services(step: int, family: MetricFamily = family, unnamed: list[str] = unnamed) -> str:
                return promql.services_query(family, unnamed, step, extra_ms=self.extra_ms)

            for series in self._ask("services", name, services, (start, end), (family.service_label,)):
                service = series.labels.get(family.service_label, "")
                counts = [count for count in series.values.values() if math.isfinite(count)]
                if service and counts:
                    self._requests[service] += sum(counts)
        if self.graph is None:
            return
        graph = self.graph
        labels = (graph.client_label, graph.server_label)

        def calls(step: int) -> str:
            return promql.graph_query(graph, step, extra_ms=self.extra_ms)

        for series in self._ask("callers and called", "service graph", calls, (start, end), labels):
            at = [instant for instant, count in series.values.items() if math.isfinite(count) and count > 0]
            client, server = (series.labels.get(label, "") for label in labels)
            if at and client and server and client != server:
                seen = self._seen[client, server, series.labels.get(promql.CONNECTION_LABEL, "")]
                seen.calls += sum(series.values[instant] for instant in at)
                seen.last_seen = max(seen.last_seen, *at)

    def _earlier_labels(self, name: str, family: MetricFamily) -> list[str]:
        """Return the labels by which earlier families name the services of the same metric.

        A series with one of these labels belongs to a service already. Under this family's label it would be a second
        one.
        """
        earlier: list[str] = []
        for other_name, other in self.families:
            if other_name == name:
                break
            if other.counted.metric == family.counted.metric and other.service_label != family.service_label:
                earlier.append(other.service_label)
        return earlier

    def _ask(
        self,
        purpose: str,
        family: str,
        build: Callable[[int], str],
        span: tuple[int, int],
        keep: tuple[str, ...],
    ) -> list[Series]:
        """Ask for a day as one bin. Once that is too much for the source, ask by the hour."""
        start, end = span
        key = f"{purpose}\n{family}"
        if key not in self._by_the_hour:
            try:
                return self._ask_bins(purpose, family, build, (start, end, end - start), keep)
            except (TooMuchData, SourceTimeout):
                if end - start <= _HOUR:
                    raise
                self._by_the_hour.add(key)
        return [
            series
            for first in range(start, end, _HOUR)
            for series in self._ask_bins(purpose, family, build, (first, first + _HOUR, _HOUR), keep)
        ]

    def _ask_bins(
        self,
        purpose: str,
        family: str,
        build: Callable[[int], str],
        span: tuple[int, int, int],
        keep: tuple[str, ...],
    ) -> list[Series]:
        query = build(span[2])
        parts = self.questions.ask_range(purpose, family, lambda _: query, [""], span, keep, self.quality)
        return [series for part in parts for series in part.series]

    def _sorted(self, start: int, end: int) -> Discovery:
        found = Discovery(start, end, quality=self.quality)
        calls: dict[Edge, SeenCalls] = {}
        outside: set[str] = set()
        for (client, server, connection), seen in self._seen.items():
            if self._is_from_outside(client, server, connection):
                outside.add(server)
                continue
            before = calls.get((client, server))
            is_async = connection == _MESSAGING
            calls[client, server] = SeenCalls(
                calls=seen.calls + (before.calls if before else 0.0),
                last_seen=max(seen.last_seen, before.last_seen if before else 0),
                is_async=is_async and (before is None or before.is_async),
            )
        found.called_from_outside = len(outside)
        only_called: dict[str, float] = defaultdict(float)
        for edge, seen_calls in calls.items():
            for name in edge:
                if name not in self._requests:
                    only_called[name] += seen_calls.calls
        ranked = [*_busiest(self._requests), *_busiest(only_called)]
        found.services = sorted(ranked[:MAX_SERVICES])
        found.services_left_out = len(ranked) - len(found.services)
        known = set(found.services)
        within = [edge for edge in calls if known.issuperset(edge)]
        within.sort(key=lambda edge: (-calls[edge].calls, edge))
        found.calls = {edge: calls[edge] for edge in sorted(within[:MAX_EDGES])}
        found.edges_left_out = len(calls) - len(found.calls)
        return found

    def _is_from_outside(self, client: str, server: str, connection: str) -> bool:
        if client != OUTSIDE_CALLER:
            return False
        return client not in self._requests or (connection == _VIRTUAL and server in self._requests)


def _busiest(counts: Mapping[str, float]) -> list[str]:
    return sorted(counts, key=lambda name: (-counts[name], name))
