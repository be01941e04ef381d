"""Reads latencies from Prometheus, and chooses the metric for each service and day.

Services of one family may report in different units, and one service may report twice: in its own histograms and in
those of its traces. So every histogram metric of every family is looked at for every service. Each day is taken from
the first metric in order, unless a later one counts clearly more requests in the bins that both have. Bins that this
metric lacks come from the next one. For services without any histogram, percentile gauges are read.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from apps.telemetry.clients.base import BucketBins, Finding, LatencyReading
from apps.telemetry.clients.counts.choosing import Account, choose
from apps.telemetry.clients.latencies.histogram_reading import HistogramReader, Span, milliseconds
from apps.telemetry.clients.latencies.histograms import Assembly, assemble, percentile_bins
from apps.telemetry.clients.latencies.promql import histograms_of, percentile_query
from apps.telemetry.clients.prometheus.families import MetricFamily, Selector
from apps.telemetry.clients.prometheus.matrix import Values
from apps.telemetry.clients.prometheus.questions import Questions


@dataclass(slots=True)
class LatencyReader:
    """Reads latencies of services; the module explains how.

    Parameters:
        families: name and family of those that the source has data of, in order.
        present: names of the metrics that the source has.
        extra_ms: how much wider than a bin a counter's window is.
    """

    questions: Questions
    families: Sequence[tuple[str, MetricFamily]]
    present: frozenset[str]
    extra_ms: int = 1

    def read(
        self,
        service_ids: Sequence[str],
        start: int,
        end: int,
        step_seconds: int,
        *,
        leave_out: Mapping[str, Collection[int]] | None = None,
    ) -> LatencyReading:
        """Return histograms per service and bin, or percentiles with the step that the source has.

        Parameters:
            leave_out: by service, starts of bins to skip because their counts are implausible.

        Raises:
            SourceError: the source cannot be read.
        """
        reading = LatencyReading()
        services = list(dict.fromkeys(service_ids))
        span = (start, end, step_seconds)
        for service, found in self._histograms(reading, services, span, leave_out or {}).items():
            _put(reading, service, found, step_seconds)
        for name, family in self.families:
            without = [
                service
                for service in services
                if service not in reading.buckets and service not in reading.percentiles
            ]
            self._read_percentiles(reading, name, family, without, span)
        return reading

    def _histograms(
        self,
        reading: LatencyReading,
        services: Sequence[str],
        span: Span,
        leave_out: Mapping[str, Collection[int]],
    ) -> dict[str, list[Assembly]]:
        """Return, by service, the histograms of each metric that is worth reading, in order of preference."""
        found: dict[str, list[Assembly]] = defaultdict(list)
        for name, family in self.families:
            for histogram in histograms_of(family, self.present, self.extra_ms):
                reader = HistogramReader(self.questions, name, histogram, reading.quality)
                wanted = self._worth_reading(reader, services, found, span, leave_out)
                for service, account in reader.read(wanted, span).items():
                    assembly = assemble(account, span[2], leave_out.get(service, ()))
                    assembly.metric, assembly.label = histogram.metric, histogram.label
                    found[service].append(assembly)
        return found

    def _worth_reading(
        self,
        reader: HistogramReader,
        services: Sequence[str],
        found: Mapping[str, list[Assembly]],
        span: Span,
        leave_out: Mapping[str, Collection[int]],
    ) -> list[str]:
        """Return the services that may be read from a metric, judged by its requests: a fifteenth of the cost."""
        known = [service for service in services if service in found]
        totals = reader.totals(known, span) if known else {}
        wanted: list[str] = []
        for service in services:
            if service not in found:
                wanted.append(service)
                continue
            mine = {
                at - span[2]: total
                for at, total in totals.get(service, {}).items()
                if at - span[2] not in leave_out.get(service, ())
            }
            offer = Assembly.of_totals(mine)
            offer.metric, offer.label = reader.histogram.metric, reader.histogram.label
            if len(found[service]) in _taken([*found[service], offer]).values():
                wanted.append(service)
        return wanted

    def _read_percentiles(
        self, reading: LatencyReading, name: str, family: MetricFamily, services: Sequence[str], span: Span
    ) -> None:
        gauges = family.percentiles
        if gauges is None:
            return
        label = family.service_label
        found: dict[str, dict[int, Values]] = defaultdict(lambda: defaultdict(dict))
        doubted: dict[str, set[int]] = defaultdict(set)
        fine = (span[0], span[1], gauges.step_seconds)
        for number, gauge in gauges.gauges():
            if gauge.metric not in self.present:
                continue

            def build(batch: Sequence[str], gauge: Selector = gauge) -> str:
                return percentile_query(family, gauges, gauge, batch)

            for part in self.questions.ask_range(
                f"p{number}", name, build, services, fine, (label,), reading.quality
            ):
                for series in part.series:
                    service = series.labels.get(label, "")
                    found[service][number].update(series.values)
                    if part.is_partial:
                        doubted[service].update(at - gauges.step_seconds for at in series.values)
        for service in services:
            if service not in found:
                continue
            bins, impossible = percentile_bins(found[service], gauges.step_seconds, milliseconds(gauges.unit))
            if bins.at:
                reading.percentiles[service] = bins
                if doubted[service]:
                    reading.partial[service] = _whole_bins(doubted[service], span)
            if impossible:
                reading.quality.implausible_bins[service] += len(impossible)
                reading.quality.find(
                    service, Finding("percentiles_impossible", _whole_bins(impossible, span), {})
                )


def _put(reading: LatencyReading, service: str, found: Sequence[Assembly], step_seconds: int) -> None:
    """Put a service's histograms into a reading, with their findings."""
    taken = _taken(found)
    bins = BucketBins(step_seconds)
    for at in sorted(taken):
        made = found[taken[at]].bins.get(at)
        if made is not None:
            bins.at.append(at)
            bins.bounds_ms.append(made.bounds_ms)
            bins.cumulative.append(made.cumulative)
    if bins.at:
        reading.buckets[service] = bins
    for place, assembly in enumerate(found):
        mine = {at for at, other in taken.items() if other == place}
        for finding in assembly.findings(mine):
            reading.quality.find(service, finding)
        left_out = assembly.left_out & mine
        if left_out:
            reading.quality.implausible_bins[service] += len(left_out)
        if partial := assembly.partial & mine:
            reading.partial.setdefault(service, set()).update(partial)


def _taken(found: Sequence[Assembly]) -> dict[int, int]:
    """Return the index of the metric for each bin. A bin that the chosen metric left out stays a gap."""
    accounts = [
        Account(str(place), one.totals, one.left_out, one.metric, one.label)
        for place, one in enumerate(found)
    ]
    return {at: int(place) for at, place in choose(accounts).taken.items()}


def _whole_bins(starts: Iterable[int], span: Span) -> set[int]:
    """Return the starts of the bins of ``span`` in which the given finer bins begin."""
    start, _, step = span
    return {start + (at - start) // step * step for at in starts}
