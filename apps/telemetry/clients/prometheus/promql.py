"""Writes PromQL from metric families, with every value escaped.

How requests are counted per bin
--------------------------------
A bin ``[t - step, t)`` is asked for at its end as ``increase(counter[step + 1 ms])``:

* ``increase`` copes with counter resets. It extrapolates from the samples that it finds to the edges of the window.
  With a 15 s scrape this is at most 1 sample in 240 per hour and evens out from bin to bin. Requests and failures are
  stretched alike, so that their ratio stays the same.
* With the extra millisecond, a sample exactly at the bin's start is in the window both in Prometheus 2 (closed
  windows) and in Prometheus 3 (left-open windows). Where samples are at the edges of bins, counts are exact.
* A counter that begins within the window with a value above zero loses that first value in every Prometheus.
  :meth:`Counted.births` asks for it.

Gauges are read in a window that is a millisecond shorter than the bin, so that each sample counts in one bin: rates
as their mean, ratios and probes sample by sample. Percentiles of the source are read with ``last_over_time``, so that
a bin never gets the value of the bin before; the slowest instance counts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from apps.telemetry.clients.prometheus.families import MetricFamily, Selector, ServiceGraph

#: The label for the kind of a call: unset, ``virtual_node``, ``messaging_system`` or ``database``.
CONNECTION_LABEL = "connection_type"
_PLAIN_METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_PLAIN_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_REGEX_SPECIAL = frozenset(r"\.+*?()|[]{}^$")


def quoted(value: str) -> str:
    """Write a string as a PromQL literal."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r")
    return f'"{escaped}"'


def regex_literal(value: str) -> str:
    """Write a string as an RE2 pattern that matches exactly this string."""
    return "".join(f"\\{letter}" if letter in _REGEX_SPECIAL else letter for letter in value)


def name(text: str) -> str:
    """Write a label's name, with quotes where Prometheus 2 does not allow it."""
    return text if _PLAIN_LABEL.fullmatch(text) else quoted(text)


def names(labels: Iterable[str]) -> str:
    """Write a list of labels, as ``by`` and ``without`` take it."""
    return ", ".join(name(label) for label in labels)


def one_of(label: str, values: Sequence[str]) -> str:
    """Write a matcher for any of the values."""
    if len(values) == 1:
        return f"{name(label)}={quoted(values[0])}"
    return f"{name(label)}=~{quoted('|'.join(regex_literal(value) for value in values))}"


def all_but(label: str, values: Sequence[str]) -> str:
    """Write a matcher, as a family's ``where`` takes it, for a label that has none of the values or is absent."""
    if len(values) == 1:
        return f"{label}!={values[0]}"
    return f"{label}!~{'|'.join(regex_literal(value) for value in values)}"


def vector(selector: Selector, *extra: str) -> str:
    """Write an instant selector."""
    matchers = [f"{name(label)}{operator}{quoted(value)}" for label, operator, value in selector.parsed()]
    if not _PLAIN_METRIC.fullmatch(selector.metric):
        return "{" + ",".join([quoted(selector.metric), *matchers, *extra]) + "}"
    inside = ",".join([*matchers, *extra])
    return f"{selector.metric}{{{inside}}}" if inside else selector.metric


def exactly(metric: str, labels: Iterable[tuple[str, str]]) -> str:
    """Write the selector of one series."""
    return vector(Selector(metric=metric), *(f"{name(label)}={quoted(value)}" for label, value in labels))


def counter_window(step_seconds: int, extra_ms: int = 1) -> str:
    """Write the range over which a bin's counters are read."""
    return f"[{step_seconds}s{extra_ms}ms]" if extra_ms else f"[{step_seconds}s]"


def gauge_window(step_seconds: int) -> str:
    """Write the range over which a bin's gauges are read."""
    return f"[{step_seconds * 1000 - 1}ms]"


type _Write = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Counted:
    """Series of one metric whose requests are summed per service.

    Parameters:
        kind: the family's kind.
        selectors: all of one metric; their union is counted.
        label: the label that names the service.
        replicas: a label whose values count the same requests, so that only the largest counts; empty without one.
        is_bad: whether failures are counted; this matters for ratios and probes.
        extra_ms: how much wider than the bin a counter's window is.
    """

    kind: str
    selectors: tuple[Selector, ...]
    label: str
    replicas: str = ""
    is_bad: bool = False
    extra_ms: int = 1

    @property
    def metric(self) -> str:
        return self.selectors[0].metric

    def window(self, step: int) -> str:
        """Write the range over which a bin's counter is read."""
        return counter_window(step, self.extra_ms)

    def series(self, vector_of: str, step: int) -> str:
        """Write what one series counts in a bin."""
        window = gauge_window(step)
        if self.kind == "rates":
            return f"avg_over_time({vector_of}{window}) * {step}"
        if self.kind == "ratios":
            return f"{'sum' if self.is_bad else 'count'}_over_time({vector_of}{window})"
        if self.kind == "probes" and self.is_bad:
            return f"count_over_time({vector_of}{window}) - sum_over_time({vector_of}{window})"
        if self.kind == "probes":
            return f"count_over_time({vector_of}{window})"
        increase = f"increase({vector_of}{self.window(step)})"
        return f"histogram_count({increase})" if self.selectors[0].native else increase

    def amounts(self, services: Sequence[str], step: int) -> str:
        """Write what each series of these services counts in a bin, each request once."""
        union = self.over(services, lambda one: self.series(one, step))
        return f"max without ({name(self.replicas)}) ({union})" if self.replicas else union

    def summed(self, services: Sequence[str], step: int) -> str:
        """Write the count per service and bin."""
        return f"sum by ({name(self.label)}) ({self.amounts(services, step)})"

    def summed_finite(self, services: Sequence[str], step: int) -> str:
        """Write the count per service and bin without series that count NaN or a negative number."""
        return f"sum by ({name(self.label)}) (({self.amounts(services, step)}) >= 0)"

    def series_count(self, services: Sequence[str], step: int) -> str:
        """Write the number of series per service in each bin."""
        return f"count by ({name(self.label)}) ({self.amounts(services, step)})"

    def finite_count(self, services: Sequence[str], step: int) -> str:
        """Write the number of series per service that count neither NaN nor a negative number in each bin."""
        return f"count by ({name(self.label)}) (({self.amounts(services, step)}) >= 0)"

    def resets(self, services: Sequence[str], step: int) -> str:
        """Write how often counters fell in each bin."""
        window = self.window(step)
        return f"sum by ({name(self.label)}) ({self.over(services, lambda one: f'resets({one}{window})')})"

    def worst_resets(self, services: Sequence[str], step: int) -> str:
        """Write the largest share of samples in which a single counter fell in each bin."""
        window = self.window(step)
        share = self.over(services, lambda one: f"resets({one}{window}) / count_over_time({one}{window})")
        return f"max by ({name(self.label)}) ({share})"

    def fallen(self, service: str, step: int, *, by_falls: bool) -> str:
        """Write the selection of the fallen series with the largest count, or with ``by_falls`` the most falls."""
        window = self.window(step)
        if by_falls:
            return f"topk(1, {self.over([service], lambda one: f'resets({one}{window})')} > 0)"
        counted = self.over([service], lambda one: f"increase({one}{window}) and resets({one}{window}) > 0")
        return f"topk(1, {counted})"

    def births(
        self, total: Counted, services: Sequence[str], step: int, *, created: Sequence[str] = ()
    ) -> str:
        """Write the first values of new series, where ``total`` had series of the service in the bin before.

        Parameters:
            created: a metric with the time at which each series was created, and a comparison with the bin's start such
                as ``<``: only series for which it is true count.
        """
        window, label = self.window(step), name(self.label)
        first = self.over(
            services,
            lambda one: (
                f"(min_over_time({one}{window}) unless last_over_time({one}[{step}s] offset {step}s))"
            ),
        )
        if created:
            metric, comparison = created
            instant = vector(Selector(metric=metric), one_of(self.label, services))
            first = f"({first}) and (last_over_time({instant}{window}) {comparison} (time() - {step}))"
        if self.replicas:
            # A second replica that begins to collect adds no requests.
            known = self.over(services, lambda one: f"last_over_time({one}[{step}s] offset {step}s)")
            without = f"max without ({name(self.replicas)})"
            first = f"({without} ({first})) unless ({without} ({known}))"
        before = total.over(services, lambda one: f"last_over_time({one}[{step}s] offset {step}s)")
        return f"(({first}) > 0) and on ({label}) ({before})"

    def present(self, services: Sequence[str], step: int) -> str:
        """Write the number of series that each service has in a bin."""
        seen = self.over(services, lambda one: f"last_over_time({one}[{step}s])")
        return f"count by ({name(self.label)}) ({seen})"

    def values_of(self, labels: Sequence[str], services: Sequence[str], step: int) -> str:
        """Write the values of some labels in a bin, with the number of series of each."""
        seen = self.over(services, lambda one: f"last_over_time({one}[{step}s])")
        return f"count by ({names([self.label, *labels])}) ({seen})"

    def over(self, services: Sequence[str], write: _Write) -> str:
        """Write the union of what ``write`` makes of each selector."""
        matcher = one_of(self.label, services)
        return " or ".join(write(vector(selector, matcher)) for selector in self.selectors)


def counted_total(family: MetricFamily, replicas: str = "", *, extra_ms: int = 1) -> Counted:
    """Return what counts a family's requests."""
    return Counted(family.kind, (family.counted,), family.service_label, replicas, extra_ms=extra_ms)


def counted_bad(
    family: MetricFamily, bad: Sequence[Selector], replicas: str = "", *, extra_ms: int = 1
) -> list[Counted]:
    """Return what counts a family's failures. Selectors of one metric are a union; several metrics add up."""
    by_metric: dict[str, list[Selector]] = {}
    if family.kind == "probes":
        bad = [family.counted]
    for selector in bad:
        by_metric.setdefault(selector.metric, []).append(selector)
    return [
        Counted(family.kind, tuple(selectors), family.service_label, replicas, is_bad=True, extra_ms=extra_ms)
        for selectors in by_metric.values()
    ]


def created_metric(metric: str) -> str:
    """Return the name of OpenMetrics' creation time of a counter, or of a histogram's count."""
    return f"{metric.removesuffix('_total').removesuffix('_count')}_created"


def _summed(
    labels: Sequence[str], selectors: Sequence[Selector], step_seconds: int, extra_ms: int, *extra: str
) -> str:
    window = counter_window(step_seconds, extra_ms)
    parts = [f"increase({vector(selector, *extra)}{window})" for selector in selectors]
    return f"sum by ({names(labels)}) ({' or '.join(parts)})"


def edge_query(
    graph: ServiceGraph, selector: Selector, services: Sequence[str], step_seconds: int, *, extra_ms: int = 1
) -> str:
    """Write the query for calls per pair of services in each bin, for callers among ``services``."""
    labels = [graph.client_label, graph.server_label]
    return _summed(labels, [selector], step_seconds, extra_ms, one_of(graph.client_label, services))


def services_query(family: MetricFamily, unnamed: Sequence[str], seconds: int, *, extra_ms: int = 1) -> str:
    """Write the query for requests of every service over a window, from series without the labels ``unnamed``."""
    counted = counted_total(family, extra_ms=extra_ms)
    empty = [f"{name(label)}={quoted('')}" for label in unnamed]
    amounts = counted.series(vector(family.counted, *empty), seconds)
    return f"sum by ({name(family.service_label)}) (({amounts}) >= 0)"


def graph_query(graph: ServiceGraph, seconds: int, *, extra_ms: int = 1) -> str:
    """Write the query for calls over a window per pair of names and type of connection, without zeros."""
    labels = [graph.client_label, graph.server_label, CONNECTION_LABEL]
    return f"{_summed(labels, [graph.total], seconds, extra_ms)} > 0"
