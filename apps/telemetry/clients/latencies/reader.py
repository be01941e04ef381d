"""Reads latencies from Prometheus: which metric to believe for which service and day.

Services of one family may report in different units, and one service may report twice, in its own histograms and in
those of its traces. So every histogram metric of every family is looked at for every service, and of each day one is
taken: the first in order, unless a later one counts clearly more requests in the bins that both have. Bins that the
taken one lacks come from the next. Services without any histogram have their percentile gauges read.
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
    """Reads latencies of services; see the module.

    Parameters:
        families: those that the source has data of, by name, in order.
        present: the metrics that the source has.
        extra_ms: how much wider than a bin the window of a counter is.
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
        """Histograms per service and bin, or percentiles as fine as the source has them.

        Parameters:
            leave_out: by service, starts of bins whose counts are not believed, and so no histograms of theirs.

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
        """What each metric that is worth reading says of each service, in the order of preference."""
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
        """Services of which a metric may be taken; how many requests it has tells at a fifteenth of the cost."""
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
    """Put a service's histograms into a reading, with what is to be said of them."""
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
    """Which metric each bin is taken from, by its place. A bin that the taken one left out is taken from no other."""
    accounts = [
        Account(str(place), one.totals, one.left_out, one.metric, one.label)
        for place, one in enumerate(found)
    ]
    return {at: int(place) for at, place in choose(accounts).taken.items()}


def _whole_bins(starts: Iterable[int], span: Span) -> set[int]:
    """The starts of the bins asked for in which finer ones begin."""
    start, _, step = span
    return {start + (at - start) // step * step for at in starts}
