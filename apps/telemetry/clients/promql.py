"""Writes PromQL from metric families, with every value escaped.

How requests are counted per bin
--------------------------------
A bin ``[t - step, t)`` is asked for at its end as ``increase(counter[step + 1 ms])``. Three things to know of
it:

* ``increase`` copes with counter resets, and it extrapolates: from the samples it finds to the edges of the
  window. With a 15 s scrape this is at most 1 sample in 240 per hour and evens out from bin to bin; good and
  bad are stretched alike, so that a ratio is not touched.
* The millisecond makes the sample that sits exactly on the bin's start part of the window in Prometheus 2
  (closed windows) and Prometheus 3 (left-open windows) alike: where samples sit on the edges of bins, counts
  are exact.
* A counter that is born within the window with a value above zero loses that first value, in every
  Prometheus.

Percentiles that were computed already are read as ``last_over_time(gauge[step - 1 ms])``: the value of this
bin, never the one before; of several instances the slowest counts.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from apps.telemetry.clients.families import MetricFamily, PercentileGauges, Selector, ServiceGraph

#: What kind of node is at the other end of a call: unset, ``virtual_node``, ``messaging_system`` or ``database``.
CONNECTION_LABEL = "connection_type"
_PLAIN_METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_PLAIN_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_REGEX_SPECIAL = frozenset(r"\.+*?()|[]{}^$")


def quoted(value: str) -> str:
    """Write a string as a PromQL literal."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r")
    return f'"{escaped}"'


def regex_literal(value: str) -> str:
    """Write a string as an RE2 pattern that matches exactly it."""
    return "".join(f"\\{letter}" if letter in _REGEX_SPECIAL else letter for letter in value)


def one_of(label: str, values: Sequence[str]) -> str:
    """Write a matcher for any of the values."""
    if len(values) == 1:
        return f"{name(label)}={quoted(values[0])}"
    return f"{name(label)}=~{quoted('|'.join(regex_literal(value) for value in values))}"


def name(text: str) -> str:
    """Write a label's name; one that Prometheus 2 does not know needs quotes."""
    return text if _PLAIN_LABEL.fullmatch(text) else quoted(text)


def vector(selector: Selector, *extra: str) -> str:
    """Write an instant selector."""
    matchers = [f"{name(label)}{operator}{quoted(value)}" for label, operator, value in selector.parsed()]
    if not _PLAIN_METRIC.fullmatch(selector.metric):
        return "{" + ",".join([quoted(selector.metric), *matchers, *extra]) + "}"
    inside = ",".join([*matchers, *extra])
    return f"{selector.metric}{{{inside}}}" if inside else selector.metric


def _window(step_seconds: int) -> str:
    return f"[{step_seconds}s1ms]"


def _summed(labels: str, selectors: Sequence[Selector], step_seconds: int, *extra: str) -> str:
    parts = [f"increase({vector(selector, *extra)}{_window(step_seconds)})" for selector in selectors]
    return f"sum by ({labels}) ({' or '.join(parts)})"


def total_query(family: MetricFamily, services: Sequence[str], step_seconds: int) -> str:
    """Requests per service in each bin."""
    label = family.service_label
    return _summed(label, [family.counted], step_seconds, one_of(label, services))


def bad_query(family: MetricFamily, services: Sequence[str], step_seconds: int) -> str:
    """Failed requests per service in each bin."""
    label = family.service_label
    return _summed(label, [family.narrowed(one) for one in family.bad], step_seconds, one_of(label, services))


def bucket_query(family: MetricFamily, buckets: Selector, services: Sequence[str], step_seconds: int) -> str:
    """Cumulative histogram per service and bound in each bin."""
    label = family.service_label
    return _summed(f"{label}, le", [buckets], step_seconds, one_of(label, services))


def percentile_query(
    family: MetricFamily, gauges: PercentileGauges, gauge: Selector, services: Sequence[str]
) -> str:
    """A percentile per service in each fine bin."""
    label = family.service_label
    window = f"[{gauges.step_seconds * 1000 - 1}ms]"
    return f"max by ({label}) (last_over_time({vector(gauge, one_of(label, services))}{window}))"


def edge_query(graph: ServiceGraph, selector: Selector, services: Sequence[str], step_seconds: int) -> str:
    """Calls per pair of services in each bin, for callers among ``services``."""
    labels = f"{graph.client_label}, {graph.server_label}"
    return _summed(labels, [selector], step_seconds, one_of(graph.client_label, services))


def services_query(family: MetricFamily, unnamed: Sequence[str], seconds: int) -> str:
    """Requests per service over a window, whatever the service; of series without a label of ``unnamed``."""
    return _summed(
        family.service_label, [family.counted], seconds, *(f"{label}={quoted('')}" for label in unnamed)
    )


def graph_query(graph: ServiceGraph, seconds: int) -> str:
    """Calls over a window per pair of names and type of connection, where there were any."""
    labels = f"{graph.client_label}, {graph.server_label}, {CONNECTION_LABEL}"
    return f"{_summed(labels, [graph.total], seconds)} > 0"
