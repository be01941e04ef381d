"""Reads one histogram metric of many services correctly, also where its series do not share all bounds.

Questions to the source
-----------------------
* The counts per bound and bin. They are about fifteen times as many values as a counter has.
* The number of series at each bound, for a day at a time, or for the whole of a shorter reading. The server goes over
  the same samples again, but sums and sends little: one number for each bound and day.
* The counts again, separated for series with different bounds, but only for days on which these numbers differ between
  bounds or a count is NaN. The question leaves out bounds that all series have, so that it stays short.

Where the server declines the last question, only the bounds that all series of the day share are kept.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from apps.telemetry.clients.base import ReadingQuality
from apps.telemetry.clients.errors import SourceRefused
from apps.telemetry.clients.latencies.histograms import Account, Layout, bound_ms, uneven_bounds
from apps.telemetry.clients.latencies.native_histograms import NativeHistogram, on_stable_bounds
from apps.telemetry.clients.latencies.promql import LAYOUT_LABEL, Histogram
from apps.telemetry.clients.prometheus.matrix import Values
from apps.telemetry.clients.prometheus.questions import Questions

DAY = 86_400
#: Bounds that a histogram is assumed to have when the size of an answer is estimated; a native one counts the same.
TYPICAL_BUCKETS = 16
_NATIVE_VALUES = 200
_TYPICAL_SERIES = 50
#: The most bounds that the binary digits of a floating-point number can mark, including the infinite one.
_MOST_UNEVEN = 48
#: The most services in a question that repeats their names for each bound.
_MOST_TOGETHER = 100

type Span = tuple[int, int, int]
type Spellings = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Window:
    """A time ``[start, end)`` in which the series of a service do not all have the same bounds."""

    start: int
    end: int
    uneven: frozenset[Spellings]


@dataclass(slots=True)
class HistogramReader:
    """Reads one histogram metric; the module explains how.

    Parameters:
        family: the family's name, recorded with the questions.
        quality: receives the warnings of the source.
    """

    questions: Questions
    family: str
    histogram: Histogram
    quality: ReadingQuality

    @property
    def factor(self) -> float:
        """Milliseconds in the metric's unit."""
        return milliseconds(self.histogram.unit)

    def read(self, services: Sequence[str], span: Span) -> dict[str, Account]:
        """Return an account of each service that the metric has data of."""
        accounts: dict[str, Account] = defaultdict(Account)
        if self.histogram.classic is not None:
            self._read_classic(accounts, services, span)
        if self.histogram.native is not None:
            self._read_native(accounts, services, span)
        return {service: account for service, account in accounts.items() if account.layouts}

    def totals(self, services: Sequence[str], span: Span) -> dict[str, Values]:
        """Return the requests in each service's histograms, by the end of the bin."""
        return self._numbers("latency, only how many", self.histogram.total_query, services, span)

    def _numbers(
        self, purpose: str, query: Callable[[Sequence[str], int], str], services: Sequence[str], span: Span
    ) -> dict[str, Values]:
        numbers: dict[str, Values] = defaultdict(dict)
        label, step = self.histogram.label, span[2]
        for part in self.questions.ask_range(
            purpose, self.family, lambda batch: query(batch, step), services, span, (label,), self.quality
        ):
            for series in part.series:
                numbers[series.labels.get(label, "")].update(series.values)
        return dict(numbers)

    def _read_classic(self, accounts: dict[str, Account], services: Sequence[str], span: Span) -> None:
        label, step = self.histogram.label, span[2]
        sums: dict[str, dict[int, Layout]] = defaultdict(lambda: defaultdict(dict))
        for part in self.questions.ask_range(
            "latency",
            self.family,
            lambda batch: self.histogram.classic_query(batch, step),
            services,
            span,
            (label, "le"),
            self.quality,
            per_service=TYPICAL_BUCKETS,
        ):
            for series in part.series:
                service = series.labels.get(label, "")
                if self._add(sums[service], series.labels, series.values) and part.is_partial:
                    accounts[service].partial.update(series.values)
        found = [service for service in services if service in sums]
        for service in found:
            accounts[service].layouts = {at: [layout] for at, layout in sums[service].items()}
        windows = self._windows(accounts, found, span)
        together: dict[_Window, list[str]] = defaultdict(list)
        for service in found:
            for window in _joined(windows[service]):
                together[window].append(service)
        for window, some in together.items():
            for first in range(0, len(some), _MOST_TOGETHER):
                self._read_apart(accounts, some[first : first + _MOST_TOGETHER], window, step)

    def _windows(
        self, accounts: dict[str, Account], services: Sequence[str], span: Span
    ) -> dict[str, list[_Window]]:
        """Return the times in which a service's series differ in their bounds or some count NaN."""
        label = self.histogram.label
        found: dict[str, list[_Window]] = defaultdict(list)
        for some in _days(span):
            width = some[2]
            series_of: dict[tuple[str, int], dict[str, float]] = defaultdict(dict)

            def build(batch: Sequence[str], width: int = width) -> str:
                return self.histogram.series_query(batch, width)

            for part in self.questions.ask_range(
                "series per bound",
                self.family,
                build,
                services,
                some,
                (label, "le"),
                self.quality,
                per_service=TYPICAL_BUCKETS,
            ):
                for series in part.series:
                    service = series.labels.get(label, "")
                    for ends_at, count in series.values.items():
                        series_of[service, ends_at][series.labels.get("le", "")] = count
                        if part.is_partial:
                            accounts[service].partial.update(
                                _within(accounts[service], ends_at - width, ends_at, span[2])
                            )
            for (service, ends_at), counts in sorted(series_of.items()):
                uneven = set(uneven_bounds(counts, self.factor))
                uneven |= self._not_numbers(accounts[service], counts, (ends_at - width, ends_at, span[2]))
                if uneven:
                    found[service].append(_Window(ends_at - width, ends_at, frozenset(uneven)))
        return found

    def _not_numbers(self, account: Account, counts: dict[str, float], span: Span) -> set[Spellings]:
        """Return the bounds at which some bin counts NaN, and note these bins in the account."""
        bounds: set[float] = set()
        for at in _within(account, *span):
            bad = {bound for bound, count in account.layouts[at][0].items() if not 0.0 <= count < math.inf}
            if bad:
                account.not_numbers.add(at)
                bounds |= bad
        spellings: dict[float | None, list[str]] = defaultdict(list)
        for text in sorted(counts):
            spellings[bound_ms(text, self.factor)].append(text)
        return {tuple(spellings[bound]) for bound in bounds if bound in spellings}

    def _read_apart(
        self, accounts: dict[str, Account], services: Sequence[str], window: _Window, step: int
    ) -> None:
        label = self.histogram.label
        uneven = sorted(window.uneven)
        apart: dict[str, dict[str, dict[int, Layout]]] = defaultdict(
            lambda: defaultdict(lambda: defaultdict(dict))
        )
        partial: dict[str, set[int]] = defaultdict(set)
        try:
            if len(uneven) > _MOST_UNEVEN:
                raise _TooManyBounds
            for part in self.questions.ask_range(
                "latency by bounds",
                self.family,
                lambda batch: self.histogram.layouts_query(batch, step, uneven),
                services,
                (window.start, window.end, step),
                (label, "le", LAYOUT_LABEL),
                self.quality,
                per_service=3 * TYPICAL_BUCKETS,
            ):
                for series in part.series:
                    service = series.labels.get(label, "")
                    layout = series.labels.get(LAYOUT_LABEL, "")
                    if self._add(apart[service][layout], series.labels, series.values) and part.is_partial:
                        partial[service].update(series.values)
        except (SourceRefused, _TooManyBounds):
            for service in services:
                self._keep_shared(accounts[service], window, step)
            return
        for service in services:
            account = accounts[service]
            account.partial |= partial[service]
            for at in _within(account, window.start, window.end, step):
                some = [by_end[at] for by_end in apart[service].values() if at in by_end]
                account.layouts[at] = some or account.layouts[at]

    def _keep_shared(self, account: Account, window: _Window, step: int) -> None:
        """Leave out bounds that not all series have."""
        uneven = frozenset(
            bound
            for texts in window.uneven
            for text in texts
            if (bound := bound_ms(text, self.factor)) is not None
        )
        for at in _within(account, window.start, window.end, step):
            (layout,) = account.layouts[at]
            account.shared[at] = uneven.intersection(layout) - {math.inf}
            account.layouts[at] = [
                {bound: count for bound, count in layout.items() if bound not in account.shared[at]}
            ]
            account.not_numbers.discard(at)

    def _read_native(self, accounts: dict[str, Account], services: Sequence[str], span: Span) -> None:
        label, step = self.histogram.label, span[2]
        found: dict[str, dict[int, NativeHistogram]] = defaultdict(dict)
        is_doubtful = False
        for part in self.questions.ask_range(
            "latency",
            self.family,
            lambda batch: self.histogram.native_query(batch, step),
            services,
            span,
            (label,),
            self.quality,
            per_service=_NATIVE_VALUES,
        ):
            is_doubtful |= part.is_partial or part.is_remarked
            for series in part.series:
                service = series.labels.get(label, "")
                found[service].update(series.histograms)
                if part.is_partial and series.histograms:
                    accounts[service].partial.update(series.histograms)
        for service in services:
            for at, layout in on_stable_bounds(found.get(service, {}), self.factor).items():
                accounts[service].layouts.setdefault(at, []).append(layout)
        if is_doubtful:
            self._read_what_cannot_be_added(accounts, found, services, span)

    def _read_what_cannot_be_added(
        self,
        accounts: dict[str, Account],
        found: Mapping[str, Mapping[int, NativeHistogram]],
        services: Sequence[str],
        span: Span,
    ) -> None:
        """Read each series alone where there are observations but no sum: custom and exponential buckets do not add."""
        label, step = self.histogram.label, span[2]
        totals = self._numbers("latency, only how many", self.histogram.native_total_query, services, span)
        missing = {
            service: {at for at, total in totals.get(service, {}).items() if total > 0.0}.difference(
                found.get(service, ())
            )
            for service in services
        }
        for service in services:
            if not missing[service]:
                continue
            wanted = (min(missing[service]) - step, max(missing[service]), step)
            for part in self.questions.ask_range(
                "latency by series",
                self.family,
                lambda batch: self.histogram.native_series_query(batch, step),
                [service],
                wanted,
                (label,),
                self.quality,
                per_service=_NATIVE_VALUES * _TYPICAL_SERIES,
            ):
                for series in part.series:
                    some = {at: one for at, one in series.histograms.items() if at in missing[service]}
                    for at, layout in on_stable_bounds(some, self.factor).items():
                        accounts[service].layouts.setdefault(at, []).append(layout)
                        accounts[service].partial.add(at)

    def _add(self, bins: dict[int, Layout], labels: dict[str, str], values: Values) -> bool:
        """Add the counts at a bound to those of its other spellings; return ``False`` if it is no bound."""
        bound = bound_ms(labels.get("le", ""), self.factor)
        if bound is None:
            return False
        for at, count in values.items():
            layout = bins[at]
            layout[bound] = layout.get(bound, 0.0) + count
        return True


class _TooManyBounds(Exception):
    """More bounds differ than one question can distinguish."""


def milliseconds(unit: str) -> float:
    """Return how many milliseconds a unit of a family has."""
    return 1000.0 if unit == "s" else 1.0


def _days(span: Span) -> Iterator[Span]:
    """Cut a time into days and a rest."""
    start, end, step = span
    width = max(step, DAY // step * step)
    rest = start + (end - start) // width * width
    if rest > start:
        yield start, rest, width
    if end > rest:
        yield rest, end, end - rest


def _within(account: Account, start: int, end: int, step: int) -> list[int]:
    """Return the ends of an account's bins of ``step`` seconds in ``[start, end)``; ``start`` is a bin's start."""
    return [at for at in range(start + step, end + 1, step) if at in account.layouts]


def _joined(windows: Sequence[_Window]) -> list[_Window]:
    """Join windows that follow each other, so that one question covers them."""
    joined: list[_Window] = []
    for window in windows:
        if joined and joined[-1].end == window.start:
            last = joined.pop()
            joined.append(_Window(last.start, window.end, last.uneven | window.uneven))
        else:
            joined.append(window)
    return joined
