"""Writes PromQL for latencies: classic and native histograms, and percentile gauges.

:mod:`apps.telemetry.clients.prometheus.promql` explains how requests are counted in a bin.

Where one metric is scraped in both forms, each request is in both. Each series is then read in one form: the native
one, unless it counts fewer requests than the classic one, as in the hour in which it was switched on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from apps.telemetry.clients.prometheus.families import (
    BucketSelector,
    MetricFamily,
    PercentileGauges,
    Selector,
)
from apps.telemetry.clients.prometheus.promql import (
    counter_window,
    gauge_window,
    name,
    one_of,
    quoted,
    regex_literal,
    vector,
)

#: The label that distinguishes series with different bounds.
LAYOUT_LABEL = "ballast_layout"
#: Pattern of the spellings of the infinite bound.
INFINITE = "[+]?[Ii]nf"
#: A native form that counts at least this share of the classic one is complete.
_WHOLE_SHARE = 0.98


@dataclass(frozen=True, slots=True)
class Histogram:
    """A histogram metric as a family reads it: in its classic form, its native form, or both.

    Parameters:
        label: the label that names the service.
        unit: of the bounds, ``s`` or ``ms``.
        extra_ms: how much wider than the bin the window is.
    """

    label: str
    unit: str
    classic: Selector | None = None
    native: Selector | None = None
    extra_ms: int = 1

    @property
    def metric(self) -> str:
        """The metric's name in the preferred form."""
        found = self.native or self.classic
        return found.metric if found else ""

    def classic_query(self, services: Sequence[str], step_seconds: int) -> str:
        """Write the query for cumulative counts per service and bound in each bin."""
        return f"sum by ({name(self.label)}, le) ({self._classic(services, step_seconds)})"

    def series_query(self, services: Sequence[str], step_seconds: int) -> str:
        """Write the query for the number of series per service and bound in each bin."""
        return f"count by ({name(self.label)}, le) ({self._classic(services, step_seconds)})"

    def layouts_query(
        self, services: Sequence[str], step_seconds: int, uneven: Sequence[Sequence[str]]
    ) -> str:
        """Write the query for cumulative counts per service and bound, separated for series with different bounds.

        Series that count NaN or a negative number are left out.

        Parameters:
            uneven: the bounds that not all series have, each in all its spellings. The query writes into
                :data:`LAYOUT_LABEL` which of them a series has, as a binary number whose last digit stands for the
                infinite bound.
        """
        patterns = [INFINITE, *("|".join(regex_literal(text) for text in texts) for texts in uneven)]
        digits = " or ".join(
            # Each digit gets its own value of ``le``, so that none replaces another one.
            f"label_replace(group without (le) ({self._finite(services, step_seconds, pattern)}) * {2**digit}, "
            f'"le", "{digit}", "", "")'
            for digit, pattern in enumerate(patterns)
        )
        label = name(self.label)
        return (
            f"sum by ({label}, le, {LAYOUT_LABEL}) ("
            f"({self._classic(services, step_seconds)} >= 0)"
            f" * ignoring (le, {LAYOUT_LABEL}) group_left ({LAYOUT_LABEL})"
            f' count_values without () ("{LAYOUT_LABEL}", sum without (le) ({digits})))'
        )

    def native_query(self, services: Sequence[str], step_seconds: int) -> str:
        """Write the query for a native histogram per service in each bin."""
        return f"sum by ({name(self.label)}) ({self.native_series_query(services, step_seconds)})"

    def native_series_query(self, services: Sequence[str], step_seconds: int) -> str:
        """Write the query for a native histogram per series in each bin."""
        native = self._increase(self.native, services, step_seconds)
        if self.classic is None:
            return native
        ended = self._ended(services, step_seconds)
        return f"{native} unless ({ended} unless {self._native_is_whole(services, step_seconds)})"

    def native_total_query(self, services: Sequence[str], step_seconds: int) -> str:
        """Write the query for the observations in a service's native histograms in each bin."""
        series = self.native_series_query(services, step_seconds)
        return f"sum by ({name(self.label)}) (histogram_count({series}))"

    def total_query(self, services: Sequence[str], step_seconds: int) -> str:
        """Write the query for the requests in a service's histograms in each bin."""
        parts: list[str] = []
        if self.native is not None:
            parts.append(f"histogram_count({self._increase(self.native, services, step_seconds)})")
        if self.classic is not None:
            parts.append(self._ended(services, step_seconds))
        # A series with both forms counts in its native form: that is close enough for a comparison.
        return f"sum by ({name(self.label)}) ({' or '.join(parts)})"

    def _increase(
        self, selector: Selector | None, services: Sequence[str], step_seconds: int, *extra: str
    ) -> str:
        assert selector is not None
        window = counter_window(step_seconds, self.extra_ms)
        return f"increase({vector(selector, one_of(self.label, services), *extra)}{window})"

    def _classic(self, services: Sequence[str], step_seconds: int, *extra: str) -> str:
        classic = self._increase(self.classic, services, step_seconds, *extra)
        if self.native is None:
            return classic
        return f"({classic} unless ignoring (le) {self._native_is_whole(services, step_seconds)})"

    def _finite(self, services: Sequence[str], step_seconds: int, pattern: str) -> str:
        return f"{self._classic(services, step_seconds, f'le=~{quoted(pattern)}')} >= 0"

    def _ended(self, services: Sequence[str], step_seconds: int) -> str:
        infinite = self._increase(self.classic, services, step_seconds, f"le=~{quoted(INFINITE)}")
        return f"max without (le) ({infinite})"

    def _native_is_whole(self, services: Sequence[str], step_seconds: int) -> str:
        native = self._increase(self.native, services, step_seconds)
        return f"(histogram_count({native}) >= {_WHOLE_SHARE} * {self._ended(services, step_seconds)})"


def histograms_of(family: MetricFamily, present: frozenset[str], extra_ms: int = 1) -> list[Histogram]:
    """Return the histogram metrics of a family that a source has, in the family's order, both forms of one together."""
    found: list[Histogram] = []
    chosen = [buckets for buckets in family.buckets if buckets.metric in present]
    natives = {(each.metric, each.unit): each for each in chosen if each.native}
    classics = {(_base(each), each.unit): each for each in chosen if not each.native}
    for buckets in chosen:
        key = (_base(buckets), buckets.unit)
        classic, native = classics.get(key), natives.get(key)
        histogram = Histogram(
            family.service_label,
            buckets.unit,
            family.narrowed(classic) if classic else None,
            family.narrowed(native) if native else None,
            extra_ms,
        )
        if histogram not in found:
            found.append(histogram)
    return found


def percentile_query(
    family: MetricFamily, gauges: PercentileGauges, gauge: Selector, services: Sequence[str]
) -> str:
    """Write the query for a percentile gauge per service in each of its bins."""
    label = family.service_label
    window = gauge_window(gauges.step_seconds)
    selector = vector(family.narrowed(gauge), one_of(label, services))
    return f"max by ({name(label)}) (last_over_time({selector}{window}))"


def _base(buckets: BucketSelector) -> str:
    return buckets.metric if buckets.native else buckets.metric.removesuffix("_bucket")
